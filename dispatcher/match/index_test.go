package match

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

var accepted = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// matches reports whether an endpoint with this one pattern gets an event of this type.
func matches(pattern, typ string) bool {
	ix := Compile([]*store.Endpoint{{ID: 1, Subscriptions: []store.Subscription{{Types: []string{pattern}}}}})
	return len(ix.Match(nil, &event.Event{Type: typ, Time: accepted})) == 1
}

func ids(es []*store.Endpoint) []store.EndpointID {
	got := make([]store.EndpointID, len(es))
	for i, e := range es {
		got[i] = e.ID
	}
	return got
}

func types(ts ...string) store.Subscription { return store.Subscription{Types: ts} }

func TestMatch(t *testing.T) {
	endpoint := func(id store.EndpointID, subs ...store.Subscription) *store.Endpoint {
		return &store.Endpoint{ID: id, Tenant: "acme", Subscriptions: subs, CreatedAt: accepted.Add(-time.Hour)}
	}
	late := func(by time.Duration) *store.Endpoint {
		e := endpoint(1, types("*"))
		e.CreatedAt = accepted.Add(by)
		return e
	}
	foreign := endpoint(1, types("*"))
	foreign.Tenant = "other"
	paused, disabled := endpoint(1, types("*")), endpoint(2, types("*"))
	paused.State, disabled.State = store.EndpointPaused, store.EndpointDisabled

	tests := []struct {
		name      string
		endpoints []*store.Endpoint
		want      []store.EndpointID
	}{
		{"none", nil, nil},
		{"an endpoint without subscriptions gets nothing", []*store.Endpoint{endpoint(1)}, nil},
		{"a subscription without types takes every type", []*store.Endpoint{endpoint(1, types())}, []store.EndpointID{1}},
		{"by ascending id, whatever the order given", []*store.Endpoint{endpoint(9, types("*")), endpoint(3, types("order.paid")), endpoint(5, types("order.*"))}, []store.EndpointID{3, 5, 9}},
		{"once, however many types match", []*store.Endpoint{endpoint(1, types("*", "**", "order.paid", "order.paid", "order.*", "order.**"))}, []store.EndpointID{1}},
		{"once, however many subscriptions match", []*store.Endpoint{endpoint(1, types("*"), types("order.paid"), store.Subscription{Sources: []string{"shop"}}), endpoint(2, types("order.**"), types("order.*"))}, []store.EndpointID{1, 2}},
		{"of one source", []*store.Endpoint{endpoint(1, store.Subscription{Sources: []string{"shop", "till"}}), endpoint(2, store.Subscription{Sources: []string{"till"}})}, []store.EndpointID{1}},
		{"types and sources of the same subscription", []*store.Endpoint{endpoint(1, store.Subscription{Types: []string{"order.paid"}, Sources: []string{"till"}}, store.Subscription{Types: []string{"invoice.*"}, Sources: []string{"shop"}})}, nil},
		{"an empty source name is no source", []*store.Endpoint{endpoint(1, store.Subscription{Sources: []string{""}})}, nil},
		{"another tenant's gets nothing", []*store.Endpoint{foreign}, nil},
		{"paused and disabled ones match", []*store.Endpoint{paused, disabled}, []store.EndpointID{1, 2}},
		{"created 3 s later still matches", []*store.Endpoint{late(3 * time.Second)}, []store.EndpointID{1}},
		{"created more than 3 s later does not", []*store.Endpoint{late(3*time.Second + time.Millisecond)}, nil},
		{"a pattern that is not valid matches nothing", []*store.Endpoint{endpoint(1, types("order.p*", "", "order..paid"))}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := &event.Event{Tenant: "acme", Source: "shop", Type: "order.paid", Time: accepted}
			if got := ids(Compile(tt.endpoints).Match(nil, e)); !slices.Equal(got, tt.want) {
				t.Errorf("Match = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestMatchAppends(t *testing.T) {
	a, b := &store.Endpoint{ID: 1, Subscriptions: []store.Subscription{types("*", "push")}}, &store.Endpoint{ID: 2, Subscriptions: []store.Subscription{types("*")}}
	ix := Compile([]*store.Endpoint{b, a})
	got := ix.Match([]*store.Endpoint{b, a}, &event.Event{Type: "push", Time: accepted})
	if !slices.Equal(ids(got), []store.EndpointID{2, 1, 1, 2}) {
		t.Errorf("Match after [2 1] = %v, want [2 1 1 2]", ids(got))
	}
}

// plain returns what e goes to, by asking each endpoint.
func plain(endpoints []*store.Endpoint, e *event.Event) (want []store.EndpointID) {
	for _, endpoint := range endpoints {
		takes := func(s store.Subscription) bool {
			anyType := len(s.Types) == 0 && plainMatch("*", e.Type)
			return (anyType || slices.ContainsFunc(s.Types, func(p string) bool { return ValidatePattern(p) == nil && plainMatch(p, e.Type) })) &&
				(len(s.Sources) == 0 || slices.Contains(s.Sources, e.Source))
		}
		if endpoint.Tenant == e.Tenant && !endpoint.CreatedAt.After(e.Time.Add(3*time.Second)) && slices.ContainsFunc(endpoint.Subscriptions, takes) {
			want = append(want, endpoint.ID)
		}
	}
	slices.Sort(want)
	return want
}

func TestMatchModel(t *testing.T) {
	segments := rapid.SampledFrom([]string{"a", "b", "sluice", "é"})
	typ := rapid.Custom(func(t *rapid.T) string {
		s := segments.Draw(t, "first")
		for range rapid.IntRange(0, 3).Draw(t, "more") {
			s += "." + segments.Draw(t, "segment")
		}
		return s
	})
	pattern := rapid.Custom(func(t *rapid.T) string {
		end := rapid.SampledFrom([]string{"", ".*", ".**", "*", ".*.*"}).Draw(t, "end")
		if rapid.IntRange(0, 9).Draw(t, "any") == 0 {
			return "*"
		}
		return typ.Draw(t, "text") + end
	})
	tenant, source := rapid.SampledFrom([]string{"t", "u"}), rapid.SampledFrom([]string{"x", "y", "z"})
	subscription := rapid.Custom(func(t *rapid.T) store.Subscription {
		return store.Subscription{
			Types:   rapid.SliceOfN(pattern, 0, 3).Draw(t, "types"),
			Sources: rapid.SliceOfN(source, 0, 2).Draw(t, "sources"),
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		endpoints := make([]*store.Endpoint, rapid.IntRange(0, 20).Draw(t, "endpoints"))
		for i := range endpoints {
			endpoints[i] = &store.Endpoint{
				ID: store.EndpointID(len(endpoints) - i), Tenant: tenant.Draw(t, "tenant"),
				Subscriptions: rapid.SliceOfN(subscription, 0, 3).Draw(t, "subscriptions"),
				CreatedAt:     accepted.Add(time.Duration(rapid.IntRange(-1, 4).Draw(t, "created")) * time.Second),
			}
		}
		ix := Compile(endpoints)
		for range 10 {
			e := &event.Event{Tenant: tenant.Draw(t, "tenant"), Source: source.Draw(t, "source"), Type: typ.Draw(t, "type"), Time: accepted}
			if got, want := ids(ix.Match(nil, e)), plain(endpoints, e); !slices.Equal(got, want) {
				t.Fatalf("Match(%s %s %s) = %v, want %v", e.Tenant, e.Source, e.Type, got, want)
			}
		}
	})
}

func TestMatchAllocatesNothing(t *testing.T) {
	ix := Compile(many(1000))
	e := &event.Event{Tenant: "tenant-1", Source: "s", Type: "order.item-1.created", Time: accepted}
	dst := make([]*store.Endpoint, 0, 1000)
	if n := testing.AllocsPerRun(100, func() { dst = ix.Match(dst[:0], e) }); n != 0 || len(dst) == 0 {
		t.Errorf("%v allocations for %d endpoints, want none", n, len(dst))
	}
}

// many returns n endpoints of ten tenants. An event order.item-I.created of a tenant goes to four of them,
// however many there are: two by literal, one each by one star and two.
func many(n int) []*store.Endpoint {
	endpoints := make([]*store.Endpoint, n)
	for i := range endpoints {
		item := fmt.Sprintf("order.item-%d", i/40)
		sub := []store.Subscription{types(item + ".created"), types(item + ".*"), types(item + ".**"), types(item+".paid", item+".created")}[i/10%4]
		endpoints[i] = &store.Endpoint{ID: store.EndpointID(i + 1), Tenant: fmt.Sprintf("tenant-%d", i%10), Subscriptions: []store.Subscription{sub}}
	}
	return endpoints
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		b.Run(fmt.Sprintf("%d endpoints", n), func(b *testing.B) {
			b.ReportAllocs()
			ix := Compile(many(n))
			e := &event.Event{Tenant: "tenant-1", Source: "s", Type: "order.item-1.created", Time: accepted}
			var dst []*store.Endpoint
			for b.Loop() {
				if dst = ix.Match(dst[:0], e); len(dst) != 4 {
					b.Fatalf("%d endpoints match, want 4", len(dst))
				}
			}
		})
	}
	b.Run("10000 of 100000 match", func(b *testing.B) {
		b.ReportAllocs()
		endpoints := many(100_000)
		for _, e := range endpoints {
			e.Subscriptions = append(e.Subscriptions, types("*"))
		}
		ix := Compile(endpoints)
		e := &event.Event{Tenant: "tenant-1", Source: "s", Type: "order.item-1.created", Time: accepted}
		var dst []*store.Endpoint
		for b.Loop() {
			if dst = ix.Match(dst[:0], e); len(dst) != 10_000 {
				b.Fatalf("%d endpoints match, want 10000", len(dst))
			}
		}
	})
}

func BenchmarkCompile100000(b *testing.B) {
	b.ReportAllocs()
	endpoints := many(100_000)
	for b.Loop() {
		Compile(endpoints)
	}
}
