package storetest

import (
	"bytes"
	"cmp"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

func compareDeliveries(a, b store.DeliveryID) int {
	return cmp.Or(bytes.Compare(a.Event[:], b.Event[:]), cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Replay, b.Replay))
}

// claim asks for an event that claims a digest for ttl.
func (b *bench) claim(e *event.Event, digest byte, ttl time.Duration) store.SeenQuery {
	return store.SeenQuery{ID: e.ID, Claim: [16]byte{digest, 15: 1}, Until: b.now.Add(ttl)}
}

// holders returns who holds the claims of queries.
func (b *bench) holders(queries ...store.SeenQuery) []event.ID {
	b.Helper()
	var out []event.ID
	for _, a := range ok(b.Store.Seen(b.Context(), queries))(b) {
		out = append(out, a.Holder)
	}
	return out
}

func (b *bench) wantHolder(q store.SeenQuery, want *event.Event) {
	b.Helper()
	if got := b.holders(q)[0]; got != want.ID {
		b.Fatalf("the claim is held by %s, want %s", got, want.ID)
	}
}

// quarantine sends an event to quarantine.
func (b *bench) quarantine(e *event.Event) {
	b.Helper()
	b.record(&store.Batch{Quarantine: []store.Quarantined{{Topic: "t", Stream: "0", Position: e.ID.String(), At: b.now, Event: e.ID}}})
}

var seenPromises = []promise{
	{"an event that never came is unknown and holds nothing", func(b *bench) {
		answers := ok(b.Store.Seen(b.Context(), []store.SeenQuery{{ID: b.event(b.now).ID}}))(b)
		equal(b, "Seen", answers, []store.Seen{{}})
	}},
	{"no queries is no answers", func(b *bench) {
		equal(b, "Seen", ok(b.Store.Seen(b.Context(), nil))(b), nil)
	}},
	{"answers come in the order of the queries", func(b *bench) {
		events := b.recorded(b.now, b.now)
		other := b.event(b.now)
		answers := ok(b.Store.Seen(b.Context(), []store.SeenQuery{{ID: events[1].ID}, {ID: other.ID}, {ID: events[0].ID}}))(b)
		for i, want := range []bool{true, false, true} {
			if answers[i].Recorded != want {
				b.Errorf("answer %d: recorded = %v, want %v", i, answers[i].Recorded, want)
			}
		}
	}},
	{"queued and finished deliveries of a recorded event are known", func(b *bench) {
		e := b.recorded(b.now)[0]
		queued, finished, replayed := to(e, 1), to(e, 2), store.DeliveryID{Event: e.ID, Endpoint: 2, Replay: 7}
		b.record(&store.Batch{
			Queue:    []store.Queued{b.row(queued), b.row(replayed)},
			Outcomes: []store.Outcome{b.outcome(finished, store.DeliveryDead)},
		})
		equal(b, "Known", b.known(e.ID), store.Seen{Recorded: true, Known: []store.DeliveryID{queued, finished, replayed}})
	}},
	{"the first claim holds and the next event is its duplicate", func(b *bench) {
		first, second := b.event(b.now), b.event(b.now)
		b.wantHolder(b.claim(first, 1, time.Hour), first)
		b.wantHolder(b.claim(second, 1, time.Hour), first)
		b.wantHolder(b.claim(second, 2, time.Hour), second)
	}},
	{"an event that comes again still holds its claim", func(b *bench) {
		e := b.event(b.now)
		b.wantHolder(b.claim(e, 1, time.Hour), e)
		b.record(&store.Batch{Events: []store.EventRow{{Event: e}}})
		b.wantHolder(b.claim(e, 1, time.Hour), e)
	}},
	{"of two queries with one claim the first holds it", func(b *bench) {
		first, second := b.event(b.now), b.event(b.now)
		equal(b, "holders", b.holders(b.claim(second, 1, time.Hour), b.claim(first, 1, time.Hour)), []event.ID{second.ID, second.ID})
	}},
	{"a claim keeps others out until it has run out", func(b *bench) {
		first, second := b.event(b.now), b.event(b.now)
		b.wantHolder(b.claim(first, 1, time.Hour), first)
		b.Advance(time.Hour - time.Minute)
		b.wantHolder(b.claim(second, 1, 3*time.Hour), first)
		b.Advance(2 * time.Minute)
		b.wantHolder(b.claim(second, 1, 3*time.Hour), second)
		b.wantHolder(b.claim(first, 1, 3*time.Hour), second)
	}},
	{"a recorded claim that has run out is free as well", func(b *bench) {
		first, second := b.recorded(b.now)[0], b.event(b.now)
		b.wantHolder(b.claim(first, 1, time.Hour), first)
		b.recorded(b.now)
		b.Advance(time.Hour + time.Minute)
		b.wantHolder(b.claim(second, 1, 3*time.Hour), second)
		b.recorded(b.now)
		b.wantHolder(b.claim(first, 1, 3*time.Hour), second)
	}},
	{"a later Record makes a claim durable", func(b *bench) {
		first, second := b.event(b.now), b.event(b.now)
		b.wantHolder(b.claim(first, 1, time.Hour), first)
		b.record(&store.Batch{Events: []store.EventRow{{Event: first}}})
		b.Store = b.Reopen(b.T)
		b.wantHolder(b.claim(second, 1, time.Hour), first)
	}},
	{"quarantine releases the claims of its event alone", func(b *bench) {
		first, second, third := b.event(b.now), b.event(b.now), b.event(b.now)
		b.holders(b.claim(first, 1, time.Hour), b.claim(second, 2, time.Hour))
		b.quarantine(first)
		b.wantHolder(b.claim(third, 1, time.Hour), third)
		b.wantHolder(b.claim(third, 2, time.Hour), second)
	}},
	{"quarantine releases a recorded claim", func(b *bench) {
		first, second := b.event(b.now), b.event(b.now)
		b.wantHolder(b.claim(first, 1, time.Hour), first)
		b.record(&store.Batch{Events: []store.EventRow{{Event: first}}})
		b.quarantine(first)
		b.Store = b.Reopen(b.T)
		b.wantHolder(b.claim(second, 1, time.Hour), second)
	}},
	{"an event that claims again after its quarantine keeps others out", func(b *bench) {
		first, second := b.event(b.now), b.event(b.now)
		b.wantHolder(b.claim(first, 1, time.Hour), first)
		b.quarantine(first)
		b.wantHolder(b.claim(first, 1, time.Hour), first)
		b.wantHolder(b.claim(second, 1, time.Hour), first)
		b.record(&store.Batch{Events: []store.EventRow{{Event: first}}})
		b.wantHolder(b.claim(second, 1, time.Hour), first)
	}},
	{"everything recorded before is seen", func(b *bench) {
		for range 50 {
			e := b.recorded(b.now)[0]
			if !b.known(e.ID).Recorded {
				b.Fatal("a recorded event is not seen")
			}
		}
	}},
}
