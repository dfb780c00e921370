package storetest

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sluicehq/sluice/store"
)

func newSource(name string) store.Source {
	return store.Source{Tenant: "default", Name: name, Provider: "github", Secrets: []store.Secret{"canary-source-secret"}, Dedupe: true, ManagedBy: store.ManagedByAPI}
}

func (b *bench) source(name string) store.Source {
	b.Helper()
	return ok(b.Store.CreateSource(b.Context(), newSource(name)))(b)
}

func (b *bench) changes(since int64) store.Changes {
	b.Helper()
	return ok(b.Store.Changes(b.Context(), since))(b)
}

func (b *bench) version() int64 {
	b.Helper()
	return b.changes(0).Version
}

// bumps checks that f makes a new version of the configuration, and just one.
func (b *bench) bumps(what string, f func()) {
	b.Helper()
	before := b.version()
	f()
	if after := b.version(); after != before+1 {
		b.Fatalf("%s: version %d after %d", what, after, before)
	}
}

// about checks that the store's clock set t.
func (b *bench) about(t time.Time) {
	b.Helper()
	if t.Sub(b.now).Abs() > time.Minute || t.Location() != time.UTC || t != t.Truncate(time.Millisecond) {
		b.Fatalf("time %v, want about %v, UTC, whole milliseconds", t, b.now)
	}
}

