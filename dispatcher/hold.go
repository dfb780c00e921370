package dispatcher

import (
	"context"
	"slices"
	"time"

	"github.com/sluicehq/sluice/pkg/wait"
	"github.com/sluicehq/sluice/store"
)

const (
	revokeMargin = 500 * time.Millisecond // of Revoke's time is left for writing what still runs
	settlePoll   = 5 * time.Millisecond
)

// overdueLocked holds the events that have waited for max_hold: each delivery that waits or runs is queued, and then
// the event settles.
func (d *Dispatcher) overdueLocked(now time.Time) (next time.Time) {
	for front := d.holds.Front(); front != nil; front = d.holds.Front() {
		h := front.Value.(*hold)
		if h.at.After(now) {
			return h.at
		}
		d.holds.Remove(front)
		h.event.hold = nil
		d.holdEventLocked(h.event, now, true)
		if h.event.intake { // the rest of its deliveries is still to come
			d.holdAtLocked(h.event, now.Add(d.cfg.MaxHold))
		}
	}
	return time.Time{}
}

// hold is an event's place in the list of holds.
type hold struct {
	at    time.Time
	event *inflight
}

// holdAtLocked puts the event into the list of holds; times must not decrease.
func (d *Dispatcher) holdAtLocked(t *inflight, at time.Time) {
	t.hold = d.holds.PushBack(&hold{at, t})
	if d.holds.Len() == 1 {
		d.clock.poke()
	}
}

// holdEventLocked queues the deliveries of an event that wait, and if running is set those that run too.
func (d *Dispatcher) holdEventLocked(t *inflight, now time.Time, running bool) {
	lost := t.lost()
	for _, del := range slices.Clone(t.open) { // letting go takes it out
		switch {
		case lost:
			if !del.running && del.to.lane.Remove(del) {
				d.abandonLocked(del)
			}
		case !del.running:
			if del.to.lane.Remove(del) {
				d.queueLocked(del, store.ReasonHold, now)
			}
		case running && !del.queued:
			d.holdLocked(del, now)
		}
	}
}

// Revoke queues what waits, lets what runs end if there is time, holds the rest, and returns when all is recorded.
func (d *Dispatcher) Revoke(ctx context.Context, streams []string) {
	d.holdStreams(streams, false)
	patience := ctx
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		patience, cancel = context.WithDeadline(ctx, deadline.Add(-revokeMargin))
		defer cancel()
	}
	if d.waitSettled(patience, streams) {
		return
	}
	d.holdStreams(streams, true)
	d.waitSettled(ctx, streams)
}

func (d *Dispatcher) holdStreams(streams []string, running bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for _, t := range d.inFlight {
		if t.in(streams) {
			d.holdEventLocked(t, now, running)
		}
	}
}

// in reports whether one of the event's messages belongs to one of streams.
func (t *inflight) in(streams []string) bool {
	for _, l := range t.leases {
		if slices.Contains(streams, l.Stream()) {
			return true
		}
	}
	return false
}

// waitSettled waits until no event of streams is in flight and reports whether that came before ctx ended.
func (d *Dispatcher) waitSettled(ctx context.Context, streams []string) bool {
	for {
		d.mu.Lock()
		left := false
		for _, t := range d.inFlight {
			if left = t.in(streams); left {
				break
			}
		}
		d.mu.Unlock()
		if !left {
			return true
		}
		if !wait.For(ctx, settlePoll) {
			return false
		}
	}
}

// holdRunning holds everything that still runs when the process stops.
func (d *Dispatcher) holdRunning() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for _, t := range d.inFlight {
		d.holdEventLocked(t, now, true)
	}
	for _, e := range d.endpoints {
		d.holdDueLocked(e, now)
	}
}

// holdDueLocked holds the rows of the queue that run.
func (d *Dispatcher) holdDueLocked(e *endpoint, now time.Time) {
	for _, del := range e.due {
		if del.running && del.loaded {
			d.holdLocked(del, now)
		}
	}
}

// giveUp lets the shards go: nothing of theirs waits or starts any more, and what runs is held before it returns.
func (d *Dispatcher) giveUp(ctx context.Context, shards []store.Shard) error {
	d.mu.Lock()
	now := time.Now()
	for id, e := range d.endpoints {
		if slices.Contains(shards, id.Shard()) {
			d.dropDueLocked(e)
			d.holdDueLocked(e, now)
		}
	}
	for id := range d.held {
		if slices.Contains(shards, id.Shard()) {
			d.elsewhereLocked(id, 0, now)
		}
	}
	d.mu.Unlock()
	return d.flushed(ctx)
}
