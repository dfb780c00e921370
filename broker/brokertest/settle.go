package brokertest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/broker"
)

// place is where a message lies.
type place struct{ stream, position string }

func placeOf(l broker.Lease) place { return place{l.Stream(), l.Position()} }

func unackedComesAgain(t *testing.T, h Harness) {
	need(t, h.Kill != nil, "kill a process")
	b := h.Open(t)
	msgs, want := numbered(30, 5)
	publish(t, b, msgs...)
	c := newCollector(acknowledgeNone)
	consume(t, b, group, c)
	c.untilBodies(t, want)
	h.Kill(t, b)

	first := map[string]place{}
	for _, l := range c.all() {
		first[string(l.Message().Body)] = placeOf(l)
	}
	b = h.Open(t)
	c = newCollector(nil)
	consume(t, b, group, c)
	c.untilBodies(t, want)
	for _, l := range c.all() {
		if body := string(l.Message().Body); first[body] != placeOf(l) {
			t.Errorf("%s lay at %v and comes again at %v", body, first[body], placeOf(l))
		}
	}
}

func ackSurvivesCrash(t *testing.T, h Harness) {
	need(t, h.Kill != nil, "kill a process")
	need(t, h.Passed != nil, "read committed positions")
	b := h.Open(t)
	msgs, want := numbered(30, 5)
	publish(t, b, msgs...)
	c := newCollector(nil)
	consume(t, b, group, c)
	c.untilBodies(t, want)
	for _, l := range c.all() {
		untilPassed(t, h, b, l)
	}
	h.Kill(t, b)
	b = h.Open(t)
	publish(t, b, message("", "new"))
	c = newCollector(nil)
	consume(t, b, group, c)
	c.untilBodies(t, []string{"new"})
	c.wantQuiet(t, 1)
}

func untilPassed(t *testing.T, h Harness, b broker.Broker, l broker.Lease) {
	t.Helper()
	eventually(t, "committing", func() error {
		if !h.Passed(t, b, topic, group, l.Stream(), l.Position()) {
			return fmt.Errorf("position %s of stream %s is settled and not committed", l.Position(), l.Stream())
		}
		return nil
	})
}

// commitNeverPassesUnacked settles in random order, looks at what is committed after each few, and crashes in between.
func commitNeverPassesUnacked(t *testing.T, h Harness) {
	need(t, h.Passed != nil, "read committed positions")
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	b := h.Open(t)
	msgs, want := numbered(h.Window/2, 7)
	publish(t, b, msgs...)
	acked := map[string]bool{}
	for len(acked) < len(want) {
		c := newCollector(acknowledgeNone)
		r := consume(t, b, group, c)
		var left []string
		for _, body := range want {
			if !acked[body] {
				left = append(left, body)
			}
		}
		c.untilBodies(t, left)
		leases := c.all()
		rnd.Shuffle(len(leases), func(i, j int) { leases[i], leases[j] = leases[j], leases[i] })
		for i, l := range leases[:1+rnd.IntN(len(leases))] {
			l.Ack()
			acked[string(l.Message().Body)] = true
			if i%5 == 0 {
				wantUnackedNotPassed(t, h, b, leases, acked)
			}
		}
		wantUnackedNotPassed(t, h, b, leases, acked)
		if rnd.IntN(2) == 0 && h.Kill != nil {
			h.Kill(t, b)
			b = h.Open(t)
		} else {
			r.stop(t)
		}
		wantUnackedNotPassed(t, h, b, leases, acked)
	}
}

func wantUnackedNotPassed(t *testing.T, h Harness, b broker.Broker, leases []broker.Lease, acked map[string]bool) {
	t.Helper()
	for _, l := range leases {
		if !acked[string(l.Message().Body)] && h.Passed(t, b, topic, group, l.Stream(), l.Position()) {
			t.Fatalf("the committed position of stream %s passed %s, which nobody acked", l.Stream(), l.Position())
		}
	}
}

func ackIsIdempotent(t *testing.T, h Harness) {
	const goroutines = 1000
	b := h.Open(t)
	msgs, want := numbered(20, 4)
	publish(t, b, msgs...)
	c := newCollector(acknowledgeNone)
	r := consume(t, b, group, c)
	c.untilBodies(t, want)
	leases := c.all()
	kept := leases[len(leases)/2] // stays un-acked whatever the others do
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range leases {
				if l := leases[(i+g)%len(leases)]; l != kept {
					l.Ack()
					l.Ack()
				}
			}
		})
	}
	wg.Wait()
	wantLagUnsettled(t, r.consumer, 1)
	r.stop(t)

	again := newCollector(nil)
	consume(t, b, group, again)
	again.untilBodies(t, []string{string(kept.Message().Body)})
}

func wantLagUnsettled(t *testing.T, consumer broker.Consumer, want int) {
	t.Helper()
	lags, err := consumer.Lag(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for _, l := range lags {
		got += l.Unsettled
	}
	if got != want {
		t.Errorf("%d messages are unsettled, want %d", got, want)
	}
}

func lateAckIsHarmless(t *testing.T, h Harness) {
	b := h.Open(t)
	msgs, want := numbered(10, 3)
	publish(t, b, msgs...)
	c := newCollector(acknowledgeNone)
	r := consume(t, b, group, c)
	c.untilBodies(t, want)
	r.stop(t)
	late := c.all()

	c = newCollector(acknowledgeNone)
	r = consume(t, b, group, c)
	c.untilBodies(t, want)
	for _, l := range late {
		l.Ack()
	}
	wantLagUnsettled(t, r.consumer, len(want))
	r.stop(t)

	c = newCollector(nil) // the late acks settled nothing
	consume(t, b, group, c)
	c.untilBodies(t, want)
}

func unackedIsGivenBack(t *testing.T, h Harness) {
	b := h.Open(t)
	msgs, want := numbered(20, 4)
	publish(t, b, msgs...)
	half := newCollector(func(l broker.Lease) bool { return l.Message().Body[len(l.Message().Body)-1]%2 == 0 })
	r := consume(t, b, group, half)
	half.untilBodies(t, want)
	r.stop(t)
	rest := newCollector(nil)
	consume(t, b, group, rest)
	var odd []string
	for _, body := range want {
		if body[len(body)-1]%2 == 1 {
			odd = append(odd, body)
		}
	}
	rest.untilBodies(t, odd)
	// The first of each stream that was not acked may have been acked behind: those come again. What lies before does not.
	for stream, leases := range streamsOf(rest.all()) {
		if b.Caps().Ordered && !slices.Contains(odd, string(leases[0].Message().Body)) {
			t.Errorf("stream %s starts again with %s, which was settled with all before it", stream, leases[0].Message().Body)
		}
	}
}
