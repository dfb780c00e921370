package dispatcher

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// clock wakes the dispatcher for what happens by the passing of time: lanes that may start again, holds, attempts that
// turn slow.
type clock struct {
	woken chan struct{}

	mu    sync.Mutex
	lanes wakeHeap
	at    map[*endpoint]time.Time // the earliest wake of each endpoint in lanes
}

type wake struct {
	at time.Time
	to *endpoint
}

type wakeHeap []wake

func (h wakeHeap) Len() int           { return len(h) }
func (h wakeHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h wakeHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *wakeHeap) Push(x any)        { *h = append(*h, x.(wake)) }
func (h *wakeHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = wake{}
	*h = old[:len(old)-1]
	return x
}

func newClock() *clock {
	return &clock{woken: make(chan struct{}, 1), at: map[*endpoint]time.Time{}}
}

// poke has the clock look at the time anew.
func (c *clock) poke() {
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

// wakeLane has the endpoint pumped at a time, unless it is woken earlier anyhow.
func (c *clock) wakeLane(e *endpoint, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have, ok := c.at[e]; ok && !at.Before(have) {
		return
	}
	c.at[e] = at
	heap.Push(&c.lanes, wake{at, e})
	if c.lanes[0].to == e {
		c.poke()
	}
}

// due returns the endpoints to wake at now, and when the next is.
func (c *clock) due(now time.Time) (out []*endpoint, next time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.lanes) > 0 {
		first := c.lanes[0]
		if current := c.at[first.to]; !current.Equal(first.at) { // replaced by an earlier one, which has fired
			heap.Pop(&c.lanes)
			continue
		}
		if first.at.After(now) {
			return out, first.at
		}
		heap.Pop(&c.lanes)
		delete(c.at, first.to)
		out = append(out, first.to)
	}
	return out, time.Time{}
}

// runClock acts on the passing of time until ctx ends.
func (d *Dispatcher) runClock(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-d.clock.woken:
		}
		if next := d.tick(time.Now()); !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// tick does what is due at now and returns when it wants to be called again; zero: when poked.
func (d *Dispatcher) tick(now time.Time) time.Time {
	lanes, next := d.clock.due(now)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range lanes {
		d.pumpLocked(e, now)
	}
	next = earlier(next, d.slowLocked(now))
	return earlier(next, d.overdueLocked(now))
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// slowLocked moves attempts that have run for a second from the fast slots to the slow ones.
func (d *Dispatcher) slowLocked(now time.Time) (next time.Time) {
	moved := false
	for front := d.running.Front(); front != nil; front = d.running.Front() {
		del := front.Value.(*delivery)
		if at := del.started.Add(slowAfter); at.After(now) {
			next = at
			break
		}
		d.running.Remove(front)
		del.pace = nil
		del.slow = d.slots.Slow(&del.to.holder)
		moved = moved || del.slow
	}
	if moved {
		d.pumpAllLocked(now)
	}
	return next
}
