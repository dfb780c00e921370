package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/pkg/wait"
	"github.com/sluicehq/sluice/store"
)

const (
	seenBatch     = 256 // events looked up at once
	seenTimeout   = 10 * time.Second
	seenMinPause  = 20 * time.Millisecond
	seenMaxPause  = time.Second
	confirmWithin = 2 * time.Second // a snapshot not confirmed for longer matches nothing
	confirmPoll   = 20 * time.Millisecond
	fanOutSlice   = 256 // deliveries of one event offered at once
	maxPanics     = 3   // of one message before it is quarantined
)

var _ broker.Handler = (*Dispatcher)(nil)

// Handle takes the next messages of one stream. It returns when each is in its lanes, queued, or noted to be recorded;
// it waits while the store does not answer, the configuration cannot be confirmed, or too many deliveries are open.
func (d *Dispatcher) Handle(ls []broker.Lease) {
	for len(ls) > 0 {
		n := min(len(ls), seenBatch)
		d.handle(ls[:n])
		ls = ls[n:]
	}
}

func (d *Dispatcher) handle(ls []broker.Lease) {
	again := d.work(ls[0].Context(), d.takeIn(ls))
	if len(again) > 0 {
		d.attempts.Go(func() { d.carryOn(again) }) // not here: the stream waits for Handle to be given up
	}
}

// carryOn handles leases that are live still after the one they were handled under is gone, until the process stops.
func (d *Dispatcher) carryOn(ls []broker.Lease) {
	for len(ls) > 0 {
		ctx, cancel := context.WithCancel(ls[0].Context())
		stop := context.AfterFunc(d.attemptCtx, cancel)
		ls = d.work(ctx, d.takeIn(ls))
		stop()
		cancel()
	}
}

// work looks events up and fans them out. What it did not come to when ctx ended is given up; it returns the leases of
// that which are live still.
func (d *Dispatcher) work(ctx context.Context, fresh []*inflight) (again []broker.Lease) {
	if len(fresh) == 0 {
		return nil
	}
	defer func() { // after a panic too: a copy must not be joined to an event that nobody works on
		again = d.forget(fresh)
	}()
	seen, err := d.seen(ctx, fresh)
	if err != nil {
		return nil
	}
	for i := range seen {
		if err := d.fanOut(ctx, fresh[0], &seen[i]); err != nil {
			return nil
		}
		fresh = fresh[1:]
	}
	return nil
}

