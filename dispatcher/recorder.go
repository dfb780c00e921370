package dispatcher

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/egress"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/pkg/wait"
	"github.com/sluicehq/sluice/store"
)

const (
	recordTimeout  = 30 * time.Second
	recordMinPause = 50 * time.Millisecond
	recordMaxPause = time.Second
)

// batch is a transaction being formed, and what it means once it is durable.
type batch struct {
	store.Batch
	done []completion
}

// completion is what follows when a batch is durable: for a delivery, its event waits for it no more, and if it ended
// it leaves memory; for an event alone, one note of it is taken; a waiter is told.
type completion struct {
	delivery *delivery
	ended    bool
	event    *inflight
	flushed  chan struct{} // closed
}

func (b *batch) rows() int {
	return len(b.Events) + len(b.Queue) + len(b.Holds) + len(b.Retries) + len(b.Outcomes) + len(b.Attempts) + len(b.Duplicates) + len(b.Quarantine)
}

// addedLocked says that the forming batch has something.
func (d *Dispatcher) addedLocked() {
	select {
	case d.recordable <- struct{}{}:
	default:
	}
}

// rowLocked adds the event's row of the history, once.
func (d *Dispatcher) rowLocked(t *inflight) {
	if t == nil || t.recorded {
		return
	}
	t.recorded = true
	d.forming.Events = append(d.forming.Events, store.EventRow{Event: t.event, Matched: t.matched})
}

// finishLocked records the end of a delivery.
func (d *Dispatcher) finishLocked(del *delivery, o store.Outcome, now time.Time) {
	d.rowLocked(del.parent)
	o.ID, o.Attempts, o.FirstAttempt, o.FinishedAt = del.id, del.attempts, del.first, now
	d.forming.Outcomes = append(d.forming.Outcomes, o)
	d.forming.done = append(d.forming.done, completion{delivery: del, ended: true})
	d.metrics.Finished.WithLabelValues(string(o.State)).Inc()
	d.addedLocked()
}

// putLocked queues a fresh delivery, which then leaves memory.
func (d *Dispatcher) putLocked(del *delivery, q store.Queued, now time.Time) {
	d.rowLocked(del.parent)
	q.ID, q.Size, q.Attempt, q.FirstAttempt, q.QueuedAt = del.id, len(del.event.Body), del.attempts, del.first, now
	d.forming.Queue = append(d.forming.Queue, q)
	d.forming.done = append(d.forming.done, completion{delivery: del, ended: true})
	d.metrics.Queued.WithLabelValues(string(q.Reason)).Inc()
	d.addedLocked()
}

// holdLocked queues a delivery whose attempt runs on. Its outcome will be recorded when it comes.
func (d *Dispatcher) holdLocked(del *delivery, now time.Time) {
	d.rowLocked(del.parent)
	until := del.started.Add(del.to.cfg.Timeout + heldMargin)
	d.forming.Holds = append(d.forming.Holds, store.Queued{
		ID: del.id, Size: len(del.event.Body), Attempt: del.attempts + 1, FirstAttempt: del.first,
		NextAt: until, HeldUntil: until, Reason: store.ReasonHold, QueuedAt: now,
	})
	d.forming.done = append(d.forming.done, completion{delivery: del})
	if !del.queued {
		d.metrics.Queued.WithLabelValues(string(store.ReasonHold)).Inc()
	}
	del.queued = true
	if _, have := del.to.due[del.id]; !have { // after a lost lease the row may be here already, queued by somebody else
		del.to.due[del.id] = del
	}
	d.addedLocked()
}

// moveLocked moves the row of a queued delivery, which then leaves memory.
func (d *Dispatcher) moveLocked(del *delivery, r store.Retry) {
	r.ID, r.Attempt, r.FirstAttempt = del.id, del.attempts, del.first
	d.forming.Retries = append(d.forming.Retries, r)
	d.forming.done = append(d.forming.done, completion{delivery: del, ended: true})
	d.addedLocked()
}

// noteAttemptLocked keeps a failed attempt for people to look at.
func (d *Dispatcher) noteAttemptLocked(del *delivery, res egress.Result) {
	d.forming.Attempts = append(d.forming.Attempts, store.Attempt{
		ID: del.id, Number: del.attempts, Started: res.Started, Duration: res.Duration, Status: res.Status, Error: res.Error, Excerpt: res.Excerpt,
	})
}

