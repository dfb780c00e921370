package brokertest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker"
)

// churnLosesNothing has consumers join and leave while messages are published and settled late and out of order.
func churnLosesNothing(t *testing.T, h Harness) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	b := h.Open(t)
	settled := newCollector(nil) // remembers what was acked in time
	var late sync.WaitGroup
	join := func() *consuming {
		c := newCollector(acknowledgeNone)
		c.handle = func(ls []broker.Lease) {
			ls = slices.Clone(ls)
			late.Go(func() { // as a dispatcher does: later, elsewhere, the other way round
				for _, l := range slices.Backward(ls) {
					if l.Context().Err() == nil {
						settled.Handle([]broker.Lease{l})
					}
				}
			})
		}
		return consume(t, b, group, c)
	}
	msgs, want := numbered(1500, 40)
	published := make(chan struct{})
	go func() {
		defer close(published)
		for m := range slices.Chunk(msgs, 10) {
			if err := b.Publisher().Publish(t.Context(), m...); err != nil {
				t.Errorf("Publish = %v", err)
			}
		}
	}()
	members := []*consuming{join()}
	for range 12 {
		if len(members) > 1 && (len(members) == 4 || rnd.IntN(2) == 0) {
			i := rnd.IntN(len(members))
			members[i].stop(t)
			members = slices.Delete(members, i, i+1)
		} else {
			members = append(members, join())
		}
		seen := len(settled.all()) // between two changes something is settled
		settled.until(t, "progress", func() bool { return len(settled.leases) >= min(seen+60, len(want)) })
	}
	<-published
	settled.untilBodies(t, want)
	for _, m := range members {
		m.stop(t)
	}
	late.Wait()
	t.Logf("%d messages came again", len(settled.bodies())-len(want))
}

// whatStays has a second consumer come and go: the first keeps what it has of the streams it keeps.
func whatStays(t *testing.T, h Harness) {
	b := h.Open(t)
	keyOfEachStream(t, b)
	msgs, want := numbered(40, 20)
	publish(t, b, msgs...)
	first := newCollector(acknowledgeNone)
	r := consume(t, b, group, first)
	first.untilBodies(t, want)
	second := newCollector(acknowledgeNone)
	guest := consume(t, b, group, second)
	first.until(t, "a revoked stream", func() bool { return len(first.revoked) == 1 })
	revoked, _ := first.seen()
	gone := revoked[0]
	var moved []string
	for _, l := range first.all() {
		if slices.Contains(gone, l.Stream()) {
			moved = append(moved, string(l.Message().Body))
		} else if l.Context().Err() != nil {
			t.Errorf("the lease of %s ended though its stream %s stayed", l.Position(), l.Stream())
		}
	}
	second.untilBodies(t, moved)
	for _, l := range second.all() {
		if !slices.Contains(gone, l.Stream()) {
			t.Errorf("stream %s was handed to the second consumer though the first kept it", l.Stream())
		}
	}
	guest.stop(t)
	first.until(t, "the streams' return", func() bool { return len(first.leases) >= len(want)+len(moved) })
	first.wantQuiet(t, len(want)+len(moved)) // what stayed did not come again
	r.stop(t)
	first.wantSerial(t)
}

// revokeNamesWhatGoes settles everything in Revoke: the final commit has it.
func revokeNamesWhatGoes(t *testing.T, h Harness) {
	b := h.Open(t)
	msgs, want := numbered(40, 20)
	publish(t, b, msgs...)
	c := newCollector(acknowledgeNone)
	c.revoke = func(ctx context.Context, _ []string) {
		if _, ok := ctx.Deadline(); !ok {
			t.Error("the context of Revoke has no deadline")
		}
		for _, l := range c.all() {
			if err := l.Context().Err(); err != nil {
				t.Errorf("a lease ended before Revoke: %v", err)
			}
			l.Ack()
		}
	}
	r := consume(t, b, group, c)
	c.untilBodies(t, want)
	r.stop(t)
	c.wantSerial(t)
	calls, _ := c.seen()
	revoked := slices.Concat(calls...)
	slices.Sort(revoked)
	if len(slices.Compact(slices.Clone(revoked))) != len(revoked) {
		t.Errorf("revoked %v: a stream goes once", calls)
	}
	for stream := range streamsOf(c.all()) {
		if !slices.Contains(revoked, stream) {
			t.Errorf("stream %s had leases and was not revoked", stream)
		}
	}
	if h.Passed != nil {
		for _, l := range c.all() {
			if !h.Passed(t, b, topic, group, l.Stream(), l.Position()) {
				t.Errorf("position %s of stream %s was settled in Revoke and is not committed after Run", l.Position(), l.Stream())
			}
		}
	}
	again := newCollector(nil)
	consume(t, b, group, again)
	publish(t, b, message("", "new"))
	again.untilBodies(t, []string{"new"})
	again.wantQuiet(t, 1)
}

func leaseEnds(t *testing.T, h Harness) {
	b := h.Open(t)
	msgs, want := numbered(10, 5)
	publish(t, b, msgs...)
	c := newCollector(acknowledgeNone)
	r := consume(t, b, group, c)
	c.untilBodies(t, want)
	for _, l := range c.all() {
		if err := l.Context().Err(); err != nil {
			t.Errorf("a lease ended early: %v", err)
		}
	}
	r.stop(t)
	for _, l := range c.all() {
		if l.Context().Err() == nil {
			t.Error("a lease goes on after Run returned")
		}
	}
}

// drainDeadline has handlers that do not settle: Run waits for the drain time and not much longer.
func drainDeadline(t *testing.T, h Harness) {
	for name, block := range map[string]func(*collector){
		"Revoke blocks": func(c *collector) { c.revoke = func(ctx context.Context, _ []string) { <-ctx.Done() } },
		"Handle blocks": func(c *collector) { c.handle = func(ls []broker.Lease) { <-ls[0].Context().Done() } },
	} {
		t.Run(name, func(t *testing.T) {
			b := h.Open(t)
			publish(t, b, message("", name))
			c := newCollector(acknowledgeNone)
			block(c)
			entered := make(chan struct{}, 100)
			inner := c.handle
			c.handle = func(ls []broker.Lease) {
				entered <- struct{}{}
				if inner != nil {
					inner(ls)
				}
			}
			r := consume(t, b, name, c)
			<-entered
			started := time.Now()
			r.stop(t)
			if took := time.Since(started); took > h.Drain+time.Second {
				t.Errorf("Run returned after %v, want it within the drain time of %v and a second", took, h.Drain)
			}
			c.wantSerial(t)
			again := newCollector(nil)
			r = consume(t, b, name, again)
			again.untilBodies(t, []string{name})
			r.stop(t)
			closeBroker(t, b)
		})
	}
}

func runIsOnce(t *testing.T, h Harness) {
	b := h.Open(t)
	r := consume(t, b, group, newCollector(nil))
	r.stop(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := r.consumer.Run(ctx, newCollector(nil)); err == nil {
		t.Error("a second Run of one Consumer returned nil, want an error")
	}
	if ctx.Err() != nil {
		t.Error(fmt.Errorf("a second Run ran: %w", ctx.Err()))
	}
}