// churn creates sources and deletes two of three again.
func (b *bench) churn(name string, rounds int) error {
	for i := range rounds {
		src, err := b.Store.CreateSource(b.Context(), newSource(fmt.Sprint(name, i)))
		if err == nil && i%3 != 0 {
			err = b.Store.DeleteSource(b.Context(), src.ID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var configPromises = []promise{
	{"a source comes back with every field", func(b *bench) {
		want := store.Source{
			Tenant: "acme", Name: "orders", Provider: "hmac", Params: map[string]string{"header": "x-sig", "empty": ""},
			Secrets: []store.Secret{"one", "\xff\x00two", ""}, Dedupe: true, ManagedBy: store.ManagedByFile,
		}
		made := ok(b.Store.CreateSource(b.Context(), want))(b)
		b.about(made.CreatedAt)
		want.ID, want.CreatedAt, want.UpdatedAt = made.ID, made.CreatedAt, made.CreatedAt
		equal(b, "CreateSource", made, want)
		equal(b, "GetSource", ok(b.Store.GetSource(b.Context(), made.ID))(b), want)
		equal(b, "Changes", b.changes(0).Sources, []store.Source{want})
		b.Store = b.Reopen(b.T)
		equal(b, "reopened", ok(b.Store.GetSource(b.Context(), made.ID))(b), want)
	}},
	{"names of sources are unique in their tenant", func(b *bench) {
		b.source("a")
		before := b.version()
		_, err := b.Store.CreateSource(b.Context(), newSource("a"))
		b.want(err, store.ErrExists)
		equal(b, "version", b.version(), before)
		other := newSource("a")
		other.Tenant = "acme"
		ok(b.Store.CreateSource(b.Context(), other))(b)
	}},
	{"a deleted source is gone, its name free and its number never used again", func(b *bench) {
		old := b.source("a")
		b.bumps("DeleteSource", func() { b.must(b.Store.DeleteSource(b.Context(), old.ID)) })
		_, err := b.Store.GetSource(b.Context(), old.ID)
		b.want(err, store.ErrNotFound)
		b.want(b.Store.DeleteSource(b.Context(), old.ID), store.ErrNotFound)
		if again := b.source("a"); again.ID <= old.ID {
			b.Fatalf("source %d after source %d", again.ID, old.ID)
		}
	}},
	{"what the file manages is not deleted", func(b *bench) {
		src, e := newSource("a"), newEndpoint("a")
		src.ManagedBy, e.ManagedBy = store.ManagedByFile, store.ManagedByFile
		b.want(b.Store.DeleteSource(b.Context(), ok(b.Store.CreateSource(b.Context(), src))(b).ID), store.ErrManaged)
		b.want(b.Store.DeleteEndpoint(b.Context(), ok(b.Store.CreateEndpoint(b.Context(), e))(b).ID), store.ErrManaged)
	}},
	{"sources are listed by id, page by page, by tenant", func(b *bench) {
		var all []store.Source
		for i := range 5 {
			src := newSource(fmt.Sprint("s", i))
			src.Tenant = []string{"default", "acme"}[i%2]
			all = append(all, ok(b.Store.CreateSource(b.Context(), src))(b))
		}
		equal(b, "first page", ok(b.Store.ListSources(b.Context(), "", 0, 2))(b), all[:2])
		equal(b, "second page", ok(b.Store.ListSources(b.Context(), "", all[1].ID, 9))(b), all[2:])
		equal(b, "acme", ok(b.Store.ListSources(b.Context(), "acme", 0, 9))(b), []store.Source{all[1], all[3]})
		equal(b, "nobody", ok(b.Store.ListSources(b.Context(), "nobody", 0, 9))(b), nil)
	}},
	{"a number that nothing has is not found", func(b *bench) {
		const none = 1<<32 - 1 // the API takes it
		_, err := b.Store.GetSource(b.Context(), none)
		b.want(err, store.ErrNotFound)
		_, err = b.Store.GetEndpoint(b.Context(), none)
		b.want(err, store.ErrNotFound)
		_, err = b.Store.SetEndpointState(b.Context(), none, store.EndpointPaused, "")
		b.want(err, store.ErrNotFound)
		b.want(b.Store.DeleteSource(b.Context(), none), store.ErrNotFound)
		b.want(b.Store.DeleteEndpoint(b.Context(), none), store.ErrNotFound)
		b.want(b.Store.DeleteKey(b.Context(), none), store.ErrNotFound)
		b.source("a")
		equal(b, "sources", ok(b.Store.ListSources(b.Context(), "", none, 9))(b), nil)
		equal(b, "endpoints", ok(b.Store.ListEndpoints(b.Context(), "", none, 9))(b), nil)
	}},
	{"version 0 gives everything in force without tombstones", func(b *bench) {
		gone, stays := b.source("gone"), b.source("stays")
		b.must(b.Store.DeleteSource(b.Context(), gone.ID))
		end := b.endpoint("gone")
		b.must(b.Store.DeleteEndpoint(b.Context(), end.ID))
		ch := b.changes(0)
		equal(b, "sources", ch.Sources, []store.Source{stays})
		if len(ch.Endpoints)+len(ch.DeletedEndpoints)+len(ch.DeletedSources)+len(ch.DeletedKeys) != 0 {
			b.Fatalf("Changes(0) = %+v", ch)
		}
	}},
	{"a version gives what changed after it, tombstones too", func(b *bench) {
		src, end := b.source("a"), b.endpoint("a")
		key := ok(b.Store.CreateKey(b.Context(), newKey(1)))(b)
		at := b.version()
		equal(b, "nothing", b.changes(at), store.Changes{Version: at})
		other, second := b.source("b"), b.endpoint("b")
		b.must(b.Store.DeleteSource(b.Context(), src.ID))
		b.must(b.Store.DeleteEndpoint(b.Context(), end.ID))
		b.must(b.Store.DeleteKey(b.Context(), key.ID))
		equal(b, "Changes", b.changes(at), store.Changes{
			Version: at + 5, Sources: []store.Source{other}, Endpoints: []store.Endpoint{second}, DeletedSources: []store.SourceID{src.ID},
			DeletedEndpoints: []store.EndpointID{end.ID}, DeletedKeys: []store.KeyID{key.ID},
		})
		equal(b, "the last alone", b.changes(at+4), store.Changes{Version: at + 5, DeletedKeys: []store.KeyID{key.ID}})
	}},
	{"a version from the future gives everything anew", func(b *bench) {
		src := b.source("a")
		ch := b.changes(b.version() + 100)
		if !ch.Full || len(ch.Sources) != 1 || ch.Sources[0].ID != src.ID || ch.Version != b.version() {
			b.Fatalf("Changes = %+v", ch)
		}
	}},
	{"a version whose tombstones are gone gives everything anew", func(b *bench) {
		src := b.source("a")
		at := b.version()
		b.must(b.Store.DeleteSource(b.Context(), src.ID))
		after := b.version()
		stays := b.source("b")
		later := b.now.Add(48 * time.Hour)
		for more := true; more; {
			more = ok(b.Store.Expire(b.Context(), later, later, later, 100))(b)
		}
		equal(b, "from before", b.changes(at), store.Changes{Version: after + 1, Full: true, Sources: []store.Source{stays}})
		equal(b, "from after", b.changes(after), store.Changes{Version: after + 1, Sources: []store.Source{stays}})
	}},
	{"secrets are not readable at rest", func(b *bench) {
		src, e := newSource("a"), newEndpoint("a")
		src.Secrets = []store.Secret{"canary-source-secret"}
		e.URL, e.Headers = "https://example.com/canary-url-token", map[string]string{"x-api-key": "canary-header-value"}
		e.Secrets = []store.SigningSecret{{Secret: "whsec_canary-signing-secret"}}
		e.Auth = store.Auth{Kind: store.AuthBearer, Secret: "canary-auth-token"}
		made := ok(b.Store.CreateEndpoint(b.Context(), e))(b)
		ok(b.Store.CreateSource(b.Context(), src))(b)
		ok(b.Store.SetEndpointState(b.Context(), made.ID, store.EndpointPaused, ""))(b)
		ok(b.Store.ApplyFile(b.Context(), []store.Source{src}, []store.Endpoint{e}))(b)
		raw := b.AtRest(b.T)
		if !bytes.Contains(raw, []byte("github")) {
			b.Fatal("what is at rest does not even have the provider's name: the test looks in the wrong place")
		}
		for _, canary := range []string{"canary-source", "canary-url", "canary-header", "canary-signing", "canary-auth"} {
			if bytes.Contains(raw, []byte(canary)) {
				b.Errorf("%s is readable", canary)
			}
		}
	}},
	{"who follows versions misses nothing, however many write", func(b *bench) {
		const writers, rounds = 4, 15
		errs := make(chan error, writers)
		var wait sync.WaitGroup
		for w := range writers {
			wait.Go(func() { errs <- b.churn(fmt.Sprint("w", w), rounds) })
		}
		written := make(chan struct{})
		go func() { wait.Wait(); close(written) }()
		known, seen := map[store.SourceID]store.Source{}, int64(0)
		for last := false; ; {
			ch := b.changes(seen)
			if ch.Version < seen {
				b.Fatalf("version %d after %d", ch.Version, seen)
			}
			seen = ch.Version
			for _, src := range ch.Sources {
				known[src.ID] = src
			}
			for _, id := range ch.DeletedSources {
				delete(known, id)
			}
			if last {
				break
			}
			select {
			case <-written:
				last = true
			default:
			}
		}
		for range writers {
			b.must(<-errs)
		}
		equal(b, "known", slices.SortedFunc(maps.Values(known), func(a, b store.Source) int { return cmp.Compare(a.ID, b.ID) }), b.changes(0).Sources)
		equal(b, "version", seen, 1+int64(writers*rounds*2-writers*rounds/3)) // fails if a version was made twice
	}},
}
