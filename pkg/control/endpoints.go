package control

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/pkg/webhook"
	"github.com/sluicehq/sluice/store"
)

// Endpoint is an endpoint as the API shows it, without its secrets.
type Endpoint struct {
	ID            string             `json:"id" example:"ep_0000001"`
	Tenant        string             `json:"tenant" example:"default"`
	Name          string             `json:"name" example:"billing"`
	URL           string             `json:"url" example:"https://billing.example.com/hooks"`
	SecretCount   int                `json:"secret_count" example:"1" doc:"How many signing secrets are in force."`
	Auth          EndpointAuth       `json:"auth"`
	Headers       map[string]string  `json:"headers,omitempty"`
	Forward       ForwardSpec        `json:"forward"`
	Subscriptions []SubscriptionSpec `json:"subscriptions" nullable:"false"`
	RateLimit     *RateLimitSpec     `json:"rate_limit,omitempty"`
	MaxInFlight   int                `json:"max_in_flight,omitempty" doc:"Left out: adaptive alone."`
	MaxQueued     int64              `json:"max_queued"`
	Timeout       Duration           `json:"timeout"`
	Retry         RetrySpec          `json:"retry"`
	State         string             `json:"state" enum:"active,paused,disabled,deleted"`
	StateReason   string             `json:"state_reason,omitempty"`
	StateSince    time.Time          `json:"state_since"`
	ManagedBy     string             `json:"managed_by" enum:"api,file" doc:"Who may change it: the API, or the configuration file alone."`
	CreatedAt     time.Time          `json:"created_at"`
	UpdatedAt     time.Time          `json:"updated_at"`
}

// EndpointAuth is how deliveries authenticate themselves, without the secret.
type EndpointAuth struct {
	Kind     string `json:"kind" enum:"none,basic,bearer,header"`
	Username string `json:"username,omitempty"`
	Header   string `json:"header,omitempty"`
}

// CreatedEndpoint is the answer to the creation of an endpoint.
type CreatedEndpoint struct {
	Endpoint
	Secrets []string `json:"secrets,omitempty" nullable:"false" doc:"The signing secret that was generated, if the request brought none. It is not shown again."`
}

func viewEndpoint(e *store.Endpoint, now time.Time) Endpoint {
	v := Endpoint{
		ID:            e.ID.String(),
		Tenant:        e.Tenant,
		Name:          e.Name,
		URL:           e.URL,
		Auth:          EndpointAuth{Kind: e.Auth.Kind, Username: e.Auth.Username, Header: e.Auth.Header},
		Headers:       e.Headers,
		Forward:       ForwardSpec(e.Forward),
		Subscriptions: make([]SubscriptionSpec, 0, len(e.Subscriptions)),
		MaxInFlight:   e.MaxInFlight,
		MaxQueued:     e.MaxQueued,
		Timeout:       Duration(e.Timeout),
		Retry: RetrySpec{
			Base: Duration(e.Retry.Base), Factor: e.Retry.Factor, Cap: Duration(e.Retry.Cap), MaxAge: Duration(e.Retry.MaxAge),
		},
		State:       string(e.State),
		StateReason: e.StateReason,
		StateSince:  e.StateSince,
		ManagedBy:   string(e.ManagedBy),
		CreatedAt:   e.CreatedAt,
		UpdatedAt:   e.UpdatedAt,
	}
	if v.Auth.Kind == "" {
		v.Auth.Kind = store.AuthNone
	}
	for _, s := range e.Secrets {
		if s.Until.IsZero() || s.Until.After(now) {
			v.SecretCount++
		}
	}
	for _, sub := range e.Subscriptions {
		v.Subscriptions = append(v.Subscriptions, SubscriptionSpec(sub))
	}
	if e.RateLimit.PerSecond > 0 {
		v.RateLimit = (*RateLimitSpec)(&e.RateLimit)
	}
	return v
}

