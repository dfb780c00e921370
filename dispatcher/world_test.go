package dispatcher

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/egress"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/storetest"
)

// world is a dispatcher with a store, a broker and endpoints that are in memory, in a bubble.
type world struct {
	t      *testing.T
	store  *storetest.Memory
	feed   *feed
	sender *sender
	config *config
	front  func(Store) Store // nil: the store itself
	d      *Dispatcher
	stop   context.CancelFunc
	ended  chan error
}

// inWorld runs f in a bubble with a started dispatcher.
func inWorld(t *testing.T, cfg Config, f func(*world)) {
	t.Helper()
	inWorldWith(t, cfg, nil, f)
}

// inWorldWith does so with a store in front of the store.
func inWorldWith(t *testing.T, cfg Config, front func(Store) Store, f func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, store: storetest.NewMemory(), sender: newSender(), config: newConfig(), front: front}
		w.start(cfg)
		f(w)
		w.end()
	})
}

func (w *world) start(cfg Config) {
	w.feed = newFeed()
	var way Store = w.store
	if w.front != nil {
		way = w.front(way)
	}
	w.d = New(cfg, Deps{
		Node: "node-1", Consumer: w.feed, Store: way, Sender: w.sender, Configuration: w.config,
		Bodies: semaphore.NewWeighted(cfg.BodyBytes), Log: zap.NewNop(), Metrics: prometheus.NewRegistry(),
	})
	ctx, stop := context.WithCancel(context.Background())
	w.stop, w.ended = stop, make(chan error, 1)
	go func() { w.ended <- w.d.Run(ctx) }()
	synctest.Wait()
}

// end stops the dispatcher and wants a clean stop.
func (w *world) end() {
	w.t.Helper()
	if w.stop == nil {
		return
	}
	w.stop()
	w.stop = nil
	if err := <-w.ended; err != nil {
		w.t.Errorf("Run() = %v, want nil", err)
	}
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	if n := len(w.d.inFlight); n != 0 {
		w.t.Errorf("%d events in flight after a stop, want none", n)
	}
	if !w.d.room.TryAcquire(int64(w.d.cfg.OpenLimit)) {
		w.t.Error("room for open deliveries was not given back")
	}
	if !w.d.deps.Bodies.TryAcquire(w.d.cfg.BodyBytes) {
		w.t.Error("memory for bodies was not given back")
	}
	if w.d.bytes != 0 || w.d.loaded != 0 {
		w.t.Errorf("%d bytes in attempts and %d rows loaded after a stop, want none", w.d.bytes, w.d.loaded)
	}
}

// endpoint adds an endpoint that subscribes to everything.
func (w *world) endpoint(id store.EndpointID, change ...func(*store.Endpoint)) *store.Endpoint {
	e := store.Endpoint{
		ID: id, Tenant: event.DefaultTenant, Name: fmt.Sprint("e", id), Subscriptions: []store.Subscription{{}},
		MaxQueued: store.DefaultMaxQueued, Timeout: store.DefaultTimeout, Retry: store.DefaultRetry(), State: store.EndpointActive,
		CreatedAt: time.Now().Add(-time.Hour), StateSince: time.Now().Add(-time.Hour),
	}
	for _, f := range change {
		f(&e)
	}
	w.store.PutEndpoint(e)
	w.config.put(&e)
	synctest.Wait()
	return &e
}

// publish accepts an event now and hands it to the dispatcher; it returns when the dispatcher waits for something.
func (w *world) publish(change ...func(*event.Event)) *message {
	m := newMessage(change...)
	w.feed.push(m)
	synctest.Wait()
	return m
}

func newMessage(change ...func(*event.Event)) *message {
	now := time.Now().UTC().Truncate(time.Millisecond)
	e := &event.Event{
		ID: event.NewID(now), Tenant: event.DefaultTenant, Source: "github", Type: "push", Time: now, ContentType: "application/json",
		Body: []byte(`{"n":1}`),
	}
	for _, f := range change {
		f(e)
	}
	return &message{event: e, stream: "0", ctx: context.Background(), acked: make(chan struct{})}
}

func (w *world) wantState(m *message, to store.EndpointID, want store.DeliveryState) {
	w.t.Helper()
	synctest.Wait()
	id := store.DeliveryID{Event: m.event.ID, Endpoint: to}
	got := store.DeliveryState("nothing")
	if o, ok := w.store.Outcome(id); ok {
		got = o.State
	} else if _, ok := w.store.Queued(id); ok {
		got = store.DeliveryQueued
	}
	if got != want {
		w.t.Errorf("delivery to endpoint %d is %s, want %s", to, got, want)
	}
}

func (w *world) wantAcked(m *message, want bool) {
	w.t.Helper()
	synctest.Wait()
	select {
	case <-m.acked:
		if !want {
			w.t.Error("message is acked, want it not to be")
		}
	default:
		if want {
			w.t.Error("message is not acked, want it to be")
		}
	}
}

// message is an event on loan.
type message struct {
	event  *event.Event
	raw    *broker.Message // instead of the event's
	stream string
	ctx    context.Context
	once   sync.Once
	acked  chan struct{}
}

func (m *message) Message() *broker.Message {
	if m.raw != nil {
		return m.raw
	}
	return &broker.Message{Topic: "sluice.events", Key: []byte(m.event.Key), Headers: event.Encode(m.event), Body: m.event.Body, Time: m.event.Time}
}
func (m *message) Stream() string           { return m.stream }
func (m *message) Position() string         { return "7" }
func (m *message) Context() context.Context { return m.ctx }
func (m *message) Ack()                     { m.once.Do(func() { close(m.acked) }) }

// again returns the message as it is delivered once more.
func (m *message) again() *message {
	return &message{event: m.event, raw: m.raw, stream: m.stream, ctx: context.Background(), acked: make(chan struct{})}
}

