package brokertest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/broker"
)

func everyGroupOnce(t *testing.T, h Harness) {
	b := h.Open(t)
	first, want := numbered(60, 6)
	publish(t, b, first[:30]...)
	// Nobody acks before all have everything: what every known group has settled may be deleted.
	groups := []*collector{newCollector(acknowledgeNone), newCollector(acknowledgeNone), newCollector(acknowledgeNone)}
	for i, c := range groups {
		consume(t, b, fmt.Sprintf("group-%d", i), c)
	}
	publish(t, b, first[30:]...)
	for _, c := range groups {
		c.untilBodies(t, want)
	}
	for _, c := range groups {
		for _, l := range c.all() {
			l.Ack()
		}
		c.wantQuiet(t, len(want))
		wantOnce(t, c.bodies(), want)
	}
}

func consumersShareTheWork(t *testing.T, h Harness) {
	for _, consumers := range []int{1, 2, 8} {
		t.Run(fmt.Sprintf("%d consumers", consumers), func(t *testing.T) {
			b := h.Open(t)
			name := fmt.Sprintf("%s-%d", group, consumers)
			c := newCollector(nil) // of all: Handle is safe for concurrent streams
			var running []*consuming
			for range consumers {
				running = append(running, consume(t, b, name, c))
			}
			msgs, want := numbered(200, 20)
			for i := range msgs {
				msgs[i].Body = append(msgs[i].Body, '/', byte('0'+consumers))
				want[i] = string(msgs[i].Body)
				publish(t, b, msgs[i])
			}
			c.untilBodies(t, want)
			c.within(quiet, func() bool { return false })
			var got []string
			for _, body := range c.bodies() {
				if strings.HasSuffix(body, fmt.Sprintf("/%d", consumers)) {
					got = append(got, body)
				}
			}
			wantOnce(t, got, want)
			for _, r := range running {
				r.stop(t)
			}
			closeBroker(t, b)
		})
	}
}

func serialAndInOrder(t *testing.T, h Harness) {
	b := h.Open(t)
	c := newCollector(nil)
	msgs, want := numbered(300, 30)
	publish(t, b, msgs[:150]...)
	r := consume(t, b, group, c)
	for _, m := range msgs[150:] {
		publish(t, b, m)
	}
	c.untilBodies(t, want)
	r.stop(t)
	c.wantSerial(t)
	if !b.Caps().Ordered {
		return
	}
	for stream, leases := range streamsOf(c.all()) {
		positions := map[string]bool{}
		for i, l := range leases {
			if positions[l.Position()] {
				t.Errorf("stream %s: position %s came twice", stream, l.Position())
			}
			positions[l.Position()] = true
			if i > 0 && string(leases[i-1].Message().Body) >= string(l.Message().Body) {
				t.Fatalf("stream %s: %s came after %s", stream, l.Message().Body, leases[i-1].Message().Body)
			}
		}
	}
}

func newGroupStartsWithOldest(t *testing.T, h Harness) {
	b := h.Open(t)
	msgs, want := numbered(20, 4)
	publish(t, b, msgs...)
	for _, name := range []string{"early", "late"} {
		c := newCollector(nil)
		r := consume(t, b, name, c)
		if name == "early" {
			c.untilBodies(t, want)
			r.stop(t)
			continue
		}
		publish(t, b, message("", "new")) // what all groups so far have settled may be gone
		c.untilBodies(t, []string{"new"})
	}
}

func lagIsTrue(t *testing.T, h Harness) {
	b := h.Open(t)
	msgs, want := numbered(10, 4)
	publish(t, b, msgs...)
	c := newCollector(acknowledgeNone)
	r := consume(t, b, group, c)
	c.untilBodies(t, want)
	wantLag(t, r.consumer, 10, 10)
	for _, l := range c.all() {
		l.Ack()
	}
	wantLag(t, r.consumer, 0, 0)
	r.stop(t)
	publish(t, b, message("", "more"))
	wantLag(t, r.consumer, 1, 0) // Run does not run
}

// wantLag waits until the lag is as it should be: committing takes a moment.
func wantLag(t *testing.T, consumer broker.Consumer, messages int64, unsettled int) {
	t.Helper()
	eventually(t, "Lag", func() error {
		lags, err := consumer.Lag(t.Context())
		if err != nil {
			return err
		}
		var m int64
		u := 0
		for _, l := range lags {
			m += l.Messages
			u += l.Unsettled
			if (l.Messages > 0) == l.Oldest.IsZero() {
				return fmt.Errorf("stream %s: %d messages, oldest of %v", l.Stream, l.Messages, l.Oldest)
			}
		}
		if m != messages || u != unsettled {
			return fmt.Errorf("%d messages, %d unsettled: want %d, %d", m, u, messages, unsettled)
		}
		return nil
	})
}
