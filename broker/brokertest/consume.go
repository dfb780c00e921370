package brokertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/broker"
)

// collector is a Handler that remembers everything and acks what ack says; nil acks everything.
type collector struct {
	ack     func(l broker.Lease) bool
	probes  bool                                        // remember the messages of keyOfEachStream, too
	handle  func(ls []broker.Lease)                     // called first; nil: nothing
	revoke  func(ctx context.Context, streams []string) // nil: nothing
	handing map[string]bool                             // streams with a Handle that runs
	mu      sync.Mutex
	changed chan struct{} // closed and replaced at every change
	leases  []broker.Lease
	revoked [][]string
	gaps    []gap
	overlap bool // Handle ran twice at once for a stream, or during or after its Revoke
	gone    map[string]bool
}

type gap struct{ stream, from, to string }

func newCollector(ack func(l broker.Lease) bool) *collector {
	return &collector{ack: ack, changed: make(chan struct{}), handing: map[string]bool{}, gone: map[string]bool{}}
}

func acknowledgeNone(broker.Lease) bool { return false }

func (c *collector) Handle(ls []broker.Lease) {
	if len(ls) == 0 {
		panic("Handle without leases")
	}
	stream := ls[0].Stream()
	c.update(func() {
		c.overlap = c.overlap || c.handing[stream]
		c.handing[stream] = true
		delete(c.gone, stream) // it is back
	})
	defer c.update(func() { c.handing[stream] = false })
	if c.handle != nil {
		c.handle(ls)
	}
	c.update(func() {
		for _, l := range ls {
			if l.Stream() != stream {
				panic("leases of two streams in one Handle")
			}
			if c.probes || !isProbe(l) {
				c.leases = append(c.leases, l)
			}
		}
	})
	for _, l := range ls {
		if c.ack == nil || isProbe(l) || c.ack(l) {
			l.Ack()
		}
	}
}

func (c *collector) Revoke(ctx context.Context, streams []string) {
	c.update(func() {
		c.revoked = append(c.revoked, slices.Clone(streams))
		for _, s := range streams {
			c.overlap = c.overlap || c.handing[s] || c.gone[s]
			c.gone[s] = true
		}
	})
	if c.revoke != nil {
		c.revoke(ctx, streams)
	}
}

func (c *collector) Gap(stream, from, to string) {
	c.update(func() { c.gaps = append(c.gaps, gap{stream, from, to}) })
}

func (c *collector) update(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn()
	close(c.changed)
	c.changed = make(chan struct{})
}

// until waits until cond, called with the lock held, is true.
func (c *collector) until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	if !c.within(patience, cond) {
		c.mu.Lock()
		defer c.mu.Unlock()
		t.Fatalf("waited %v for %s; got %d leases, revoked %v, gaps %v", patience, what, len(c.leases), c.revoked, c.gaps)
	}
}

func (c *collector) within(d time.Duration, cond func() bool) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		c.mu.Lock()
		ok, changed := cond(), c.changed
		c.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		}
	}
}

// untilBodies waits until each body arrived at least once.
func (c *collector) untilBodies(t *testing.T, want []string) {
	t.Helper()
	missing := map[string]bool{}
	for _, b := range want {
		missing[b] = true
	}
	seen := 0
	c.until(t, fmt.Sprintf("%d messages", len(missing)), func() bool {
		for ; seen < len(c.leases); seen++ {
			delete(missing, string(c.leases[seen].Message().Body))
		}
		return len(missing) == 0
	})
}

// bodies returns the bodies in order of arrival.
func (c *collector) bodies() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make([]string, len(c.leases))
	for i, l := range c.leases {
		out[i] = string(l.Message().Body)
	}
	return out
}

func (c *collector) all() []broker.Lease {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.leases)
}

// seen returns what was revoked and the gaps.
func (c *collector) seen() (revoked [][]string, gaps []gap) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.revoked), slices.Clone(c.gaps)
}

// wantQuiet fails if more than n leases have arrived or arrive for a while.
func (c *collector) wantQuiet(t *testing.T, n int) {
	t.Helper()
	if c.within(quiet, func() bool { return len(c.leases) > n }) {
		t.Fatalf("%d messages were handed out, want %d and no more", len(c.all()), n)
	}
}

