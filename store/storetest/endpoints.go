package storetest

import (
	"fmt"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// fullEndpoint has something in every field.
func fullEndpoint(b *bench) store.Endpoint {
	return store.Endpoint{
		Tenant: "acme", Name: "billing", URL: "https://example.com/hook?token=1",
		Secrets: []store.SigningSecret{{Secret: "whsec_b25l"}, {Secret: "whsec_dHdv", Until: b.now.Add(time.Hour)}},
		Auth:    store.Auth{Kind: store.AuthBasic, Username: "sluice", Secret: "pass\xff"},
		Headers: map[string]string{"x-team": "billing", "x-empty": ""}, Forward: store.Forward{Headers: true, Query: true},
		Subscriptions: []store.Subscription{{Types: []string{"order.**", "invoice.paid"}, Sources: []string{"orders"}}, {}},
		RateLimit:     store.RateLimit{PerSecond: 2.5, Burst: 10}, MaxInFlight: 3, MaxQueued: 77, Timeout: 7 * time.Second,
		Retry: store.RetryPolicy{Base: time.Second, Factor: 1.5, Cap: time.Hour, MaxAge: 24 * time.Hour}, ManagedBy: store.ManagedByAPI,
	}
}

func (b *bench) setState(id store.EndpointID, state store.EndpointState, reason string) store.Endpoint {
	b.Helper()
	return ok(b.Store.SetEndpointState(b.Context(), id, state, reason))(b)
}

var endpointPromises = []promise{
	{"an endpoint comes back with every field", func(b *bench) {
		want := fullEndpoint(b)
		made := ok(b.Store.CreateEndpoint(b.Context(), want))(b)
		b.about(made.CreatedAt)
		want.ID, want.State, want.StateSince = made.ID, store.EndpointActive, made.CreatedAt
		want.CreatedAt, want.UpdatedAt = made.CreatedAt, made.CreatedAt
		equal(b, "CreateEndpoint", made, want)
		b.Store = b.Reopen(b.T)
		equal(b, "GetEndpoint", ok(b.Store.GetEndpoint(b.Context(), made.ID))(b), want)
		equal(b, "Changes", b.changes(0).Endpoints, []store.Endpoint{want})
	}},
	{"names are unique in a tenant among those not deleted", func(b *bench) {
		old := b.endpoint("a")
		_, err := b.Store.CreateEndpoint(b.Context(), newEndpoint("a"))
		b.want(err, store.ErrExists)
		b.must(b.Store.DeleteEndpoint(b.Context(), old.ID))
		if again := b.endpoint("a"); again.ID <= old.ID {
			b.Fatalf("endpoint %d after endpoint %d", again.ID, old.ID)
		}
	}},
	{"endpoints are listed by id, page by page, by tenant, without tombstones", func(b *bench) {
		var all []store.Endpoint
		for i := range 6 {
			e := newEndpoint(fmt.Sprint("e", i))
			e.Tenant = []string{"default", "acme"}[i%2]
			all = append(all, ok(b.Store.CreateEndpoint(b.Context(), e))(b))
		}
		b.must(b.Store.DeleteEndpoint(b.Context(), all[2].ID))
		equal(b, "first page", ok(b.Store.ListEndpoints(b.Context(), "", 0, 2))(b), all[:2])
		equal(b, "second page", ok(b.Store.ListEndpoints(b.Context(), "", all[1].ID, 9))(b), all[3:])
		equal(b, "default", ok(b.Store.ListEndpoints(b.Context(), "default", 0, 9))(b), []store.Endpoint{all[0], all[4]})
	}},
	{"a deleted endpoint is a tombstone without secrets", func(b *bench) {
		full := fullEndpoint(b)
		full.Tenant, full.Name = event.DefaultTenant, "a"
		e := ok(b.Store.CreateEndpoint(b.Context(), full))(b)
		b.bumps("DeleteEndpoint", func() { b.must(b.Store.DeleteEndpoint(b.Context(), e.ID)) })
		got := ok(b.Store.GetEndpoint(b.Context(), e.ID))(b)
		if got.State != store.EndpointDeleted || got.Name != "a" || got.Tenant != e.Tenant ||
			got.URL != "" || len(got.Secrets)+len(got.Headers) > 0 || got.Auth.Secret != "" {
			b.Fatalf("GetEndpoint = %+v", got)
		}
		b.want(b.Store.DeleteEndpoint(b.Context(), e.ID), store.ErrNotFound)
		_, err := b.Store.SetEndpointState(b.Context(), e.ID, store.EndpointActive, "")
		b.want(err, store.ErrNotFound)
		_, err = b.Store.GetEndpoint(b.Context(), 99)
		b.want(err, store.ErrNotFound)
	}},
	{"what a deleted endpoint has queued stays until it is finished", func(b *bench) {
		e := b.endpoint("a")
		ids := b.backlog(2, e.ID)
		b.must(b.Store.DeleteEndpoint(b.Context(), e.ID))
		b.wantState(ids[0], store.DeliveryQueued)
		n := ok(b.Store.Finish(b.Context(), store.FinishQuery{Endpoint: e.ID, Now: b.now, State: store.DeliveryCanceled, Reason: store.ReasonDeleted, Limit: 9}))(b)
		equal(b, "ended", n, 2)
		b.wantState(ids[1], store.DeliveryCanceled)
	}},
	{"a state is set with its reason and time, whoever manages the endpoint", func(b *bench) {
		e := newEndpoint("a")
		e.ManagedBy = store.ManagedByFile
		e = ok(b.Store.CreateEndpoint(b.Context(), e))(b)
		b.Advance(time.Hour)
		b.bumps("SetEndpointState", func() {
			got := b.setState(e.ID, store.EndpointDisabled, "410 twice")
			if got.State != store.EndpointDisabled || got.StateReason != "410 twice" || got.StateSince.Sub(b.now.Add(time.Hour)).Abs() > time.Minute {
				b.Fatalf("SetEndpointState = %+v", got)
			}
			equal(b, "GetEndpoint", ok(b.Store.GetEndpoint(b.Context(), e.ID))(b), got)
		})
	}},
	{"an endpoint already there is left as it is", func(b *bench) {
		e := b.endpoint("a")
		paused := b.setState(e.ID, store.EndpointPaused, "first")
		at := b.version()
		b.Advance(time.Hour)
		equal(b, "again", b.setState(e.ID, store.EndpointPaused, "second"), paused)
		equal(b, "version", b.version(), at)
	}},
	{"becoming active closes the gate for a probe, due now, with nothing held against it", func(b *bench) {
		g := b.gate(b.endpoint("a").ID)
		g.State, g.NotBefore, g.Opens, g.FailingSince = store.GateClosed, b.now.Add(time.Hour), 4, b.now.Add(-time.Hour)
		g = ok(b.Store.SetGate(b.Context(), g))(b)
		b.setState(g.Endpoint, store.EndpointPaused, "")
		equal(b, "paused", b.gate(g.Endpoint), g)
		e := b.setState(g.Endpoint, store.EndpointActive, "")
		got := b.gate(g.Endpoint)
		if got.State != store.GateClosed || !got.NotBefore.Equal(e.StateSince) || got.Opens != 0 || got.Version != g.Version+1 || got.ChangedAt.Before(g.ChangedAt) {
			b.Fatalf("gate = %+v", got)
		}
		_, err := b.Store.SetGate(b.Context(), g)
		b.want(err, store.ErrConflict)
	}},
	{"a state that is none of them is refused", func(b *bench) {
		e := b.endpoint("a")
		for _, state := range []store.EndpointState{"", "asleep", store.EndpointDeleted} {
			_, err := b.Store.SetEndpointState(b.Context(), e.ID, state, "")
			b.want(err, store.ErrData)
		}
	}},
}
