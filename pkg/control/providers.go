package control

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sluicehq/sluice/ingress/provider"
)

// Provider is a preset that sources can be made of.
type Provider struct {
	Name    string          `json:"name" example:"github" doc:"What a source says as its provider."`
	Title   string          `json:"title" example:"GitHub"`
	Docs    string          `json:"docs,omitempty" doc:"The provider's own documentation."`
	Params  []ProviderParam `json:"params" nullable:"false"`
	Samples []string        `json:"samples" nullable:"false" doc:"Events that sluice trigger can send."`
}

// ProviderParam is a constant that a source gives to its preset.
type ProviderParam struct {
	Name     string   `json:"name"`
	Doc      string   `json:"doc,omitempty"`
	Default  string   `json:"default,omitempty"`
	Values   []string `json:"values,omitempty" nullable:"false" doc:"The values it may have; left out: any."`
	Required bool     `json:"required"`
}

func (s *Server) providerRoutes(api huma.API) {
	huma.Register(api, operation("providers", "list-providers", http.MethodGet, "/v1/providers",
		"List providers", "All of them, by name."), listProviders)
}

func listProviders(context.Context, *struct{}) (*bodyOf[Page[Provider]], error) {
	page := Page[Provider]{Data: []Provider{}}
	for _, name := range provider.Names() {
		if p, ok := provider.Get(name); ok {
			page.Data = append(page.Data, viewProvider(p))
		}
	}
	return &bodyOf[Page[Provider]]{page}, nil
}

func viewProvider(p *provider.Preset) Provider {
	v := Provider{Name: p.Name, Title: p.Title, Docs: p.Docs, Params: []ProviderParam{}, Samples: []string{}}
	for _, param := range p.Params {
		v.Params = append(v.Params, ProviderParam{
			Name: param.Name, Doc: param.Doc, Default: param.Default, Values: param.Values, Required: param.Required,
		})
	}
	for _, sample := range p.Samples() {
		v.Samples = append(v.Samples, sample.Event)
	}
	return v
}
