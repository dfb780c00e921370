package storetest

import (
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// expire expires until nothing is left that is older, and returns how many calls it took.
func (b *bench) expire(bodies, history time.Time) (calls int) {
	b.Helper()
	for more := true; more; calls++ {
		if calls > 1000 {
			b.Fatal("Expire finds no end")
		}
		more = ok(b.Store.Expire(b.Context(), bodies, history, b.now, 10))(b)
	}
	return calls
}

// age is d, or about as many days as it has half hours if the store drops whole days.
func (b *bench) age(d time.Duration) time.Duration {
	if b.WholeDays {
		return 48 * d
	}
	return d
}

func (b *bench) ago(d time.Duration) time.Time { return b.now.Add(-b.age(d)) }

// hasBody reports whether an event's body is kept.
func (b *bench) hasBody(id event.ID) bool {
	b.Helper()
	_, loaded := ok(b.Store.LoadEvents(b.Context(), []event.ID{id}))(b)[id]
	_, _, err := b.Store.GetBody(b.Context(), id)
	if loaded {
		b.must(err)
	} else {
		b.want(err, store.ErrGone)
	}
	return loaded
}

// full records an event of that age with a finished delivery, a failed attempt and a duplicate.
func (b *bench) full(age time.Duration) (*event.Event, store.DeliveryID) {
	b.Helper()
	e := b.event(b.now.Add(-age))
	id := to(e, 1)
	b.record(&store.Batch{
		Events: []store.EventRow{{Event: e}}, Outcomes: []store.Outcome{b.outcome(id, store.DeliveryDead)},
		Attempts: []store.Attempt{{ID: id, Number: 1, Started: b.now}}, Duplicates: map[event.ID]int64{e.ID: 1},
		Quarantine: []store.Quarantined{{Topic: "t", Stream: "0", Position: e.ID.String(), At: e.Time}},
	})
	return e, id
}

var retentionPromises = []promise{
	{"bodies go first, and the history stays", func(b *bench) {
		old, id := b.full(b.age(2 * time.Hour))
		young, _ := b.full(time.Minute)
		b.expire(b.ago(time.Hour), b.ago(24*time.Hour))
		if b.hasBody(old.ID) || !b.hasBody(young.ID) {
			b.Fatal("the old body is kept, or the young one gone")
		}
		if r := ok(b.Store.GetEvent(b.Context(), old.ID))(b); r.Size != 2 || r.Duplicates != 1 {
			b.Fatalf("GetEvent = %+v", r)
		}
		b.wantState(id, store.DeliveryDead)
		equal(b, "attempts", len(ok(b.Store.ListAttempts(b.Context(), id))(b)), 1)
	}},
	{"the history goes when its time has come", func(b *bench) {
		old, id := b.full(b.age(2 * time.Hour))
		young, youngID := b.full(time.Minute)
		b.expire(b.ago(time.Hour), b.ago(time.Hour))
		_, err := b.Store.GetEvent(b.Context(), old.ID)
		b.want(err, store.ErrNotFound)
		_, err = b.Store.GetDelivery(b.Context(), id)
		b.want(err, store.ErrNotFound)
		equal(b, "attempts", len(ok(b.Store.ListAttempts(b.Context(), id))(b)), 0)
		equal(b, "events", b.events(store.EventQuery{}), []event.ID{young.ID})
		b.wantState(youngID, store.DeliveryDead)
		quarantine := ok(b.Store.ListQuarantine(b.Context(), 0, 9))(b)
		if len(quarantine) != 1 || quarantine[0].Position != young.ID.String() {
			b.Fatalf("quarantine = %+v", quarantine)
		}
		if b.known(old.ID).Recorded {
			b.Fatal("the old event still counts as recorded")
		}
	}},
	{"the body of an event with a queued delivery stays until that is finished", func(b *bench) {
		waiting, done := b.recorded(b.ago(time.Hour))[0], b.recorded(b.ago(time.Hour))[0]
		b.queue(to(waiting, 1))
		b.expire(b.now, b.now)
		if !b.hasBody(waiting.ID) {
			b.Fatal("the body is gone")
		}
		if _, err := b.Store.GetEvent(b.Context(), done.ID); err == nil && !b.WholeDays {
			b.Fatal("the event that waits for nothing is kept")
		}
		b.wantFinished(store.FinishQuery{EventBefore: b.now}, 1)
		b.expire(b.now, b.ago(24*time.Hour))
		if b.hasBody(waiting.ID) {
			b.Fatal("the body is kept")
		}
	}},
	{"those that stay do not hide the others", func(b *bench) {
		if b.WholeDays {
			b.Skip("this store drops a day together")
		}
		batch := &store.Batch{}
		var last *event.Event
		for i := range 40 {
			last = b.event(b.now.Add(-time.Hour + time.Duration(i)*time.Second))
			batch.Events = append(batch.Events, store.EventRow{Event: last})
			if i < 39 {
				batch.Queue = append(batch.Queue, b.row(to(last, 1)))
			}
		}
		b.record(batch)
		b.expire(b.now, b.ago(24*time.Hour))
		if b.hasBody(last.ID) || !b.hasBody(batch.Events[0].Event.ID) {
			b.Fatal("the last body is kept, or one of a queued delivery gone")
		}
	}},
	{"a call deletes at most so many, and says whether more is left", func(b *bench) {
		if b.WholeDays {
			b.Skip("this store drops a day together")
		}
		for range 25 {
			b.recorded(b.ago(time.Hour))
		}
		history := b.now.Add(-24 * time.Hour)
		more := ok(b.Store.Expire(b.Context(), b.now, history, b.now, 10))(b)
		kept := 0
		for _, id := range b.events(store.EventQuery{}) {
			if b.hasBody(id) {
				kept++
			}
		}
		if !more || kept != 15 {
			b.Fatalf("after one call %d of 25 bodies are kept, more = %v", kept, more)
		}
		if calls := b.expire(b.now, history); calls > 3 {
			b.Fatalf("15 bodies took %d calls", calls)
		}
		for more = true; more; {
			before := len(b.events(store.EventQuery{}))
			more = ok(b.Store.Expire(b.Context(), b.now, b.now, b.now, 10))(b)
			if after := len(b.events(store.EventQuery{})); before-after > 10 {
				b.Fatalf("a call deleted %d events", before-after)
			}
		}
		equal(b, "events", b.events(store.EventQuery{}), nil)
	}},
	{"claims that have run out go, others stay", func(b *bench) {
		var queries []store.SeenQuery
		for i := range 60 {
			queries = append(queries, b.claim(b.event(b.now), byte(i), time.Duration(1+i%2)*24*time.Hour))
		}
		holders := b.holders(queries...)
		b.recorded(b.now)
		b.Advance(30 * time.Hour)
		b.now = b.now.Add(30 * time.Hour)
		b.expire(b.ago(time.Hour), b.ago(48*time.Hour))
		for i := range queries {
			queries[i].ID = b.event(b.now).ID
			queries[i].Until = b.now.Add(time.Hour)
		}
		for i, holder := range b.holders(queries...) {
			if kept := holder == holders[i]; kept != (i%2 == 1) {
				b.Errorf("claim %d of %d h: kept = %v after 30 h", i, 24*(1+i%2), kept)
			}
		}
	}},
	{"nodes that have run out go, and live ones stay", func(b *bench) {
		b.renew("a")
		b.Advance(store.ShardTTL + time.Second)
		b.now = b.now.Add(store.ShardTTL + time.Second)
		b.renew("b")
		b.renew("c")
		b.expire(b.now.Add(-time.Hour), b.now.Add(-time.Hour))
		b.wantOwned(b.renew("b"), 64, 32)
	}},
}