func (s *Server) endpointRoutes(api huma.API) {
	huma.Register(api, operation("endpoints", "list-endpoints", http.MethodGet, "/v1/endpoints",
		"List endpoints", "By id, oldest first, without deleted ones."), s.listEndpoints)
	huma.Register(api, creation("endpoints", "create-endpoint", "/v1/endpoints",
		"Create an endpoint", "It gets every event that is accepted from now on (within 3 s either way) and matches a subscription. Without secrets one is generated, and shown in this answer only.",
		EndpointSpec{
			Name: "billing", URL: "https://billing.example.com/hooks",
			Subscriptions: []SubscriptionSpec{{Types: []string{"order.**", "invoice.paid"}, Sources: []string{"shop"}}},
			RateLimit:     &RateLimitSpec{PerSecond: 50, Burst: 100}, Timeout: Duration(10 * time.Second),
		},
	), s.createEndpoint)
	huma.Register(api, operation("endpoints", "get-endpoint", http.MethodGet, "/v1/endpoints/{id}",
		"Get an endpoint", "A deleted one too, in state deleted.", http.StatusNotFound), s.getEndpoint)
	huma.Register(api, operation("endpoints", "delete-endpoint", http.MethodDelete, "/v1/endpoints/{id}",
		"Delete an endpoint", "What waits for it is canceled; what is under way finishes.", http.StatusNotFound, http.StatusConflict), s.deleteEndpoint)
}

func (s *Server) listEndpoints(ctx context.Context, in *ListInput) (*bodyOf[Page[Endpoint]], error) {
	tenant, err := callerOf(ctx).tenant(in.Tenant)
	if err != nil {
		return nil, err
	}
	after, err := decodeNumberCursor(endpointCursor, in.Cursor)
	if err != nil {
		return nil, badParam("query.cursor", in.Cursor, err.Error())
	}
	rows, err := s.store.ListEndpoints(ctx, tenant, store.EndpointID(after), in.Limit+1)
	if err != nil {
		return nil, s.failed(ctx, "list endpoints", err)
	}
	now := time.Now()
	view := func(e *store.Endpoint) Endpoint { return viewEndpoint(e, now) }
	return &bodyOf[Page[Endpoint]]{pageOf(rows, in.Limit, view, func(e *store.Endpoint) string {
		return encodeNumberCursor(endpointCursor, uint32(e.ID))
	})}, nil
}

type createdEndpoint struct {
	Location string `header:"Location" doc:"Where the endpoint is."`
	Body     CreatedEndpoint
}

func (s *Server) createEndpoint(ctx context.Context, in *struct{ Body EndpointSpec }) (*createdEndpoint, error) {
	who := callerOf(ctx)
	tenant, err := who.tenant(in.Body.Tenant)
	if err != nil {
		return nil, err
	}
	in.Body.Tenant = tenant
	e, problems := ValidateEndpoint("", in.Body, s.rules)
	if len(problems) > 0 {
		return nil, invalid(problems)
	}
	e.ManagedBy = store.ManagedByAPI
	var generated []string
	if len(e.Secrets) == 0 {
		secret := store.Secret(webhook.GenerateSecret())
		e.Secrets = []store.SigningSecret{{Secret: secret}}
		generated = []string{secret.Reveal()}
	}
	e, err = s.store.CreateEndpoint(ctx, e)
	if err != nil {
		return nil, s.failed(ctx, "create endpoint", err)
	}
	s.log.Info("endpoint created", telemetry.Tenant(e.Tenant), telemetry.EndpointID(e.ID), zap.String(keyBy, who.name()))
	s.changed(ctx)
	return &createdEndpoint{"/v1/endpoints/" + e.ID.String(), CreatedEndpoint{viewEndpoint(&e, time.Now()), generated}}, nil
}

func (s *Server) getEndpoint(ctx context.Context, in *IDInput) (*bodyOf[Endpoint], error) {
	e, err := s.endpoint(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &bodyOf[Endpoint]{viewEndpoint(&e, time.Now())}, nil
}

func (s *Server) deleteEndpoint(ctx context.Context, in *IDInput) (*struct{}, error) {
	e, err := s.endpoint(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if err := s.store.DeleteEndpoint(ctx, e.ID); err != nil {
		return nil, s.failed(ctx, "delete endpoint", err)
	}
	s.log.Info("endpoint deleted", telemetry.Tenant(e.Tenant), telemetry.EndpointID(e.ID), zap.String(keyBy, callerOf(ctx).name()))
	s.changed(ctx)
	return nil, nil
}

// endpoint returns the endpoint that a path names, if it exists for the caller.
func (s *Server) endpoint(ctx context.Context, text string) (store.Endpoint, error) {
	id, err := store.ParseEndpointID(text)
	if err != nil {
		return store.Endpoint{}, badParam("path.id", text, err.Error())
	}
	e, err := s.store.GetEndpoint(ctx, id)
	if err != nil {
		return e, s.failed(ctx, "get endpoint", err)
	}
	if !callerOf(ctx).sees(e.Tenant) {
		return store.Endpoint{}, errNotFound
	}
	return e, nil
}
