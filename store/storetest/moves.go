package storetest

import (
	"fmt"
	"time"

	"github.com/sluicehq/sluice/store"
)

var movePromises = append([]promise{
	{"a delivery that is queued stays as it is", func(b *bench) {
		id := to(b.recorded(b.now)[0], 1)
		first := b.row(id)
		first.Attempt, first.LastStatus, first.LastError, first.LastDuration, first.FirstAttempt = 2, 500, "no", time.Second, b.now
		b.record(&store.Batch{Queue: []store.Queued{first}})
		b.queue(id)
		equal(b, "Due", b.due(b.soon), []store.Queued{first})
	}},
	{"QueuedAt is set by the store if it is zero", func(b *bench) {
		row := b.row(to(b.recorded(b.now)[0], 1))
		row.QueuedAt = time.Time{}
		b.record(&store.Batch{Queue: []store.Queued{row}})
		if at := b.due(b.soon)[0].QueuedAt; at.Sub(b.now).Abs() > time.Minute {
			b.Fatalf("QueuedAt = %v, want about %v", at, b.now)
		}
	}},
	{"a finished delivery is not queued or held again", func(b *bench) {
		id := to(b.recorded(b.now)[0], 1)
		b.record(&store.Batch{Outcomes: []store.Outcome{b.outcome(id, store.DeliveryDead)}})
		b.record(&store.Batch{Queue: []store.Queued{b.row(id)}, Holds: []store.Queued{b.row(id)}})
		b.wantState(id, store.DeliveryDead)
		equal(b, "Due", b.due(b.soon), nil)
	}},
	{"an outcome takes the row off the queue", func(b *bench) {
		e := b.recorded(b.now)[0]
		b.queue(to(e, 1), to(e, 2))
		b.record(&store.Batch{Outcomes: []store.Outcome{b.outcome(to(e, 1), store.DeliveryDelivered)}})
		equal(b, "Due", deliveryIDs(b.due(b.soon)), []store.DeliveryID{to(e, 2)})
	}},
	{"a late lower outcome takes the row off the queue too", func(b *bench) {
		id := to(b.recorded(b.now)[0], 1)
		b.queue(id)
		b.record(&store.Batch{Outcomes: []store.Outcome{b.outcome(id, store.DeliveryDelivered), b.outcome(id, store.DeliveryDead)}})
		b.wantState(id, store.DeliveryDelivered)
		equal(b, "Due", b.due(b.soon), nil)
	}},
	{"a hold of a delivery that is not queued queues it, due when it ends", func(b *bench) {
		hold := b.hold(1)
		b.record(&store.Batch{Holds: []store.Queued{hold}})
		equal(b, "Due before", b.due(hold.HeldUntil.Add(-time.Millisecond)), nil)
		equal(b, "Due then", b.due(hold.HeldUntil), []store.Queued{hold})
	}},
	{"a row is never due before HeldUntil, though NextAt has come", func(b *bench) {
		hold := b.hold(1)
		hold.NextAt = b.soon
		b.record(&store.Batch{Holds: []store.Queued{hold}})
		equal(b, "Due before", b.due(hold.HeldUntil.Add(-time.Millisecond)), nil)
		equal(b, "Due then", deliveryIDs(b.due(hold.HeldUntil)), []store.DeliveryID{hold.ID})
	}},
	{"a hold moves a row that has seen no later attempt", func(b *bench) {
		hold := b.hold(2)
		row := b.row(hold.ID)
		row.Attempt, row.FirstAttempt, row.LastStatus, row.LastError = 1, b.now, 500, "no"
		b.record(&store.Batch{Queue: []store.Queued{row}})
		b.record(&store.Batch{Holds: []store.Queued{hold}})
		row.Attempt, row.NextAt, row.HeldUntil = 2, hold.NextAt, hold.HeldUntil
		equal(b, "Due", b.due(hold.HeldUntil), []store.Queued{row})
	}},
	{"a hold of the row's own attempt moves it", func(b *bench) {
		hold := b.hold(2)
		row := b.row(hold.ID)
		row.Attempt = 2
		b.record(&store.Batch{Queue: []store.Queued{row}})
		b.record(&store.Batch{Holds: []store.Queued{hold}})
		equal(b, "Due", b.due(b.soon), nil)
	}},
	{"a hold does nothing to a row that has seen a later attempt", func(b *bench) {
		hold := b.hold(2)
		row := b.row(hold.ID)
		row.Attempt = 3
		b.record(&store.Batch{Queue: []store.Queued{row}})
		b.record(&store.Batch{Holds: []store.Queued{hold}})
		equal(b, "Due", b.due(b.soon), []store.Queued{row})
	}},
	{"a retry moves the row on and ends its hold", func(b *bench) {
		hold := b.hold(1)
		b.record(&store.Batch{Holds: []store.Queued{hold}})
		r := b.retry(hold.ID, 1)
		b.record(&store.Batch{Retries: []store.Retry{r}})
		want := hold
		want.HeldUntil, want.NextAt, want.Reason, want.FirstAttempt = time.Time{}, r.NextAt, r.Reason, r.FirstAttempt
		want.LastStatus, want.LastError, want.LastDuration = r.LastStatus, r.LastError, r.LastDuration
		equal(b, "Due", b.due(r.NextAt), []store.Queued{want})
	}},
	{"a retry does nothing to a row that has seen a later attempt", func(b *bench) {
		hold := b.hold(2)
		b.record(&store.Batch{Holds: []store.Queued{hold}})
		b.record(&store.Batch{Retries: []store.Retry{b.retry(hold.ID, 1)}})
		equal(b, "Due", b.due(hold.HeldUntil), []store.Queued{hold})
	}},
	{"retries of one batch apply in order", func(b *bench) {
		id := to(b.recorded(b.now)[0], 1)
		b.queue(id)
		first, second := b.retry(id, 1), b.retry(id, 2)
		second.NextAt = b.now.Add(time.Hour)
		b.record(&store.Batch{Retries: []store.Retry{first, second}})
		if row := b.due(b.now.Add(time.Hour))[0]; row.Attempt != 2 || !row.NextAt.Equal(second.NextAt) {
			b.Fatalf("the row has attempt %d, next at %v", row.Attempt, row.NextAt)
		}
	}},
	{"a retry of a delivery that is not queued does nothing", func(b *bench) {
		id := to(b.recorded(b.now)[0], 1)
		b.record(&store.Batch{Outcomes: []store.Outcome{b.outcome(id, store.DeliveryDead)}})
		b.record(&store.Batch{Retries: []store.Retry{b.retry(id, 5), b.retry(to(b.event(b.now), 1), 1)}})
		b.wantState(id, store.DeliveryDead)
		equal(b, "Due", b.due(b.now.Add(time.Hour)), nil)
	}},
	{"the outcome of an attempt that was held replaces its row", func(b *bench) {
		hold := b.hold(1)
		b.record(&store.Batch{Holds: []store.Queued{hold}})
		b.record(&store.Batch{Outcomes: []store.Outcome{b.outcome(hold.ID, store.DeliveryDelivered)}})
		b.wantState(hold.ID, store.DeliveryDelivered)
		equal(b, "Due", b.due(hold.HeldUntil), nil)
	}},
}, precedences()...)

