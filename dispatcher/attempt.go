package dispatcher

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sluicehq/sluice/dispatcher/lane"
	"github.com/sluicehq/sluice/egress"
	"github.com/sluicehq/sluice/store"
)

const (
	slowAfter   = time.Second        // an attempt that has run this long gives its slot back
	heldMargin  = 30 * time.Second   // after the deadline of a held attempt its row is due for whoever owns the shard
	abortedWait = time.Second        // before what failed by our own doing is tried again
	goneGap     = time.Minute        // between the 410s for two events that disable an endpoint
	failingFor  = 5 * 24 * time.Hour // without a success disables an endpoint
	bytesShare  = 2                  // running attempts may hold 1/bytesShare of the memory for bodies
	laneBytes   = 4 << 20            // and those of one endpoint no more than this
)

// pumpLocked starts what the endpoint's lane, the slots and the memory for bodies allow.
func (d *Dispatcher) pumpLocked(e *endpoint, now time.Time) {
	for !d.stopping {
		at, ok := e.lane.Wake(now)
		if !ok || at.After(now) || !d.hasBytesLocked(e) { // else the end of one of its attempts pumps again
			d.slots.Leave(&e.holder)
			if ok && at.After(now) {
				d.clock.wakeLane(e, at)
			}
			return
		}
		if !d.slots.Take(&e.holder, now) {
			return // Next names it when its turn comes
		}
		del, _ := e.lane.Start(now)
		if !d.oursLocked(del, now) {
			d.slots.Give(&e.holder, false, slowAfter, now) // proves nothing
			e.lane.Done(now, lane.Neutral)
			d.abandonLocked(del)
			continue
		}
		d.startLocked(del, now)
	}
}

// hasBytesLocked reports whether another attempt to the endpoint may hold a body in memory. One always may.
func (d *Dispatcher) hasBytesLocked(e *endpoint) bool {
	if e.bytes >= laneBytes {
		return false
	}
	return d.bytes < d.cfg.BodyBytes/bytesShare || e.bytes == 0
}

// oursLocked reports whether the delivery is still this process's to attempt.
func (d *Dispatcher) oursLocked(del *delivery, now time.Time) bool {
	if del.parent != nil {
		return !del.parent.lost()
	}
	return d.shards.Owns(del.id.Endpoint.Shard(), now)
}

// letGoLocked takes a delivery out of memory: it is recorded, or somebody else's.
func (d *Dispatcher) letGoLocked(del *delivery) {
	d.closeLocked(del)
	d.unloadLocked(del)
}

// pumpAllLocked gives free slots to the endpoints that wait for one.
func (d *Dispatcher) pumpAllLocked(now time.Time) {
	for h := d.slots.Next(now); h != nil; h = d.slots.Next(now) {
		d.pumpLocked(h.Owner.(*endpoint), now)
	}
}

func (d *Dispatcher) startLocked(del *delivery, now time.Time) {
	del.running, del.started = true, now
	if del.first.IsZero() {
		del.first = now
	}
	size := int64(len(del.event.Body))
	del.to.bytes += size
	d.bytes += size
	del.pace = d.running.PushBack(del)
	if d.running.Len() == 1 {
		d.clock.poke()
	}
	a := &egress.Attempt{Event: del.event, Endpoint: del.to.cfg, Number: del.attempts + 1}
	d.attempts.Go(func() { d.attempt(del, a) })
}

func (d *Dispatcher) attempt(del *delivery, a *egress.Attempt) {
	res := d.send(a)
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.endedLocked(del, res, now)
	d.decideLocked(del, res, now)
	d.pumpLocked(del.to, now)
	d.pumpAllLocked(now)
}

// send makes the attempt. A panic of the sender is a bug of ours that must not take the process down.
func (d *Dispatcher) send(a *egress.Attempt) (res egress.Result) {
	start := time.Now()
	defer func() {
		if p := recover(); p != nil {
			d.log.Error("attempt panicked", panicFields(p)...)
			res = egress.Result{Outcome: egress.OutcomeFailed, Error: fmt.Sprintf("panic in sender: %T", p), Started: start, Duration: time.Since(start)}
		}
	}()
	return d.deps.Sender.Send(d.attemptCtx, a)
}

// endedLocked gives back what the attempt held, and tells lane and gate how it went.
func (d *Dispatcher) endedLocked(del *delivery, res egress.Result, now time.Time) {
	e := del.to
	size := int64(len(del.event.Body))
	e.bytes -= size
	d.bytes -= size
	del.running = false
	if del.pace != nil {
		d.running.Remove(del.pace)
		del.pace = nil
	}
	d.slots.Give(&e.holder, del.slow, now.Sub(del.started), now)
	v := verdict(res.Outcome)
	if e.lane.Done(now, v) {
		d.tripLocked(e, now)
	}
	switch v {
	case lane.Success:
		d.recoveredLocked(e, now)
	case lane.Throttle:
		d.throttleLocked(e, res.RetryAfter, now)
	}
}

