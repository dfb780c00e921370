package brokertest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluicehq/sluice/broker"
)

func panicNeitherLosesNorAcks(t *testing.T, h Harness) {
	t.Helper()
	b := h.Open(t)
	msgs, want := numbered(20, 5)
	publish(t, b, msgs...)
	var panics atomic.Int32
	c := newCollector(nil)
	c.handle = func(ls []broker.Lease) {
		for _, l := range ls {
			if string(l.Message().Body) == want[7] && panics.Add(1) <= 2 {
				panic("the handler does not like this one")
			}
		}
	}
	r := consume(t, b, group, c)
	c.untilBodies(t, want)
	if panics.Load() < 3 {
		t.Errorf("the message came %d times, want it again after each of 2 panics", panics.Load())
	}
	c.update(func() { c.overlap = false }) // a Handle that panicked did not end as the collector counts
	r.stop(t)
}

func outageHeals(t *testing.T, h Harness) {
	t.Helper()
	need(t, h.Outage != nil, "fail for a while")
	b := h.Open(t)
	msgs, want := numbered(40, 8)
	publish(t, b, msgs[:20]...)
	c := newCollector(nil)
	r := consume(t, b, group, c)
	c.untilBodies(t, want[:20])
	heal := h.Outage(t, b)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := b.Publisher().Publish(ctx, message("", "during the outage")); err == nil {
		t.Error("Publish during the outage = nil")
	}
	select {
	case err := <-r.result:
		t.Fatalf("Run returned during the outage: %v", err)
	case <-time.After(quiet):
	}
	heal()
	for i, m := range msgs[20:] {
		eventually(t, "publishing after the outage", func() error { return b.Publisher().Publish(t.Context(), m) })
		c.untilBodies(t, want[20+i:21+i])
	}
}

func gapIsReported(t *testing.T, h Harness) {
	t.Helper()
	need(t, h.Truncate != nil, "remove messages")
	b := h.Open(t)
	msgs, want := numbered(10, 0)
	for _, m := range msgs {
		m.Key = []byte("one key, one stream")
	}
	publish(t, b, msgs...)
	probe := newCollector(acknowledgeNone)
	r := consume(t, b, "probe", probe) // knows where they are
	probe.untilBodies(t, want)
	r.stop(t)
	places := probe.all()
	stream, from, to := places[0].Stream(), places[0].Position(), places[6].Position()
	h.Truncate(t, b, topic, stream, to)

	c := newCollector(nil)
	r = consume(t, b, "probe", c) // was at the beginning
	c.untilBodies(t, want[6:])
	_, gaps := c.seen()
	if len(gaps) != 1 || gaps[0] != (gap{stream, from, to}) {
		t.Errorf("gaps %v, want one of stream %s from %s to %s", gaps, stream, from, to)
	}
	if got := len(c.all()); got != 4 {
		t.Errorf("%d messages came, want the 4 that are left", got)
	}
	wantLag(t, r.consumer, 0, 0) // the gap is passed
	r.stop(t)
	again := newCollector(nil)
	consume(t, b, "probe", again)
	publish(t, b, message("one key, one stream", "new"))
	again.untilBodies(t, []string{"new"})
	if _, gaps := again.seen(); len(gaps) != 0 || len(again.all()) != 1 {
		t.Errorf("the gap came again: %v", gaps)
	}
}

func permanentErrorEndsRun(t *testing.T, h Harness) {
	need(t, h.Break != nil, "make consuming impossible for good")
	b := h.Open(t)
	publish(t, b, message("", "before"))
	c := newCollector(nil)
	r := consume(t, b, group, c)
	c.untilBodies(t, []string{"before"})
	r.stop(t)
	publish(t, b, message("", "after"))
	h.Break(t, b)
	r = consume(t, b, group, newCollector(nil))
	if err := r.wait(t); err == nil {
		t.Error("Run = nil, want the permanent error")
	}
	r.err = nil // so that the end of the test is content
}

func closeLeavesNothing(t *testing.T, h Harness) {
	before := goleak.IgnoreCurrent()
	for i := range 3 {
		b := h.Open(t)
		c := newCollector(nil)
		name := fmt.Sprintf("group-%d", i)
		running := []*consuming{consume(t, b, name, c), consume(t, b, name, c)}
		msgs, want := numbered(20, 5)
		publish(t, b, msgs...)
		c.untilBodies(t, want)
		for _, r := range running {
			r.stop(t)
		}
		closeBroker(t, b)
	}
	if err := goleak.Find(before); err != nil {
		t.Errorf("after Close: %v", err)
	}
}
