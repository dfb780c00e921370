package storetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/sluicehq/sluice/store"
)

func (b *bench) apply(sources []store.Source, endpoints []store.Endpoint, options ...store.ApplyOption) store.Applied {
	b.Helper()
	return ok(b.Store.ApplyFile(b.Context(), sources, endpoints, options...))(b)
}

// wantApplied checks what was applied, one "action kind name" each.
func (b *bench) wantApplied(applied store.Applied, want ...string) {
	b.Helper()
	var got, released []string
	note := func(action store.ChangeAction, kind, before, after string) {
		name := after
		if after == "" {
			name = before
		}
		got = append(got, fmt.Sprintf("%s %s %s", action, kind, name))
		if action == store.ChangeReleased {
			released = append(released, kind+" "+name)
		}
		if (before == "") != (action == store.ChangeCreated) || (after == "") != (action == store.ChangeDeleted) {
			b.Fatalf("%s %s: before %q, after %q", action, kind, before, after)
		}
	}
	for _, c := range applied.Sources {
		note(c.Action, "source", c.Before.Name, c.After.Name)
	}
	for _, c := range applied.Endpoints {
		note(c.Action, "endpoint", c.Before.Name, c.After.Name)
	}
	equal(b, "ApplyFile", got, want)
	equal(b, "Released", applied.Released, released)
}