// hold is attempt n of a new event's delivery, which may run for another minute.
func (b *bench) hold(n int) store.Queued {
	b.Helper()
	row := b.row(to(b.recorded(b.now)[0], 1))
	row.Attempt, row.Reason = n, store.ReasonHold
	row.NextAt, row.HeldUntil = b.now.Add(time.Minute), b.now.Add(time.Minute)
	return row
}

func (b *bench) retry(id store.DeliveryID, attempt int) store.Retry {
	return store.Retry{
		ID: id, Attempt: attempt, FirstAttempt: b.now.Add(-time.Second), NextAt: b.now.Add(40 * time.Second), Reason: store.ReasonRetry,
		LastStatus: 503, LastError: "busy", LastDuration: 2 * time.Second,
	}
}

// precedences has every pair of outcomes: queued < dead, canceled < delivered, and equals do not replace each other.
func precedences() (out []promise) {
	ends := []store.DeliveryState{store.DeliveryDead, store.DeliveryCanceled, store.DeliveryDelivered}
	for _, first := range ends {
		for _, second := range ends {
			want := first
			if second == store.DeliveryDelivered {
				want = second
			}
			out = append(out, promise{fmt.Sprintf("%s after %s is %s", second, first, want), func(b *bench) {
				id := to(b.recorded(b.now)[0], 1)
				one, two := b.outcome(id, first), b.outcome(id, second)
				two.Attempts, two.FinishedAt = 2, b.now.Add(time.Hour)
				b.record(&store.Batch{Outcomes: []store.Outcome{one}})
				b.record(&store.Batch{Outcomes: []store.Outcome{two}})
				stays := one
				if want == store.DeliveryDelivered && first != want {
					stays = two
				}
				equal(b, "delivery", b.delivery(id), store.Delivery{
					ID: id, State: stays.State, Reason: stays.Reason, Attempts: stays.Attempts, FirstAttempt: stays.FirstAttempt,
					FinishedAt: stays.FinishedAt, LastStatus: stays.LastStatus, LastError: stays.LastError, LastDuration: stays.LastDuration,
				})
			}})
		}
	}
	return out
}
