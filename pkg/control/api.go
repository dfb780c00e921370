package control

import (
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
)

// apiVersion is the version of the API, not of Sluice: the document must not differ between builds.
const apiVersion = "1"

const (
	securityScheme = "key"
	maxPage        = 250
)

func apiConfig() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title:       "Sluice management API",
				Version:     apiVersion,
				Description: "See and change a Sluice: sources, endpoints, events, deliveries. Errors are application/problem+json (RFC 9457). Lists are paged: pass next_cursor as cursor until there is none.",
				License:     &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"},
			},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					securityScheme: {Type: "http", Scheme: "bearer", BearerFormat: "slk_…", Description: "An API key of scope admin (all tenants) or tenant (its own)."},
				},
			},
			Tags: []*huma.Tag{
				{Name: "sources", Description: "Ways in: one for each provider that calls /in/NAME."},
				{Name: "endpoints", Description: "Ways out: URLs that receive what they subscribe to."},
				{Name: "events", Description: "What came in."},
				{Name: "deliveries", Description: "What became of an event at one endpoint."},
				{Name: "providers", Description: "Presets that sources can be made of."},
				{Name: "quarantine", Description: "Messages that could not be decoded or handled."},
			},
		},
		Formats:                      map[string]huma.Format{"application/json": jsonFormat, "json": jsonFormat},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
		Transformers:                 []huma.Transformer{tidy},
	}
}

// operation describes a route; errs are the statuses it can fail with besides those that every route has.
func operation(tag, id, method, path, summary, description string, errs ...int) huma.Operation {
	errs = append(errs, http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity, http.StatusServiceUnavailable)
	slices.Sort(errs)
	return huma.Operation{
		OperationID:  id,
		Method:       method,
		Path:         path,
		Summary:      summary,
		Description:  description,
		Tags:         []string{tag},
		Security:     []map[string][]string{{securityScheme: {}}},
		Errors:       slices.Compact(errs),
		MaxBodyBytes: maxBody + 1, // huma refuses what reaches it
	}
}

// creation describes a route that makes something of a body like example.
func creation(tag, id, path, summary, description string, example any) huma.Operation {
	op := operation(tag, id, http.MethodPost, path, summary, description,
		http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	op.DefaultStatus = http.StatusCreated
	op.RequestBody = &huma.RequestBody{Content: map[string]*huma.MediaType{"application/json": {Example: example}}}
	return op
}

// Page is one page of a list.
type Page[T any] struct {
	Data       []T    `json:"data" nullable:"false"`
	NextCursor string `json:"next_cursor,omitempty" doc:"Pass it as cursor to get the next page; left out on the last."`
}

// pageOf makes a page of what the store returned for one more than limit.
func pageOf[R, T any](rows []R, limit int, view func(*R) T, cursor func(*R) string) Page[T] {
	p := Page[T]{Data: make([]T, 0, min(len(rows), limit))}
	for i := range rows[:min(len(rows), limit)] {
		p.Data = append(p.Data, view(&rows[i]))
	}
	if len(rows) > limit {
		p.NextCursor = cursor(&rows[limit-1])
	}
	return p
}

// PageInput is the parameters of every list.
type PageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"250" default:"50" doc:"Entries of a page."`
	Cursor string `query:"cursor" maxLength:"64" doc:"next_cursor of the page before."`
}

// TenantInput is the parameter of lists that have a tenant.
type TenantInput struct {
	Tenant string `query:"tenant" maxLength:"64" doc:"Only of this tenant. For admin keys; others see their own anyway."`
}

// ListInput is the parameters of lists that have a tenant and nothing else.
type ListInput struct {
	TenantInput
	PageInput
}

// IDInput is the parameter of routes to one thing.
type IDInput struct {
	ID string `path:"id" maxLength:"64"`
}

// bodyOf is the answer of a route that has a body and nothing else.
type bodyOf[T any] struct{ Body T }