var applyPromises = []promise{
	{"what the file names is created, and managed by it", func(b *bench) {
		applied := b.apply([]store.Source{newSource("s")}, []store.Endpoint{newEndpoint("e")})
		b.wantApplied(applied, "created source s", "created endpoint e")
		ch := b.changes(0)
		if ch.Sources[0].ManagedBy != store.ManagedByFile || ch.Endpoints[0].ManagedBy != store.ManagedByFile || b.gate(ch.Endpoints[0].ID).State != store.GateOpen {
			b.Fatalf("Changes = %+v", ch)
		}
	}},
	{"all of it is one version, and what is equal is not written", func(b *bench) {
		sources := []store.Source{newSource("s"), newSource("t")}
		endpoints := []store.Endpoint{newEndpoint("e"), fullEndpoint(b)}
		b.bumps("ApplyFile", func() { b.apply(sources, endpoints) })
		before := b.changes(0)
		b.Advance(time.Hour)
		b.wantApplied(b.apply(sources, endpoints))
		equal(b, "Changes", b.changes(0), before)
	}},
	{"an update keeps id, state, gate and creation", func(b *bench) {
		b.apply([]store.Source{newSource("s")}, []store.Endpoint{newEndpoint("e")})
		before := b.changes(0)
		e := b.setState(before.Endpoints[0].ID, store.EndpointPaused, "quiet")
		g := b.gate(e.ID)
		src, want := newSource("s"), newEndpoint("e")
		src.Secrets, want.URL = []store.Secret{"new"}, "https://example.com/new"
		b.Advance(time.Hour)
		applied := b.apply([]store.Source{src}, []store.Endpoint{want})
		b.wantApplied(applied, "updated source s", "updated endpoint e")
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
		applied := b.apply([]store.Source{newSource("s")}, []store.Endpoint{newEndpoint("e")})
		b.wantApplied(applied, "updated source s", "updated endpoint e")
		b.want(b.Store.DeleteSource(b.Context(), src.ID), store.ErrManaged)
		b.want(b.Store.DeleteEndpoint(b.Context(), e.ID), store.ErrManaged)
	}},
	{"what the file no longer names goes to the API, and stays in force", func(b *bench) {
		b.endpoint("of the api")
		b.apply([]store.Source{newSource("s")}, []store.Endpoint{newEndpoint("e")})
		at := b.version()
		applied := b.apply(nil, nil)
		b.wantApplied(applied, "released source s", "released endpoint e")
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
		applied := b.apply(nil, []store.Endpoint{newEndpoint("e")})
		b.wantApplied(applied, "created endpoint e")
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
		b.apply(nil, []store.Endpoint{one, other})
		applied := b.apply(nil, []store.Endpoint{other})
		b.wantApplied(applied, "released endpoint e")
	}},
	{"what was applied is said as it was and as it is stored", func(b *bench) {
		src := newSource("s")
		src.ManagedBy = store.ManagedByAPI
		sources := []store.Source{src}
		made := b.apply(sources, []store.Endpoint{fullEndpoint(b)})
		ch := b.changes(0)
		equal(b, "created source", made.Sources[0].After, ch.Sources[0])
		equal(b, "created endpoint", made.Endpoints[0].After, ch.Endpoints[0])
		equal(b, "what the caller gave", sources[0], src)
		b.Advance(time.Hour)
		want := fullEndpoint(b)
		want.Secrets, want.Timeout = want.Secrets[:1], time.Minute
		changed := b.apply(nil, []store.Endpoint{want})
		now := b.changes(0)
		equal(b, "released before", changed.Sources[0].Before, ch.Sources[0])
		equal(b, "released after", changed.Sources[0].After, now.Sources[0])
		equal(b, "updated before", changed.Endpoints[0].Before, ch.Endpoints[0])
		equal(b, "updated after", changed.Endpoints[0].After, now.Endpoints[0])
		pruned := b.apply(nil, nil, store.ApplyPrune)
		equal(b, "deleted", pruned.Endpoints[0], store.Change[store.Endpoint]{Action: store.ChangeDeleted, Before: now.Endpoints[0]})
	}},
	{"what the file names keeps its number, whatever its place, and when it is released and named again", func(b *bench) {
		b.apply([]store.Source{newSource("s"), newSource("t")}, []store.Endpoint{newEndpoint("e"), newEndpoint("f")})
		before := b.changes(0)
		paused := b.setState(before.Endpoints[0].ID, store.EndpointPaused, "quiet")
		b.wantApplied(b.apply([]store.Source{newSource("t"), newSource("s")}, []store.Endpoint{newEndpoint("f"), newEndpoint("e")}))
		b.wantApplied(b.apply([]store.Source{newSource("t")}, []store.Endpoint{newEndpoint("f")}), "released source s", "released endpoint e")
		b.wantApplied(b.apply([]store.Source{newSource("t"), newSource("s")}, []store.Endpoint{newEndpoint("f"), newEndpoint("e")}),
			"updated source s", "updated endpoint e")
		after := b.changes(0)
		for i := range after.Sources {
			if after.Sources[i].ID != before.Sources[i].ID || after.Sources[i].Name != before.Sources[i].Name {
				b.Fatalf("source %+v, was %+v", after.Sources[i], before.Sources[i])
			}
		}
		paused.UpdatedAt = after.Endpoints[0].UpdatedAt
		equal(b, "endpoint", after.Endpoints[0], paused)
		equal(b, "the other", after.Endpoints[1], before.Endpoints[1])
	}},
	{"pruning deletes what the file no longer names, and nothing else", func(b *bench) {
		apis, apie := b.source("of the api"), b.endpoint("of the api")
		b.apply([]store.Source{newSource("s"), newSource("stays")}, []store.Endpoint{newEndpoint("e"), newEndpoint("stays")})
		gone := b.changes(0)
		at := b.version()
		id := gone.Endpoints[1].ID
		queued := b.backlog(1, id)[0]
		applied := b.apply([]store.Source{newSource("stays")}, []store.Endpoint{newEndpoint("stays")}, store.ApplyPrune)
		b.wantApplied(applied, "deleted source s", "deleted endpoint e")
		equal(b, "Changes", b.changes(at), store.Changes{
			Version: at + 1, DeletedSources: []store.SourceID{gone.Sources[1].ID}, DeletedEndpoints: []store.EndpointID{id},
		})
		b.must(b.Store.DeleteSource(b.Context(), apis.ID))
		b.must(b.Store.DeleteEndpoint(b.Context(), apie.ID))
		if e := ok(b.Store.GetEndpoint(b.Context(), id))(b); e.State != store.EndpointDeleted || e.URL != "" {
			b.Fatalf("GetEndpoint = %+v, want a tombstone without secrets", e)
		}
		_, err := b.Store.GetGate(b.Context(), id)
		b.want(err, store.ErrNotFound)
		b.wantState(queued, store.DeliveryQueued)
		b.wantApplied(b.apply([]store.Source{newSource("stays")}, []store.Endpoint{newEndpoint("stays"), newEndpoint("e")}), "created endpoint e")
		if again := b.changes(at).Endpoints[0].ID; again <= id {
			b.Fatalf("endpoint %d after endpoint %d", again, id)
		}
	}},
	{"what was released is the API's, and pruning leaves it", func(b *bench) {
		b.apply([]store.Source{newSource("s")}, []store.Endpoint{newEndpoint("e")})
		b.apply(nil, nil)
		b.wantApplied(b.apply(nil, nil, store.ApplyPrune))
		equal(b, "sources", len(b.changes(0).Sources), 1)
	}},
	{"a dry run says the same and changes nothing", func(b *bench) {
		b.source("taken")
		b.apply([]store.Source{newSource("gone")}, []store.Endpoint{newEndpoint("e"), newEndpoint("gone")})
		before := b.changes(0)
		changed := newEndpoint("e")
		changed.URL = "https://example.com/new"
		sources, endpoints := []store.Source{newSource("taken"), newSource("new")}, []store.Endpoint{changed, newEndpoint("new")}
		kept := []string{"updated source taken", "created source new", "released source gone", "updated endpoint e", "created endpoint new", "released endpoint gone"}
		dry := b.apply(sources, endpoints, store.ApplyDryRun)
		b.wantApplied(dry, kept...)
		if made := dry.Endpoints[1].After; made.ID != 0 || !made.CreatedAt.IsZero() {
			b.Fatalf("a dry run made %+v", made)
		}
		pruned := b.apply(sources, endpoints, store.ApplyDryRun, store.ApplyPrune)
		b.wantApplied(pruned, "updated source taken", "created source new", "deleted source gone", "updated endpoint e", "created endpoint new", "deleted endpoint gone")
		equal(b, "Changes", b.changes(0), before)
		_, err := b.Store.ApplyFile(b.Context(), []store.Source{newSource("x"), newSource("x")}, nil, store.ApplyDryRun)
		b.want(err, store.ErrExists)
		b.wantApplied(b.apply(sources, endpoints), kept...)
	}},
	{"files applied at once are applied one after the other", func(b *bench) {
		files := [2][]store.Endpoint{}
		for i := range files {
			both, own := newEndpoint("both"), newEndpoint(fmt.Sprint("own", i))
			both.URL = own.URL
			files[i] = []store.Endpoint{both, own}
		}
		errs := make(chan error, 20)
		var wait sync.WaitGroup
		for n := range cap(errs) {
			wait.Go(func() {
				_, err := b.Store.ApplyFile(b.Context(), nil, files[n%2])
				errs <- err
			})
		}
		wait.Wait()
		close(errs)
		for err := range errs {
			b.must(err)
		}
		all := b.changes(0).Endpoints
		equal(b, "endpoints", len(all), 3)
		both := all[slices.IndexFunc(all, func(e store.Endpoint) bool { return e.Name == "both" })]
		for _, e := range all {
			last := e.URL == both.URL
			if (e.ManagedBy == store.ManagedByFile) != last {
				b.Fatalf("endpoint %s of %s is managed by %s, and both has %s", e.Name, e.URL, e.ManagedBy, both.URL)
			}
		}
	}},
}
