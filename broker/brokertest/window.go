package brokertest

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/broker"
)

func stuckMessage(t *testing.T, h Harness) {
	b := h.Open(t)
	keys := keyOfEachStream(t, b)
	streams := slices.Sorted(maps.Keys(keys))
	stuckStream, other := streams[0], streams[1]
	c := newCollector(func(l broker.Lease) bool { return string(l.Message().Body) != "stuck" })
	consume(t, b, group, c)
	publish(t, b, message(keys[stuckStream], "stuck"))
	want := []string{"stuck"}
	// All that the window takes behind the stuck one, and more of it than one window in the other stream.
	for i := range h.Window - 1 {
		want = append(want, fmt.Sprintf("behind-%d", i))
		publish(t, b, message(keys[stuckStream], want[len(want)-1]))
	}
	for i := range 2 * h.Window {
		want = append(want, fmt.Sprintf("beside-%d", i))
		publish(t, b, message(keys[other], want[len(want)-1]))
	}
	c.untilBodies(t, want)
	publish(t, b, message(keys[stuckStream], "one too many"))
	publish(t, b, message(keys[other], "still going"))
	c.untilBodies(t, []string{"still going"})
	c.wantQuiet(t, len(want)+1)
	for _, l := range c.all() {
		if string(l.Message().Body) == "stuck" {
			l.Ack()
		}
	}
	c.untilBodies(t, []string{"one too many"})
}

func windowBoundsMessages(t *testing.T, h Harness) {
	b := h.Open(t)
	msgs, want := numbered(3*h.Window, 0)
	for _, m := range msgs {
		m.Key = []byte("one key, one stream")
	}
	publish(t, b, msgs...)
	windowBounds(t, b, want, h.Window)
}

func windowBoundsBytes(t *testing.T, h Harness) {
	b := h.Open(t)
	size := int(h.WindowBytes / 5)
	var msgs []*broker.Message
	var want []string
	for i := range 12 {
		m := message("one key, one stream", fmt.Sprintf("%02d", i))
		m.Body = append(m.Body, make([]byte, size-len(m.Key)-len(m.Body))...)
		msgs = append(msgs, m)
		want = append(want, string(m.Body))
	}
	publish(t, b, msgs...)
	windowBounds(t, b, want, 5)
}

// windowBounds checks that most messages of a stream are out at once, and that settling one lets the next come.
func windowBounds(t *testing.T, b broker.Broker, want []string, most int) {
	t.Helper()
	c := newCollector(acknowledgeNone)
	consume(t, b, group, c)
	c.until(t, fmt.Sprintf("a window of %d", most), func() bool { return len(c.leases) >= most })
	c.wantQuiet(t, most)
	for i := range want {
		c.until(t, "the next message", func() bool { return len(c.leases) >= min(most+i, len(want)) })
		if got := len(c.all()); got > most+i {
			t.Fatalf("%d messages are out after %d were settled, want at most %d unsettled", got, i, most)
		}
		c.all()[i].Ack()
	}
	wantOnce(t, c.bodies(), want)
}

func blockedHandle(t *testing.T, h Harness) {
	b := h.Open(t)
	keys := keyOfEachStream(t, b)
	streams := slices.Sorted(maps.Keys(keys))
	blocked, other := streams[0], streams[1]
	release := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(release) })
	c := newCollector(nil)
	entered := make(chan struct{}, 1)
	c.handle = func(ls []broker.Lease) {
		if ls[0].Stream() == blocked && !isProbe(ls[0]) {
			select {
			case entered <- struct{}{}:
			default:
			}
			<-release
		}
	}
	consume(t, b, group, c)
	t.Cleanup(letGo)
	publish(t, b, message(keys[blocked], "blocked"))
	<-entered
	var want []string
	for i := range 3 * h.Window {
		want = append(want, fmt.Sprintf("beside-%d", i))
		publish(t, b, message(keys[other], want[i]), message(keys[blocked], fmt.Sprintf("behind-%d", i)))
	}
	c.untilBodies(t, want)
	c.wantQuiet(t, len(want)) // Handle is serial: nothing behind the blocked one came
	letGo()
	c.until(t, "what was blocked", func() bool { return len(c.leases) == 2*len(want)+1 })
}
