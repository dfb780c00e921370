package control

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/store"
)

// Source is a source as the API shows it, without its secrets.
type Source struct {
	ID          string            `json:"id" example:"src_0000001"`
	Tenant      string            `json:"tenant" example:"default"`
	Name        string            `json:"name" example:"github"`
	Provider    string            `json:"provider" example:"github"`
	SecretCount int               `json:"secret_count" example:"1" doc:"How many verification secrets are tried."`
	Params      map[string]string `json:"params,omitempty"`
	Dedupe      bool              `json:"dedupe"`
	Path        string            `json:"path" example:"/in/github" doc:"Where the provider calls, on the ingress listener."`
	URL         string            `json:"url,omitempty" example:"https://hooks.example.com/in/github" doc:"The same as a whole URL, if ingress.public_url is set."`
	ManagedBy   string            `json:"managed_by" enum:"api,file" doc:"Who may change it: the API, or the configuration file alone."`
	CreatedAt   time.Time         `json:"created_at"`
	UpdatedAt   time.Time         `json:"updated_at"`
}

func (s *Server) viewSource(src *store.Source) Source {
	path := "/in/" + src.Name
	if src.Tenant != event.DefaultTenant {
		path = "/in/" + src.Tenant + "/" + src.Name
	}
	v := Source{
		ID:          src.ID.String(),
		Tenant:      src.Tenant,
		Name:        src.Name,
		Provider:    src.Provider,
		SecretCount: len(src.Secrets),
		Params:      src.Params,
		Dedupe:      src.Dedupe,
		Path:        path,
		ManagedBy:   string(src.ManagedBy),
		CreatedAt:   src.CreatedAt,
		UpdatedAt:   src.UpdatedAt,
	}
	if s.publicURL != "" {
		v.URL = strings.TrimSuffix(s.publicURL, "/") + path
	}
	return v
}

func (s *Server) sourceRoutes(api huma.API) {
	huma.Register(api, operation("sources", "list-sources", http.MethodGet, "/v1/sources",
		"List sources", "By id, oldest first."), s.listSources)
	huma.Register(api, creation("sources", "create-source", "/v1/sources",
		"Create a source", "Ingress accepts calls to its path within 2 s.",
		SourceSpec{Name: "github", Provider: "github", Secrets: []Secret{"the secret that the provider shows"}},
	), s.createSource)
	huma.Register(api, operation("sources", "get-source", http.MethodGet, "/v1/sources/{id}",
		"Get a source", "", http.StatusNotFound), s.getSource)
	huma.Register(api, operation("sources", "delete-source", http.MethodDelete, "/v1/sources/{id}",
		"Delete a source", "Its path answers 404 within 2 s. What came through it stays in the history.", http.StatusNotFound, http.StatusConflict), s.deleteSource)
}

func (s *Server) listSources(ctx context.Context, in *ListInput) (*bodyOf[Page[Source]], error) {
	tenant, err := callerOf(ctx).tenant(in.Tenant)
	if err != nil {
		return nil, err
	}
	after, err := decodeNumberCursor(sourceCursor, in.Cursor)
	if err != nil {
		return nil, badParam("query.cursor", in.Cursor, err.Error())
	}
	rows, err := s.store.ListSources(ctx, tenant, store.SourceID(after), in.Limit+1)
	if err != nil {
		return nil, s.failed(ctx, "list sources", err)
	}
	return &bodyOf[Page[Source]]{pageOf(rows, in.Limit, s.viewSource, func(src *store.Source) string {
		return encodeNumberCursor(sourceCursor, uint32(src.ID))
	})}, nil
}

type createdSource struct {
	Location string `header:"Location" doc:"Where the source is."`
	Body     Source
}

func (s *Server) createSource(ctx context.Context, in *struct{ Body SourceSpec }) (*createdSource, error) {
	who := callerOf(ctx)
	tenant, err := who.tenant(in.Body.Tenant)
	if err != nil {
		return nil, err
	}
	in.Body.Tenant = tenant
	src, problems := ValidateSource("", in.Body, s.rules)
	if len(problems) > 0 {
		return nil, invalid(problems)
	}
	src.ManagedBy = store.ManagedByAPI
	src, err = s.store.CreateSource(ctx, src)
	if err != nil {
		return nil, s.failed(ctx, "create source", err)
	}
	s.log.Info("source created", telemetry.Tenant(src.Tenant), telemetry.Source(src.Name), zap.String(keyBy, who.name()))
	s.changed(ctx)
	return &createdSource{"/v1/sources/" + src.ID.String(), s.viewSource(&src)}, nil
}

func (s *Server) getSource(ctx context.Context, in *IDInput) (*bodyOf[Source], error) {
	src, err := s.source(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &bodyOf[Source]{s.viewSource(&src)}, nil
}

func (s *Server) deleteSource(ctx context.Context, in *IDInput) (*struct{}, error) {
	src, err := s.source(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.store.DeleteSource(ctx, src.ID); err != nil {
		return nil, s.failed(ctx, "delete source", err)
	}
	s.log.Info("source deleted", telemetry.Tenant(src.Tenant), telemetry.Source(src.Name), zap.String(keyBy, callerOf(ctx).name()))
	s.changed(ctx)
	return nil, nil
}

// source returns the source that a path names, if it exists for the caller.
func (s *Server) source(ctx context.Context, text string) (store.Source, error) {
	id, err := store.ParseSourceID(text)
	if err != nil {
		return store.Source{}, badParam("path.id", text, err.Error())
	}
	src, err := s.store.GetSource(ctx, id)
	if err != nil {
		return src, s.failed(ctx, "get source", err)
	}
	if !callerOf(ctx).sees(src.Tenant) {
		return store.Source{}, errNotFound
	}
	return src, nil
}

// keyBy is the log field that says who made a change.
const keyBy = "by"
