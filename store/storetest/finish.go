package storetest

import (
	"time"

	"github.com/sluicehq/sluice/store"
)

// finish ends rows as dead, and returns how many.
func (b *bench) finish(q store.FinishQuery) int {
	b.Helper()
	q.State, q.Reason = store.DeliveryDead, store.ReasonExpired
	if q.Now.IsZero() {
		q.Now = b.now
	}
	if q.Limit == 0 {
		q.Limit = 100
	}
	return ok(b.Store.Finish(b.Context(), q))(b)
}

func (b *bench) wantFinished(q store.FinishQuery, want int) {
	b.Helper()
	if got := b.finish(q); got != want {
		b.Fatalf("Finish(%+v) ended %d, want %d", q, got, want)
	}
}

var finishPromises = []promise{
	{"the history takes what the row knew", func(b *bench) {
		row := b.row(to(b.recorded(b.now)[0], 1))
		row.Attempt, row.FirstAttempt, row.LastStatus, row.LastError, row.LastDuration = 2, b.now.Add(-time.Hour), 503, "busy", time.Second
		b.record(&store.Batch{Queue: []store.Queued{row}})
		n := ok(b.Store.Finish(b.Context(), store.FinishQuery{
			Endpoint: 1, Now: b.now.Add(time.Minute), State: store.DeliveryCanceled, Reason: store.ReasonDeleted, Limit: 10,
		}))(b)
		equal(b, "ended", n, 1)
		equal(b, "delivery", b.delivery(row.ID), store.Delivery{
			ID: row.ID, State: store.DeliveryCanceled, Reason: store.ReasonDeleted, Attempts: 2, FirstAttempt: row.FirstAttempt,
			FinishedAt: b.now.Add(time.Minute), LastStatus: 503, LastError: "busy", LastDuration: time.Second,
		})
		equal(b, "Due", b.due(b.soon), nil)
	}},
	{"rows of the endpoint, at most limit at once", func(b *bench) {
		ids := b.backlog(5, 1, 2)
		b.wantFinished(store.FinishQuery{Endpoint: 1, Limit: 3}, 3)
		b.wantFinished(store.FinishQuery{Endpoint: 1, Limit: 3}, 2)
		b.wantFinished(store.FinishQuery{Endpoint: 1, Limit: 3}, 0)
		equal(b, "Due", deliveryIDs(b.due(b.soon)), ids[5:])
	}},
	{"rows whose first attempt is old, never those without one", func(b *bench) {
		e := b.recorded(b.now)[0]
		var rows []store.Queued
		for i, first := range []time.Time{{}, b.now.Add(-time.Hour), b.now.Add(-time.Minute), b.now.Add(-time.Hour)} {
			row := b.row(to(e, store.EndpointID(1+i/3)))
			row.ID.Replay, row.FirstAttempt = uint32(i), first
			rows = append(rows, row)
		}
		b.record(&store.Batch{Queue: rows})
		b.wantFinished(store.FinishQuery{Endpoint: 1, FirstAttemptBefore: b.now.Add(-30 * time.Minute)}, 1)
		equal(b, "Due", deliveryIDs(b.due(b.soon)), []store.DeliveryID{rows[0].ID, rows[2].ID, rows[3].ID})
		b.wantFinished(store.FinishQuery{FirstAttemptBefore: b.now.Add(-30 * time.Minute)}, 1)
		b.wantFinished(store.FinishQuery{FirstAttemptBefore: rows[2].FirstAttempt}, 0)
		b.wantFinished(store.FinishQuery{FirstAttemptBefore: rows[2].FirstAttempt.Add(time.Millisecond)}, 1)
	}},
	{"rows of old events, of any endpoint or of one", func(b *bench) {
		old, young := b.event(b.now.Add(-time.Hour)), b.event(b.now)
		b.queue(to(old, 1), to(old, 2), to(young, 1))
		b.wantFinished(store.FinishQuery{Endpoint: 1, EventBefore: old.Time}, 0)
		b.wantFinished(store.FinishQuery{Endpoint: 1, EventBefore: young.Time}, 1)
		b.wantFinished(store.FinishQuery{EventBefore: young.Time}, 1)
		equal(b, "Due", deliveryIDs(b.due(b.soon)), []store.DeliveryID{to(young, 1)})
	}},
	{"rows that match all that is asked", func(b *bench) {
		old, young := b.event(b.now.Add(-time.Hour)), b.event(b.now)
		tried := b.row(to(old, 1))
		tried.FirstAttempt = b.now.Add(-time.Hour)
		b.record(&store.Batch{Queue: []store.Queued{tried, b.row(to(young, 1)), b.row(to(old, 2))}})
		b.wantFinished(store.FinishQuery{Endpoint: 2, FirstAttemptBefore: b.now, EventBefore: b.now}, 0)
		b.wantFinished(store.FinishQuery{Endpoint: 1, FirstAttemptBefore: b.now, EventBefore: old.Time}, 0)
		b.wantFinished(store.FinishQuery{Endpoint: 1, FirstAttemptBefore: b.now, EventBefore: b.now}, 1)
	}},
	{"a row whose attempt may still run stays", func(b *bench) {
		hold := b.hold(1)
		b.record(&store.Batch{Holds: []store.Queued{hold}})
		b.wantFinished(store.FinishQuery{Endpoint: 1, Now: hold.HeldUntil.Add(-time.Millisecond)}, 0)
		b.wantFinished(store.FinishQuery{Endpoint: 1, Now: hold.HeldUntil}, 1)
	}},
	{"deliveries finished by then stay as they ended", func(b *bench) {
		id := to(b.recorded(b.now)[0], 1)
		b.record(&store.Batch{Outcomes: []store.Outcome{b.outcome(id, store.DeliveryDelivered)}})
		b.wantFinished(store.FinishQuery{Endpoint: 1}, 0)
		b.wantState(id, store.DeliveryDelivered)
	}},
	{"what is no end is refused", func(b *bench) {
		b.backlog(1, 1)
		_, err := b.Store.Finish(b.Context(), store.FinishQuery{Endpoint: 1, Now: b.now, State: store.DeliveryQueued, Limit: 1})
		b.want(err, store.ErrData)
		equal(b, "rows left", len(b.due(b.soon)), 1)
	}},
}
