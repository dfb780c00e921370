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

var applyPromises = []promise{
	{"what the file names is created, and managed by it", func(b *bench) {
		applied := ok(b.Store.ApplyFile(b.Context(), []store.Source{newSource("s")}, []store.Endpoint{newEndpoint("e")}))(b)
		equal(b, "ApplyFile", applied, store.Applied{Created: []string{"source s", "endpoint e"}})
		ch := b.changes(0)
		if ch.Sources[0].ManagedBy != store.ManagedByFile || ch.Endpoints[0].ManagedBy != store.ManagedByFile || b.gate(ch.Endpoints[0].ID).State != store.GateOpen {
			b.Fatalf("Changes = %+v", ch)
		}
	}},
	{"all of it is one version, and what is equal is not written", func(b *bench) {
		sources := []store.Source{newSource("s"), newSource("t")}
		endpoints := []store.Endpoint{newEndpoint("e"), fullEndpoint(b)}
		b.bumps("ApplyFile", func() { ok(b.Store.ApplyFile(b.Context(), sources, endpoints))(b) })
		before := b.changes(0)
		b.Advance(time.Hour)
		equal(b, "again", ok(b.Store.ApplyFile(b.Context(), sources, endpoints))(b), store.Applied{})
		equal(b, "Changes", b.changes(0), before)
	}},
	{"an update keeps id, state, gate and creation", func(b *bench) {
		ok(b.Store.ApplyFile(b.Context(), []store.Source{newSource("s")}, []store.Endpoint{newEndpoint("e")}))(b)
		before := b.changes(0)
		e := b.setState(before.Endpoints[0].ID, store.EndpointPaused, "quiet")
		g := b.gate(e.ID)
		src, want := newSource("s"), newEndpoint("e")
		src.Secrets, want.URL = []store.Secret{"new"}, "https://example.com/new"
		b.Advance(time.Hour)
		applied := ok(b.Store.ApplyFile(b.Context(), []store.Source{src}, []store.Endpoint{want}))(b)
		equal(b, "ApplyFile", applied, store.Applied{Updated: []string{"source s", "endpoint e"}})
		after := b.changes(0)
		if after.Sources[0].ID != before.Sources[0].ID || after.Sources[0].Secrets[0] != "new" || !after.Sources[0].CreatedAt.Equal(before.Sources[0].CreatedAt) {
			b.Fatalf("source = %+v", after.Sources[0])
		}
		e.URL, e.UpdatedAt = want.URL, after.Endpoints[0].UpdatedAt
		equal(b, "endpoint", after.Endpoints[0], e)
		equal(b, "gate", b.gate(e.ID), g)
		if !e.UpdatedAt.After(e.CreatedAt) {
			b.Fatal("the update has no time")
		}
	}},
	{"what the API manages is taken over", func(b *bench) {
		src, e := b.source("s"), b.endpoint("e")
		applied := ok(b.Store.ApplyFile(b.Context(), []store.Source{newSource("s")}, []store.Endpoint{newEndpoint("e")}))(b)
		equal(b, "ApplyFile", applied, store.Applied{Updated: []string{"source s", "endpoint e"}})
		b.want(b.Store.DeleteSource(b.Context(), src.ID), store.ErrManaged)
		b.want(b.Store.DeleteEndpoint(b.Context(), e.ID), store.ErrManaged)
	}},
	{"what the file no longer names goes to the API, and stays in force", func(b *bench) {
		b.endpoint("of the api")
		ok(b.Store.ApplyFile(b.Context(), []store.Source{newSource("s")}, []store.Endpoint{newEndpoint("e")}))(b)
		at := b.version()
		applied := ok(b.Store.ApplyFile(b.Context(), nil, nil))(b)
		equal(b, "ApplyFile", applied, store.Applied{Released: []string{"source s", "endpoint e"}})
		ch := b.changes(at)
		if ch.Version != at+1 || len(ch.Sources) != 1 || len(ch.Endpoints) != 1 || len(ch.DeletedEndpoints) != 0 {
			b.Fatalf("Changes = %+v", ch)
		}
		b.must(b.Store.DeleteSource(b.Context(), ch.Sources[0].ID))
		b.must(b.Store.DeleteEndpoint(b.Context(), ch.Endpoints[0].ID))
	}},
	{"a deleted name is created anew", func(b *bench) {
		old := b.endpoint("e")
		b.must(b.Store.DeleteEndpoint(b.Context(), old.ID))
		applied := ok(b.Store.ApplyFile(b.Context(), nil, []store.Endpoint{newEndpoint("e")}))(b)
		equal(b, "ApplyFile", applied, store.Applied{Created: []string{"endpoint e"}})
	}},
	{"a name that comes twice is refused, and nothing is written", func(b *bench) {
		at := b.version()
		_, err := b.Store.ApplyFile(b.Context(), []store.Source{newSource("s")}, []store.Endpoint{newEndpoint("e"), newEndpoint("e")})
		b.want(err, store.ErrExists)
		equal(b, "version", b.version(), at)
		equal(b, "sources", b.changes(0).Sources, nil)
	}},
	{"tenants are kept apart", func(b *bench) {
		one, other := newEndpoint("e"), newEndpoint("e")
		other.Tenant = "acme"
		ok(b.Store.ApplyFile(b.Context(), nil, []store.Endpoint{one, other}))(b)
		applied := ok(b.Store.ApplyFile(b.Context(), nil, []store.Endpoint{other}))(b)
		equal(b, "ApplyFile", applied, store.Applied{Released: []string{"endpoint e"}})
	}},
}