// takeIn decodes the messages, quarantines what it cannot, joins copies of events in flight, and returns the others as
// in flight.
func (d *Dispatcher) takeIn(ls []broker.Lease) []*inflight {
	events := make([]*event.Event, len(ls))
	errs := make([]error, len(ls))
	for i, l := range ls {
		events[i], errs[i] = decode(l.Message())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	fresh := make([]*inflight, 0, len(ls))
	for i, l := range ls {
		if errs[i] != nil {
			d.undecodableLocked(l, errs[i], now)
			continue
		}
		if t, ok := d.inFlight[events[i].ID]; ok {
			t.leases = append(t.leases, l)
			if t.hold == nil { // nobody's lease was live when it was to be held
				d.holdAtLocked(t, now.Add(d.cfg.MaxHold))
			}
			continue
		}
		t := &inflight{event: events[i], leases: []broker.Lease{l}, pending: 1, intake: true}
		d.inFlight[t.event.ID] = t
		d.holdAtLocked(t, now.Add(d.cfg.MaxHold))
		fresh = append(fresh, t)
	}
	return fresh
}

// decode reads a message; one that panics three times is as good as undecodable.
func decode(m *broker.Message) (e *event.Event, err error) {
	for range maxPanics {
		if e, err = decodeOnce(m); !errors.Is(err, errPanic) {
			return e, err
		}
	}
	return nil, err
}

var errPanic = errors.New("panic")

func decodeOnce(m *broker.Message) (e *event.Event, err error) {
	defer func() {
		if p := recover(); p != nil {
			e, err = nil, fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	return event.Decode(m.Headers, m.Body)
}

func (d *Dispatcher) undecodableLocked(l broker.Lease, reason error, now time.Time) {
	m := l.Message()
	headers := make(map[string]string, len(m.Headers))
	for _, h := range m.Headers {
		headers[h.Name] = string(h.Value)
	}
	d.log.Warn("message quarantined", zap.String("topic", m.Topic), zap.String("stream", l.Stream()),
		zap.String("position", l.Position()), telemetry.Error(reason))
	t := &inflight{event: &event.Event{}, leases: []broker.Lease{l}, pending: 1, how: telemetry.SettledQuarantined}
	d.quarantineLocked(t, store.Quarantined{
		Topic: m.Topic, Stream: l.Stream(), Position: l.Position(), Reason: reason.Error(), At: now,
		Key: m.Key, Headers: headers, Body: bounded(m.Body),
	})
}

// seen looks the events up and claims for them, however long that takes. It fails only when ctx ends.
func (d *Dispatcher) seen(ctx context.Context, ts []*inflight) ([]store.Seen, error) {
	queries := make([]store.SeenQuery, len(ts))
	now := time.Now()
	v := d.view.Load()
	for i, t := range ts {
		queries[i] = store.SeenQuery{ID: t.event.ID}
		if t.event.GivenID != "" && dedupes(v, t.event) {
			queries[i].Claim, queries[i].Until = event.ClaimDigest(t.event), now.Add(store.ClaimTTL)
		}
	}
	pause := seenMinPause
	for {
		call, cancel := context.WithTimeout(ctx, seenTimeout)
		out, err := d.deps.Store.Seen(call, queries)
		cancel()
		if err == nil {
			return out, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		d.log.Warn("events not looked up, consumption waits", telemetry.Error(err), zap.Int("events", len(ts)))
		if !wait.For(ctx, time.Duration(float64(pause)*(0.5+rand.Float64()/2))) {
			return nil, ctx.Err()
		}
		pause = min(2*pause, seenMaxPause)
	}
}

// dedupes reports whether copies of the source's events are dropped. It is the default.
func dedupes(s Snapshot, e *event.Event) bool {
	src, ok := s.Source(e.Tenant, e.Source)
	return !ok || src.Dedupe
}

// fanOut makes the event's deliveries and offers them. It fails only when ctx ends.
func (d *Dispatcher) fanOut(ctx context.Context, t *inflight, seen *store.Seen) error {
	if !seen.Holder.IsZero() && seen.Holder != t.event.ID {
		d.mu.Lock()
		t.how, t.recorded, t.intake = telemetry.SettledDuplicate, true, false
		d.duplicateLocked(t, seen.Holder)
		d.mu.Unlock()
		return nil
	}
	endpoints, err := d.match(ctx, t.event)
	if errors.Is(err, errPanic) {
		d.poison(t, err)
		return nil
	}
	if err != nil {
		return err
	}
	t.recorded, t.matched, t.how = seen.Recorded, len(endpoints), settledHow(len(endpoints))
	if len(seen.Known) > 0 {
		endpoints = unknown(endpoints, seen.Known)
	}
	for len(endpoints) > 0 {
		n := min(len(endpoints), fanOutSlice, d.cfg.OpenLimit)
		if err := d.room.Acquire(ctx, int64(n)); err != nil {
			return err
		}
		d.offer(t, endpoints[:n])
		endpoints = endpoints[n:]
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t.intake = false
	if seen.Recorded {
		d.doneLocked(t)
	} else {
		d.noteLocked(t)
	}
	return nil
}

func (d *Dispatcher) offer(t *inflight, endpoints []*store.Endpoint) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.metrics.Open.Add(float64(len(endpoints)))
	for _, cfg := range endpoints {
		del := &delivery{
			id: store.DeliveryID{Event: t.event.ID, Endpoint: cfg.ID}, to: d.endpointLocked(d.currentLocked(cfg), now), event: t.event,
			parent: t, at: len(t.open),
		}
		t.open = append(t.open, del)
		t.pending++
		d.offerLocked(del, now)
	}
}

// match returns the endpoints the event goes to, by a snapshot that the store has confirmed in the last two seconds.
func (d *Dispatcher) match(ctx context.Context, e *event.Event) ([]*store.Endpoint, error) {
	for time.Since(d.deps.Configuration.Confirmed()) > confirmWithin {
		if !wait.For(ctx, confirmPoll) {
			return nil, ctx.Err()
		}
	}
	v := d.view.Load()
	var err error
	for range maxPanics {
		var out []*store.Endpoint
		if out, err = matchOnce(v, e); err == nil {
			return out, nil
		}
	}
	return nil, err
}

func matchOnce(v *view, e *event.Event) (out []*store.Endpoint, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	return v.index.Match(nil, e), nil
}

// unknown returns the endpoints whose original delivery is not among known ones.
func unknown(endpoints []*store.Endpoint, known []store.DeliveryID) []*store.Endpoint {
	have := make(map[store.EndpointID]bool, len(known))
	for _, id := range known {
		if id.Replay == 0 {
			have[id.Endpoint] = true
		}
	}
	out := endpoints[:0]
	for _, e := range endpoints {
		if !have[e.ID] {
			out = append(out, e)
		}
	}
	return out
}

// poison quarantines an event that cannot be handled, and releases its claim.
func (d *Dispatcher) poison(t *inflight, reason error) {
	d.log.Error("event quarantined", telemetry.EventID(t.event.ID), telemetry.Error(reason))
	d.mu.Lock()
	defer d.mu.Unlock()
	l := t.leases[0]
	t.how, t.intake = telemetry.SettledQuarantined, false
	d.quarantineLocked(t, store.Quarantined{
		Topic: l.Message().Topic, Stream: l.Stream(), Position: l.Position(), Reason: reason.Error(), At: time.Now(),
		Body: bounded(t.event.Body), Event: t.event.ID,
	})
}

// forget gives events up whose ownership is gone; what is in lanes already notices by itself. Leases that are live, of
// copies from other streams or of a broker that lends each message by itself, are taken from the events and returned:
// with those they start anew.
func (d *Dispatcher) forget(ts []*inflight) (live []broker.Lease) {
	if len(ts) == 0 {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range ts {
		t.intake = false
		t.pending--
		d.forgetLocked(t)
		if d.attemptCtx.Err() != nil { // the process stops
			continue
		}
		t.leases = slices.DeleteFunc(t.leases, func(l broker.Lease) bool {
			lives := l.Context().Err() == nil
			if lives {
				live = append(live, l)
			}
			return lives
		})
	}
	return live
}

// Gap says aloud that messages are gone.
func (d *Dispatcher) Gap(stream, from, to string) {
	d.metrics.Gaps.Inc()
	d.log.Error("messages were dropped by the broker before they were consumed: its retention is too short, or its topic was cut",
		zap.String("stream", stream), zap.String("from", from), zap.String("to", to))
}

func panicFields(p any) []zap.Field {
	return []zap.Field{zap.String("panic", fmt.Sprintf("%T", p)), zap.ByteString("stack", debug.Stack())}
}