// feed is a consumer of one stream.
type feed struct {
	in    chan []broker.Lease
	drain time.Duration
}

func newFeed() *feed { return &feed{in: make(chan []broker.Lease, 10_000), drain: 25 * time.Second} }

func (f *feed) push(ms ...*message) {
	ls := make([]broker.Lease, len(ms))
	for i, m := range ms {
		ls[i] = m
	}
	f.lend(ls...)
}

func (f *feed) lend(ls ...broker.Lease) { f.in <- ls }

func (f *feed) Run(ctx context.Context, h broker.Handler) error {
	for {
		select {
		case ls := <-f.in:
			h.Handle(ls)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.drain)
			defer cancel()
			h.Revoke(last, []string{"0"})
			return nil
		}
	}
}

func (f *feed) Lag(context.Context) ([]broker.Lag, error) { return nil, nil }

// arrival is an attempt as the receiver saw it.
type arrival struct {
	event    event.ID
	endpoint store.EndpointID
	number   int
	at       time.Time
}

// sender is what endpoints do.
type sender struct {
	mu       sync.Mutex
	behave   map[store.EndpointID]func(context.Context, *egress.Attempt) egress.Result
	arrivals []arrival
	running  map[store.EndpointID]int
	most     map[store.EndpointID]int // running at once
}

func newSender() *sender {
	return &sender{
		behave:  map[store.EndpointID]func(context.Context, *egress.Attempt) egress.Result{},
		running: map[store.EndpointID]int{}, most: map[store.EndpointID]int{},
	}
}

func (s *sender) set(id store.EndpointID, f func(context.Context, *egress.Attempt) egress.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behave[id] = f
}

func (s *sender) Send(ctx context.Context, a *egress.Attempt) egress.Result {
	id := a.Endpoint.ID
	start := time.Now()
	s.mu.Lock()
	s.arrivals = append(s.arrivals, arrival{a.Event.ID, id, a.Number, start})
	s.running[id]++
	s.most[id] = max(s.most[id], s.running[id])
	f := s.behave[id]
	s.mu.Unlock()
	res := answer(200)(ctx, a)
	if f != nil {
		res = f(ctx, a)
	}
	res.Started, res.Duration = start, time.Since(start)
	s.mu.Lock()
	s.running[id]--
	s.mu.Unlock()
	return res
}

// to returns the arrivals at one endpoint.
func (s *sender) to(id store.EndpointID) []arrival {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []arrival
	for _, a := range s.arrivals {
		if a.endpoint == id {
			out = append(out, a)
		}
	}
	return out
}

type behaviour = func(context.Context, *egress.Attempt) egress.Result

// answer answers at once.
func answer(status int) behaviour {
	return func(context.Context, *egress.Attempt) egress.Result {
		switch {
		case status < 300:
			return egress.Result{Outcome: egress.OutcomeDelivered, Status: status, Connected: true}
		case status == 410:
			return egress.Result{Outcome: egress.OutcomeGone, Status: status, Error: "status 410", Connected: true}
		case status < 500:
			return egress.Result{Outcome: egress.OutcomeRejected, Status: status, Error: "rejected", Connected: true}
		default:
			return egress.Result{Outcome: egress.OutcomeFailed, Status: status, Error: "failed", Connected: true}
		}
	}
}

// after does what f does, later, unless the attempt is aborted or times out.
func after(d time.Duration, f behaviour) behaviour {
	return func(ctx context.Context, a *egress.Attempt) egress.Result {
		timeout := time.NewTimer(a.Endpoint.Timeout)
		defer timeout.Stop()
		wait := time.NewTimer(d)
		defer wait.Stop()
		select {
		case <-wait.C:
			return f(ctx, a)
		case <-timeout.C:
			return egress.Result{Outcome: egress.OutcomeFailed, Error: "timeout"}
		case <-ctx.Done():
			return egress.Result{Outcome: egress.OutcomeAborted, Error: "stopped"}
		}
	}
}

// hang never answers.
func hang(ctx context.Context, a *egress.Attempt) egress.Result {
	return after(time.Hour, answer(200))(ctx, a)
}

// config is the configuration, confirmed all the time unless stale is set.
type config struct {
	mu        sync.Mutex
	endpoints map[store.EndpointID]*store.Endpoint
	sources   map[string]*store.Source
	current   *snapshot
	changed   chan struct{}
	stale     time.Time
}

type snapshot struct {
	endpoints []*store.Endpoint
	byID      map[store.EndpointID]*store.Endpoint
	sources   map[string]*store.Source
}

func newConfig() *config {
	return &config{endpoints: map[store.EndpointID]*store.Endpoint{}, sources: map[string]*store.Source{}, current: &snapshot{}, changed: make(chan struct{})}
}

func (c *config) put(e *store.Endpoint) { c.update(func() { c.endpoints[e.ID] = e }) }

func (c *config) remove(id store.EndpointID) { c.update(func() { delete(c.endpoints, id) }) }

func (c *config) update(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	s := &snapshot{sources: c.sources, byID: maps.Clone(c.endpoints)}
	for _, e := range c.endpoints {
		s.endpoints = append(s.endpoints, e)
	}
	c.current = s
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *config) Current() Snapshot {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current
}

func (c *config) Confirmed() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stale.IsZero() {
		return c.stale
	}
	return time.Now()
}

func (c *config) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

func (s *snapshot) Source(_, name string) (*store.Source, bool) {
	src, ok := s.sources[name]
	return src, ok
}
func (s *snapshot) Endpoints() []*store.Endpoint { return s.endpoints }
func (s *snapshot) Endpoint(id store.EndpointID) (*store.Endpoint, bool) {
	e, ok := s.byID[id]
	return e, ok
}