func verdict(o egress.Outcome) lane.Verdict {
	switch o {
	case egress.OutcomeDelivered, egress.OutcomeRejected, egress.OutcomeGone:
		return lane.Success
	case egress.OutcomeThrottled:
		return lane.Throttle
	case egress.OutcomeFailed:
		return lane.Failure
	default:
		return lane.Neutral
	}
}

// decideLocked decides what becomes of the delivery.
func (d *Dispatcher) decideLocked(del *delivery, res egress.Result, now time.Time) {
	if res.Outcome != egress.OutcomeDelivered && del.parent != nil && !del.queued && del.parent.lost() {
		d.abandonLocked(del) // whoever owns the message now decides
		return
	}
	if res.Status != 0 && res.Outcome != egress.OutcomeGone {
		del.to.goneAt = time.Time{}
	}
	switch res.Outcome {
	case egress.OutcomeDelivered:
		del.attempts++
		d.metrics.EndToEnd.Observe(now.Sub(del.event.Time).Seconds())
		d.finishLocked(del, store.Outcome{State: store.DeliveryDelivered, LastStatus: res.Status, LastDuration: res.Duration}, now)
	case egress.OutcomeRefused:
		del.attempts++
		d.noteAttemptLocked(del, res)
		d.finishLocked(del, store.Outcome{
			State: store.DeliveryDead, Reason: store.ReasonRefused, LastStatus: res.Status, LastError: res.Error, LastDuration: res.Duration,
		}, now)
	case egress.OutcomeAborted:
		d.abortedLocked(del, now)
	case egress.OutcomeThrottled: // does not count
		d.retryLocked(del, res, now, now.Add(max(res.RetryAfter, del.to.cfg.Retry.Base/2)))
	case egress.OutcomeGone:
		d.goneLocked(del, now)
		d.failedLocked(del, res, now)
	default:
		d.failedLocked(del, res, now)
	}
}

// failedLocked has the delivery tried again, or ends it when its retry policy has.
func (d *Dispatcher) failedLocked(del *delivery, res egress.Result, now time.Time) {
	del.attempts++
	d.noteAttemptLocked(del, res)
	policy := del.to.cfg.Retry
	end := del.first
	if since := del.to.cfg.StateSince; since.After(end) {
		end = since
	}
	end = end.Add(policy.MaxAge)
	if !now.Before(end) {
		d.finishLocked(del, store.Outcome{
			State: store.DeliveryDead, Reason: store.ReasonExhausted, LastStatus: res.Status, LastError: res.Error, LastDuration: res.Duration,
		}, now)
		return
	}
	next := now.Add(max(lane.Delay(policy, del.attempts, rand.Float64()), res.RetryAfter))
	if next.After(end) { // one last attempt when it ends
		next = end
	}
	d.retryLocked(del, res, now, next)
}

// retryLocked has the delivery due again at next: by a new row, or by moving the one it has.
func (d *Dispatcher) retryLocked(del *delivery, res egress.Result, now, next time.Time) {
	if !del.queued {
		d.putLocked(del, store.Queued{
			Reason: store.ReasonRetry, NextAt: next, LastStatus: res.Status, LastError: res.Error, LastDuration: res.Duration,
		}, now)
		return
	}
	d.moveLocked(del, store.Retry{
		NextAt: next, Reason: store.ReasonRetry, LastStatus: res.Status, LastError: res.Error, LastDuration: res.Duration,
	})
}

// abortedLocked keeps a delivery whose attempt was none.
func (d *Dispatcher) abortedLocked(del *delivery, now time.Time) {
	if del.attempts == 0 {
		del.first = time.Time{} // its time to be retried has not begun
	}
	switch {
	case d.attemptCtx.Err() != nil: // its row, held or due, stays as it is
		d.unloadLocked(del)
	case !del.queued:
		d.putLocked(del, store.Queued{Reason: store.ReasonHold, NextAt: now.Add(abortedWait)}, now)
	default:
		d.moveLocked(del, store.Retry{NextAt: now.Add(abortedWait), Reason: store.ReasonHold})
	}
}

// goneLocked disables an endpoint that says 410 for two events a minute apart. Any other answer starts over.
func (d *Dispatcher) goneLocked(del *delivery, now time.Time) {
	e := del.to
	switch {
	case e.goneAt.IsZero():
		e.goneAt, e.goneFor = now, del.id.Event
	case e.goneFor != del.id.Event && now.Sub(e.goneAt) >= goneGap:
		e.goneAt = time.Time{}
		d.disableLocked(e, "answered 410 Gone")
	}
}