func (c *collector) wantSerial(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.overlap {
		t.Error("Handle of a stream ran twice at once, or during its Revoke, or a stream was revoked twice")
	}
}

// consuming is a Run that runs.
type consuming struct {
	consumer broker.Consumer
	cancel   context.CancelFunc
	result   chan error
	once     sync.Once
	err      error
}

// consume runs a consumer of the group until stop, or until the test ends.
func consume(t *testing.T, b broker.Broker, group string, h broker.Handler) *consuming {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &consuming{consumer: b.Consumer(topic, group), cancel: cancel, result: make(chan error, 1)}
	go func() { r.result <- r.consumer.Run(ctx, h) }()
	t.Cleanup(func() { r.stop(t) })
	return r
}

// stop ends Run and fails if it returned an error.
func (r *consuming) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	if err := r.wait(t); err != nil && !errors.Is(err, broker.ErrClosed) {
		t.Errorf("Run returned %v, want nil", err)
	}
}

// wait waits for Run to return.
func (r *consuming) wait(t *testing.T) error {
	t.Helper()
	r.once.Do(func() {
		select {
		case r.err = <-r.result:
		case <-time.After(patience):
			t.Errorf("Run did not return within %v", patience)
		}
	})
	return r.err
}

func message(key, body string) *broker.Message {
	return &broker.Message{Topic: topic, Key: []byte(key), Body: []byte(body)}
}

// numbered returns n messages with distinct bodies; keys spread them over streams.
func numbered(n int, keys int) (msgs []*broker.Message, bodies []string) {
	for i := range n {
		key := ""
		if keys > 0 {
			key = fmt.Sprintf("key-%d", i%keys)
		}
		msgs = append(msgs, message(key, fmt.Sprintf("message-%06d", i)))
		bodies = append(bodies, string(msgs[i].Body))
	}
	return msgs, bodies
}

func publish(t *testing.T, b broker.Broker, msgs ...*broker.Message) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.Publisher().Publish(ctx, msgs...); err != nil {
		t.Fatalf("Publish = %v, want nil", err)
	}
}

func closeBroker(t *testing.T, b broker.Broker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Fatalf("Close = %v, want nil", err)
	}
}

// wantOnce fails unless got holds each of want exactly once.
func wantOnce(t *testing.T, got, want []string) {
	t.Helper()
	got, want = slices.Clone(got), slices.Clone(want)
	slices.Sort(got)
	slices.Sort(want)
	if slices.Equal(got, want) {
		return
	}
	count := map[string]int{}
	for _, b := range got {
		count[b]++
	}
	for _, b := range want {
		if count[b]--; count[b] < 0 {
			t.Errorf("%q is missing", b)
		}
	}
	for b, n := range count {
		if n > 0 {
			t.Errorf("%q came %d times too often", b, n)
		}
	}
}

// streamsOf returns messages by stream in order of arrival.
func streamsOf(leases []broker.Lease) map[string][]broker.Lease {
	out := map[string][]broker.Lease{}
	for _, l := range leases {
		out[l.Stream()] = append(out[l.Stream()], l)
	}
	return out
}

// keyOfEachStream finds keys of two streams by publishing and consuming with a group of its own. It skips the test if
// there is only one stream.
func keyOfEachStream(t *testing.T, b broker.Broker) map[string]string {
	t.Helper()
	const keys = 32
	msgs := make([]*broker.Message, keys)
	want := make([]string, keys)
	for i := range msgs {
		want[i] = fmt.Sprintf("probe-%d", i)
		msgs[i] = message(fmt.Sprintf("key-%d", i), want[i])
	}
	publish(t, b, msgs...)
	c := newCollector(nil)
	c.probes = true
	r := consume(t, b, "probe", c)
	c.untilBodies(t, want)
	r.stop(t)
	out := map[string]string{}
	for _, l := range c.all() {
		out[l.Stream()] = string(l.Message().Key)
	}
	if len(out) < 2 {
		t.Skip("the broker has one stream: messages of two are needed")
	}
	return out
}

// isProbe tells the messages of keyOfEachStream from a test's own.
func isProbe(l broker.Lease) bool { return bytes.HasPrefix(l.Message().Body, []byte("probe-")) }
