package brokertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker"
)

func publishedIsDurable(t *testing.T, h Harness) {
	need(t, h.Kill != nil, "kill a process")
	b := h.Open(t)
	msgs, want := numbered(50, 5)
	publish(t, b, msgs...)
	h.Kill(t, b)
	b = h.Open(t)
	c := newCollector(nil)
	consume(t, b, group, c)
	c.untilBodies(t, want)
}

func publishRefusesOnlyWhatIsTooLarge(t *testing.T, h Harness) {
	b := h.Open(t)
	most := b.Caps().MaxMessage
	large := message("", string(make([]byte, most+1)))
	header := message("", string(make([]byte, most-5)))
	header.Headers = []broker.Header{{Name: "abc", Value: []byte("def")}}
	err := b.Publisher().Publish(t.Context(), message("k", "before"), large, message("k", "after"), header)
	var each broker.PublishErrors
	if !errors.As(err, &each) || len(each) != 4 {
		t.Fatalf("Publish = %v, want PublishErrors of 4", err)
	}
	for i, tooLarge := range []bool{false, true, false, true} {
		if got := each[i]; tooLarge != errors.Is(got, broker.ErrTooLarge) || !tooLarge && got != nil {
			t.Errorf("message %d: error %v, want too large: %v", i, got, tooLarge)
		}
	}
	c := newCollector(nil)
	consume(t, b, group, c)
	c.untilBodies(t, []string{"before", "after"})
	c.wantQuiet(t, 2)
}

func bytesArriveAsTheyWere(t *testing.T, h Harness) {
	b := h.Open(t)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	mebibyte := make([]byte, 1<<20)
	for i := range mebibyte {
		mebibyte[i] = byte(i * 7)
	}
	many := make([]broker.Header, 100)
	for i := range many {
		many[i] = broker.Header{Name: fmt.Sprintf("header-%d", i), Value: []byte(fmt.Sprint(i))}
	}
	msgs := []*broker.Message{
		{Body: every, Key: every},
		{Body: nil},
		{Body: []byte{0}},
		{Body: []byte("headers"), Headers: many},
		{Body: []byte("odd headers"), Headers: []broker.Header{
			{Name: "not-utf-8", Value: []byte{0xff, 0xfe, 0x00, 0x80}}, {Name: "empty", Value: nil}, {Name: "lines", Value: []byte("a\r\nb")},
		}},
		{Body: []byte("no key"), Key: []byte{}},
		{Body: mebibyte},
	}
	for _, m := range msgs {
		m.Topic = topic
		publish(t, b, m)
	}
	c := newCollector(nil)
	consume(t, b, group, c)
	c.until(t, "all messages", func() bool { return len(c.leases) >= len(msgs) })
	var got []*broker.Message
	for _, l := range c.all() {
		got = append(got, l.Message())
	}
	for i, want := range msgs {
		if !slices.ContainsFunc(got, func(m *broker.Message) bool { return sameMessage(m, want) }) {
			t.Errorf("message %d (%d bytes, %d headers) did not arrive as it was published", i, len(want.Body), len(want.Headers))
		}
	}
}

func sameMessage(a, b *broker.Message) bool {
	return a.Topic == b.Topic && string(a.Key) == string(b.Key) && string(a.Body) == string(b.Body) &&
		slices.EqualFunc(a.Headers, b.Headers, func(x, y broker.Header) bool {
			return x.Name == y.Name && string(x.Value) == string(y.Value)
		})
}

func timeIsWhenTheBrokerAccepted(t *testing.T, h Harness) {
	b := h.Open(t)
	c := newCollector(nil)
	before := time.Now()
	for i, body := range []string{"before the consumer came", "while it runs"} {
		if i == 1 {
			consume(t, b, group, c)
			c.untilBodies(t, []string{"before the consumer came"})
		}
		m := message("", body)
		m.Time = time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)
		publish(t, b, m)
		if m.Time.Year() != 2001 {
			t.Error("Publish changed the message")
		}
	}
	after := time.Now()
	c.untilBodies(t, []string{"while it runs"})
	const skew = 2 * time.Second // a broker has a clock of its own
	for _, l := range c.all() {
		got := l.Message().Time
		if got.Before(before.Add(-skew)) || got.After(after.Add(skew)) || got.Location() != time.UTC || got != got.Truncate(time.Millisecond) {
			t.Errorf("%s: Time = %v, want UTC in whole milliseconds, about %v", l.Message().Body, got, after)
		}
	}
}