// noteLocked adds a note that the event waits for: its row alone.
func (d *Dispatcher) noteLocked(t *inflight) {
	d.rowLocked(t)
	d.forming.done = append(d.forming.done, completion{event: t})
	d.addedLocked()
}

// duplicateLocked counts one more copy of holder's event.
func (d *Dispatcher) duplicateLocked(t *inflight, holder event.ID) {
	if d.forming.Duplicates == nil {
		d.forming.Duplicates = map[event.ID]int64{}
	}
	d.forming.Duplicates[holder]++
	d.forming.done = append(d.forming.done, completion{event: t})
	d.addedLocked()
}

// quarantineLocked keeps a message that cannot be handled.
func (d *Dispatcher) quarantineLocked(t *inflight, q store.Quarantined) {
	d.forming.Quarantine = append(d.forming.Quarantine, q)
	d.forming.done = append(d.forming.done, completion{event: t})
	d.addedLocked()
}

// record writes batches, one transaction at a time: while one runs the next forms. It ends with ctx, which must outlive
// everything that records.
func (d *Dispatcher) record(ctx context.Context) error {
	for {
		select {
		case <-d.recordable:
		case <-ctx.Done():
			return nil
		}
		d.mu.Lock()
		b := d.forming
		d.forming = &batch{}
		d.mu.Unlock()
		if !d.write(ctx, &b.Batch, b.rows()) {
			return nil // ctx ended: what is not recorded comes again
		}
		d.completed(b)
	}
}

// completed does what follows from a durable batch.
func (d *Dispatcher) completed(b *batch) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range b.done {
		switch {
		case c.flushed != nil:
			close(c.flushed)
		case c.event != nil:
			d.doneLocked(c.event)
		case c.ended:
			d.letGoLocked(c.delivery)
			if c.delivery.queued {
				d.moreLocked(c.delivery.to)
			}
		default:
			d.closeLocked(c.delivery)
		}
	}
	now := time.Now()
	for i := range b.Queue {
		if !b.Queue[i].NextAt.After(now) {
			d.loop.Wake()
			break
		}
	}
}

// write records the batch however long it takes; it is false only when ctx ended.
func (d *Dispatcher) write(ctx context.Context, b *store.Batch, rows int) bool {
	d.metrics.RecordRows.Observe(float64(rows))
	pause := recordMinPause
	for {
		start := time.Now()
		call, cancel := context.WithTimeout(ctx, recordTimeout)
		err := d.deps.Store.Record(call, b)
		cancel()
		if err == nil {
			d.metrics.RecordSeconds.WithLabelValues("ok").Observe(time.Since(start).Seconds())
			return true
		}
		d.metrics.RecordSeconds.WithLabelValues("error").Observe(time.Since(start).Seconds())
		if errors.Is(err, store.ErrData) {
			return d.writeHalves(ctx, b, err)
		}
		if ctx.Err() != nil {
			return false
		}
		d.log.Warn("outcomes not recorded, trying again", telemetry.Error(err), zap.Int("rows", rows))
		if !wait.For(ctx, time.Duration(float64(pause)*(0.5+rand.Float64()/2))) {
			return false
		}
		pause = min(2*pause, recordMaxPause)
	}
}

// writeHalves finds the row that the store refuses by halving. That row is written with its free text blanked; one
// refused even so goes to quarantine.
func (d *Dispatcher) writeHalves(ctx context.Context, b *store.Batch, refused error) bool {
	if first, second, ok := halves(b); ok {
		return d.write(ctx, first, 0) && d.write(ctx, second, 0)
	}
	d.metrics.DataRefused.Inc()
	d.log.Error("the store refuses a row for its data", telemetry.Error(refused))
	for _, try := range []*store.Batch{blanked(b), d.quarantineOf(b, time.Now())} {
		if try == nil {
			continue
		}
		call, cancel := context.WithTimeout(ctx, recordTimeout)
		err := d.deps.Store.Record(call, try)
		cancel()
		if err == nil || ctx.Err() != nil {
			return err == nil
		}
		if !errors.Is(err, store.ErrData) {
			return d.write(ctx, try, 0)
		}
	}
	return true
}

// flushed waits until everything that was to be recorded by now is.
func (d *Dispatcher) flushed(ctx context.Context) error {
	done := make(chan struct{})
	d.mu.Lock()
	d.forming.done = append(d.forming.done, completion{flushed: done})
	d.addedLocked()
	d.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return errors.New("stopped before everything was recorded, what is missing will be delivered again: the store does not answer")
	}
}
