package control

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/sluicehq/sluice/store"
)

// caller is who makes a request.
type caller struct {
	key *store.Key // nil with AuthNone
}

type callerKey struct{}

// callerOf returns who makes the request of ctx. Every route of the API is behind authenticate, so there is one.
func callerOf(ctx context.Context) caller { return ctx.Value(callerKey{}).(caller) }

func (c caller) admin() bool { return c.key == nil || c.key.Scope == store.ScopeAdmin }

// sees reports whether what belongs to tenant exists for the caller.
func (c caller) sees(tenant string) bool { return c.admin() || c.key.Tenant == tenant }

// tenant returns the tenant that a request is about when it asks for one: for admins the one asked for, for others
// their own. Empty is all tenants, or none said.
func (c caller) tenant(asked string) (string, error) {
	switch {
	case c.admin():
		return asked, nil
	case asked != "" && asked != c.key.Tenant:
		return "", errOtherTenant
	}
	return c.key.Tenant, nil
}

// name says who it was, for the reason of a change.
func (c caller) name() string {
	if c.key == nil {
		return "through the API"
	}
	return "with key " + c.key.Name
}

// authenticate is the middleware before every route: it lets admin and tenant keys through.
func (s *Server) authenticate(ctx huma.Context, next func(huma.Context)) {
	if s.cfg.Auth == AuthNone {
		next(huma.WithValue(ctx, callerKey{}, caller{}))
		return
	}
	r, _ := humago.Unwrap(ctx)
	text, ok := bearer(r.Header["Authorization"])
	if !ok {
		s.refuseKey(ctx, errNoKey)
		return
	}
	key, ok := find(s.keys, text)
	if !ok {
		s.refuseKey(ctx, errNoKey)
		return
	}
	if key.Scope != store.ScopeAdmin && (key.Scope != store.ScopeTenant || key.Tenant == "") {
		s.refuseKey(ctx, errPublishKey)
		return
	}
	next(huma.WithValue(ctx, callerKey{}, caller{key: key}))
}

func (s *Server) refuseKey(ctx huma.Context, f *failure) {
	if f.Status == http.StatusUnauthorized {
		ctx.SetHeader("WWW-Authenticate", `Bearer realm="sluice"`)
	}
	writeFailure(ctx, f)
}

func writeFailure(ctx huma.Context, f *failure) {
	ctx.SetHeader("Content-Type", problemJSON)
	ctx.SetStatus(f.Status)
	jsonFormat.Marshal(ctx.BodyWriter(), f) //nolint:errcheck // the client has gone
}