func concurrentPublishersKeepOrder(t *testing.T, h Harness) {
	const publishers, each = 16, 50
	b := h.Open(t)
	c := newCollector(nil)
	consume(t, b, group, c)
	var wg sync.WaitGroup
	var want []string
	for p := range publishers {
		for i := range each {
			want = append(want, fmt.Sprintf("%d/%d", p, i))
		}
		wg.Go(func() {
			for i := range each {
				if err := b.Publisher().Publish(t.Context(), message(fmt.Sprint("key-", p), fmt.Sprintf("%d/%d", p, i))); err != nil {
					t.Errorf("Publish = %v", err)
				}
			}
		})
	}
	wg.Wait()
	c.untilBodies(t, want)
	wantOnce(t, c.bodies(), want)
	if !b.Caps().Ordered {
		return
	}
	last := map[int]int{}
	for _, body := range c.bodies() {
		var p, i int
		if _, err := fmt.Sscanf(body, "%d/%d", &p, &i); err != nil {
			t.Fatal(err)
		}
		if i != last[p] {
			t.Fatalf("key %d: message %d came when %d was next", p, i, last[p])
		}
		last[p]++
	}
}

func canceledPublish(t *testing.T, h Harness) {
	b := h.Open(t)
	publish(t, b, message("", "opened")) // topics exist
	var stored, either []string
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 50 {
		m := message("", fmt.Sprintf("canceled-%d", i))
		switch err := b.Publisher().Publish(ctx, m); {
		case err == nil:
			stored = append(stored, string(m.Body))
		case errors.Is(err, broker.ErrAmbiguous):
			either = append(either, string(m.Body))
		case !errors.Is(err, broker.ErrUnavailable) || !errors.Is(err, context.Canceled):
			t.Fatalf("Publish = %v, want ErrUnavailable or ErrAmbiguous, and why", err)
		}
	}
	publish(t, b, message("", "last"))
	stored = append(stored, "opened", "last")
	c := newCollector(nil)
	consume(t, b, group, c)
	c.untilBodies(t, stored)
	c.within(quiet, func() bool { return false })
	for _, body := range c.bodies() {
		if !slices.Contains(stored, body) && !slices.Contains(either, body) {
			t.Errorf("%q is stored though Publish said it is not", body)
		}
	}
}

func publishAfterClose(t *testing.T, h Harness) {
	b := h.Open(t)
	publish(t, b, message("", "open"))
	closeBroker(t, b)
	if err := b.Publisher().Publish(t.Context(), message("", "closed")); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("Publish after Close = %v, want ErrClosed", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.Consumer(topic, group).Run(ctx, newCollector(nil)); !errors.Is(err, broker.ErrClosed) {
		t.Errorf("Run after Close = %v, want ErrClosed", err)
	}
	closeBroker(t, b) // again is harmless
}

func lostAnswer(t *testing.T, h Harness) {
	need(t, h.LoseAnswer != nil, "lose the answer to a publish")
	b := h.Open(t)
	publish(t, b, message("k", "before"))
	h.LoseAnswer(t, b)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.Publisher().Publish(ctx, message("k", "twice")); !errors.Is(err, broker.ErrAmbiguous) {
		t.Fatalf("Publish = %v, want ErrAmbiguous", err)
	}
	eventually(t, "publishing again", func() error { return b.Publisher().Publish(ctx, message("k", "twice")) })
	publish(t, b, message("k", "after"))
	c := newCollector(nil)
	consume(t, b, group, c)
	c.untilBodies(t, []string{"before", "twice", "after"})
	c.within(quiet, func() bool { return false })
	got := c.bodies()
	if n := len(got); n != 3 && n != 4 {
		t.Errorf("%d messages came: %v, want the ambiguous one once or twice and the others once", n, got)
	}
}

func refusalIsQuickAndHeals(t *testing.T, h Harness) {
	need(t, h.Refuse != nil, "refuse to store (disk full)")
	b := h.Open(t)
	msgs, want := numbered(20, 4)
	publish(t, b, msgs...)
	heal := h.Refuse(t, b)
	for range 5 {
		started := time.Now()
		err := b.Publisher().Publish(t.Context(), message("", string(make([]byte, 8<<10))), message("k", "refused"))
		if !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrAmbiguous) {
			t.Fatalf("Publish = %v, want ErrUnavailable", err)
		}
		if took := time.Since(started); took > time.Second {
			t.Fatalf("the refusal took %v, want it within a second", took)
		}
	}
	c := newCollector(nil)
	r := consume(t, b, group, c)
	c.untilBodies(t, want) // reading goes on
	heal()
	eventually(t, "publishing after it healed", func() error { return b.Publisher().Publish(t.Context(), message("", "healed")) })
	c.untilBodies(t, append(want, "healed"))
	r.stop(t)
	wantOnce(t, c.bodies(), append(want, "healed"))
}

// eventually repeats what may fail for a while.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: still %v after %v", what, err, patience)
		}
	}
}
