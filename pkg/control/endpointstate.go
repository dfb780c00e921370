package control

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/store"
)

// transition is what people may do to an endpoint's state. Repeating one changes nothing.
type transition struct {
	verb        string
	summary     string
	from, to    store.EndpointState
	done        string // what it then is, for the reason
	refusal     string // when it is neither from nor to
	description string
}

var transitions = []transition{
	{
		verb: "pause", summary: "Pause an endpoint",
		from: store.EndpointActive, to: store.EndpointPaused, done: "paused",
		refusal:     "is disabled, and sends nothing already: enable it first",
		description: "Nothing is sent until it is resumed; events that match are queued and do not age. Attempts under way finish.",
	},
	{
		verb: "resume", summary: "Resume a paused endpoint",
		from: store.EndpointPaused, to: store.EndpointActive, done: "resumed",
		refusal:     "is disabled: enable it",
		description: "What was queued is sent: first one delivery as a probe, then at a rising rate.",
	},
	{
		verb: "enable", summary: "Enable a disabled endpoint",
		from: store.EndpointDisabled, to: store.EndpointActive, done: "enabled",
		refusal:     "is paused: resume it",
		description: "Takes back that Sluice disabled it, for 5 days of failures or an answer 410. Then as resume.",
	},
}

func (s *Server) endpointStateRoutes(api huma.API) {
	for _, t := range transitions {
		op := operation("endpoints", t.verb+"-endpoint", http.MethodPost, "/v1/endpoints/{id}/"+t.verb,
			t.summary, t.description, http.StatusNotFound, http.StatusConflict)
		huma.Register(api, op, func(ctx context.Context, in *IDInput) (*bodyOf[Endpoint], error) {
			return s.setEndpointState(ctx, in.ID, t)
		})
	}
}

func (s *Server) setEndpointState(ctx context.Context, id string, t transition) (*bodyOf[Endpoint], error) {
	e, err := s.endpoint(ctx, id)
	if err != nil {
		return nil, err
	}
	switch e.State {
	case t.from, t.to:
	case store.EndpointDeleted:
		return nil, errNotFound
	default:
		return nil, fail(http.StatusConflict, "the endpoint "+t.refusal)
	}
	by := callerOf(ctx).name()
	e, err = s.store.SetEndpointState(ctx, e.ID, t.to, t.done+" "+by)
	if err != nil {
		return nil, s.failed(ctx, t.verb+" endpoint", err)
	}
	s.log.Info("endpoint "+t.done, telemetry.Tenant(e.Tenant), telemetry.EndpointID(e.ID), zap.String(keyBy, by))
	s.changed(ctx)
	return &bodyOf[Endpoint]{viewEndpoint(&e, time.Now())}, nil
}
