package storetest

import (
	"errors"
	"sync"
	"time"

	"github.com/sluicehq/sluice/store"
)

func (b *bench) gate(id store.EndpointID) store.Gate {
	b.Helper()
	return ok(b.Store.GetGate(b.Context(), id))(b)
}

func (b *bench) gates(since time.Time) map[store.EndpointID]store.Gate {
	b.Helper()
	out := map[store.EndpointID]store.Gate{}
	for _, g := range ok(b.Store.ListGates(b.Context(), since))(b) {
		out[g.Endpoint] = g
	}
	return out
}

var gatePromises = []promise{
	{"an endpoint is created with an open gate", func(b *bench) {
		g := b.gate(b.endpoint("a").ID)
		if g.State != store.GateOpen || g.Version != 1 || g.Opens != 0 || !g.FailingSince.IsZero() || g.ChangedAt.Sub(b.now).Abs() > time.Minute {
			b.Fatalf("gate = %+v", g)
		}
	}},
	{"a gate that still has its version is written whole", func(b *bench) {
		g := b.gate(b.endpoint("a").ID)
		g.State, g.NotBefore, g.Opens, g.FailingSince = store.GateClosed, b.now.Add(15*time.Second), 2, b.now.Add(-time.Minute)
		b.Advance(time.Hour)
		set := ok(b.Store.SetGate(b.Context(), g))(b)
		if set.Version != 2 || set.ChangedAt.Sub(b.now.Add(time.Hour)).Abs() > time.Minute {
			b.Fatalf("SetGate = %+v, want version 2, changed by the store's clock", set)
		}
		want := g
		want.Version, want.ChangedAt = set.Version, set.ChangedAt
		equal(b, "SetGate", set, want)
		equal(b, "GetGate", b.gate(g.Endpoint), want)
	}},
	{"a gate that has changed meanwhile is a conflict, and stays", func(b *bench) {
		old := b.gate(b.endpoint("a").ID)
		first := ok(b.Store.SetGate(b.Context(), old))(b)
		_, err := b.Store.SetGate(b.Context(), old)
		b.want(err, store.ErrConflict)
		equal(b, "gate", b.gate(old.Endpoint), first)
	}},
	{"without a gate it is not found", func(b *bench) {
		_, err := b.Store.SetGate(b.Context(), store.Gate{Endpoint: 99, State: store.GateOpen, Version: 1})
		b.want(err, store.ErrNotFound)
		_, err = b.Store.GetGate(b.Context(), 99)
		b.want(err, store.ErrNotFound)
	}},
	{"a deleted endpoint's gate is gone", func(b *bench) {
		g := b.gate(b.endpoint("a").ID)
		b.must(b.Store.DeleteEndpoint(b.Context(), g.Endpoint))
		_, err := b.Store.SetGate(b.Context(), g)
		b.want(err, store.ErrNotFound)
	}},
	{"of writers with one version one wins", func(b *bench) {
		old := b.gate(b.endpoint("a").ID)
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() {
				g := old
				g.Opens = i
				_, errs[i] = b.Store.SetGate(b.Context(), g)
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else if !errors.Is(err, store.ErrConflict) {
				b.Error(err)
			}
		}
		if got := b.gate(old.Endpoint); won != 1 || got.Version != 2 {
			b.Fatalf("%d won, the gate is at version %d", won, got.Version)
		}
	}},
	{"the zero time lists those that are closed or failing", func(b *bench) {
		b.endpoint("open")
		closed, failing := b.gate(b.endpoint("closed").ID), b.gate(b.endpoint("failing").ID)
		closed.State, failing.FailingSince = store.GateClosed, b.now
		closed, failing = ok(b.Store.SetGate(b.Context(), closed))(b), ok(b.Store.SetGate(b.Context(), failing))(b)
		equal(b, "ListGates", b.gates(time.Time{}), map[store.EndpointID]store.Gate{closed.Endpoint: closed, failing.Endpoint: failing})
	}},
	{"a time lists those that changed since, open ones too", func(b *bench) {
		first := b.gate(b.endpoint("first").ID)
		b.Advance(time.Minute)
		second := ok(b.Store.SetGate(b.Context(), b.gate(b.endpoint("second").ID)))(b)
		equal(b, "since the second", b.gates(second.ChangedAt), map[store.EndpointID]store.Gate{second.Endpoint: second})
		equal(b, "since the first", b.gates(first.ChangedAt), map[store.EndpointID]store.Gate{first.Endpoint: first, second.Endpoint: second})
		equal(b, "later", b.gates(second.ChangedAt.Add(time.Minute)), map[store.EndpointID]store.Gate{})
	}},
}
