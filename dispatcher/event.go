package dispatcher

import (
	"container/list"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/pkg/telemetry"
)

// inflight is an event in this process whose message is not acked yet.
type inflight struct {
	event    *event.Event
	leases   []broker.Lease // of the message and of copies that came meanwhile
	open     []*delivery    // deliveries it waits for, in no order
	pending  int            // deliveries and notes it waits for, and one while intake works on it
	how      string         // it settles: telemetry.Settled…
	recorded bool           // its row of the history is written or in a batch
	matched  int            // endpoints
	intake   bool           // Handle still works on it
	hold     *list.Element  // in Dispatcher.holds; nil: not there any more
}

// lost reports whether every lease of the event is gone: somebody else has it now.
func (t *inflight) lost() bool {
	for _, l := range t.leases {
		if l.Context().Err() == nil {
			return false
		}
	}
	return true
}

// doneLocked takes one off what the event waits for, and settles it at none.
func (d *Dispatcher) doneLocked(t *inflight) {
	t.pending--
	if t.pending > 0 {
		return
	}
	d.forgetLocked(t)
	for _, l := range t.leases {
		l.Ack()
	}
	d.metrics.Settled.WithLabelValues(t.how).Inc()
}

// forgetLocked takes the event out of memory. Without acks it comes again, here or elsewhere.
func (d *Dispatcher) forgetLocked(t *inflight) {
	if d.inFlight[t.event.ID] == t {
		delete(d.inFlight, t.event.ID)
	}
	if t.hold != nil {
		d.holds.Remove(t.hold)
		t.hold = nil
	}
}

// abandonLocked lets a delivery go whose message somebody else has now. Should the message come here again it starts
// anew: joined to this event it would be acked without the delivery.
func (d *Dispatcher) abandonLocked(del *delivery) {
	if del.parent != nil {
		d.forgetLocked(del.parent)
	}
	d.letGoLocked(del)
}

// closeLocked ends the event's wait for a delivery, which is recorded, or was somebody else's.
func (d *Dispatcher) closeLocked(del *delivery) {
	t := del.parent
	if t == nil {
		return
	}
	del.parent = nil
	last := len(t.open) - 1
	t.open[del.at] = t.open[last]
	t.open[del.at].at = del.at
	t.open[last] = nil
	t.open = t.open[:last]
	d.room.Release(1)
	d.metrics.Open.Dec()
	d.doneLocked(t)
}

// settledHow names the way an event without duplicates or quarantine settles.
func settledHow(matched int) string {
	if matched == 0 {
		return telemetry.SettledUnmatched
	}
	return telemetry.SettledDelivered
}
