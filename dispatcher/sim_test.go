package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
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

// TestSimulation runs a dispatcher through outages, stops and kills on fake time, then heals everything, drains, and
// checks the ledger. SLUICE_SIM_SEED=n runs one seed, SLUICE_SIM_SEEDS=n the first n.
func TestSimulation(t *testing.T) {
	first, n := uint64(1), uint64(4)
	if s, err := strconv.ParseUint(os.Getenv("SLUICE_SIM_SEED"), 10, 64); err == nil {
		first, n = s, 1
	}
	if s, err := strconv.ParseUint(os.Getenv("SLUICE_SIM_SEEDS"), 10, 64); err == nil {
		n = s
	}
	for seed := first; seed < first+n; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newSim(t, seed).run() })
		})
	}
}

const (
	simEndpoints = 6
	simEvents    = 400
)

// sim is one run. What a killed process does after its death reaches nobody.
type sim struct {
	t      *testing.T
	rnd    *rand.Rand
	store  *storetest.Memory
	config *config
	events []*event.Event
	cfg    Config
	fleet  int  // processes at once
	kill   bool // seeds without kills allow no duplicate
	kills  int

	mu       sync.Mutex
	stream   map[event.ID]int // and so the process of each event
	acked    map[event.ID]bool
	receipts map[store.DeliveryID]int // 2xx answers
	mood     [simEndpoints + 1]int    // of each endpoint now
	fault    atomic.Int32             // of the store: 0 none, 1 records and denies it, 2 finds nothing due, 3 loads no events
	running  map[store.EndpointID]int
}

// process is one life of a dispatcher.
type process struct {
	sim   *sim
	n     int // its stream
	alive atomic.Bool
	feed  *feed
	owns  context.Context // of its leases
	lose  context.CancelFunc
	stop  context.CancelFunc
	ended chan error
}

func newSim(t *testing.T, seed uint64) *sim {
	return &sim{
		t: t, kill: seed%2 == 1, rnd: rand.New(rand.NewPCG(seed, 1)), store: storetest.NewMemory(), config: newConfig(),
		cfg: simConfig(seed), fleet: 1 + int(seed/2%2), stream: map[event.ID]int{}, acked: map[event.ID]bool{}, receipts: map[store.DeliveryID]int{}, running: map[store.EndpointID]int{},
	}
}

// simConfig makes everything small in three of four seeds, each in another way.
func simConfig(seed uint64) Config {
	cfg := Defaults()
	cfg.Drain = 10 * time.Second
	switch seed / 4 % 4 {
	case 1:
		cfg.InFlight, cfg.SlowInFlight = 1+int(seed%16), 1+int(seed%5)
	case 2:
		cfg.OpenLimit = 1 + int(seed%8)
	case 3:
		cfg.BodyBytes = 1 << 20
	}
	return cfg
}

func (s *sim) run() {
	w := &world{t: s.t, store: s.store, config: s.config}
	for i := range simEndpoints {
		w.endpoint(store.EndpointID(i+1), func(e *store.Endpoint) {
			e.Retry.Cap = 10 * time.Minute
			switch i {
			case 0:
				e.MaxInFlight = 2
			case 1:
				e.RateLimit = store.RateLimit{PerSecond: 2, Burst: 3}
			}
		})
	}
	s.store.SetLatency(3 * time.Millisecond)
	var alive, dead []*process
	for i := range s.fleet {
		alive = append(alive, s.spawn(i))
	}
	for range simEvents {
		n := s.rnd.IntN(s.fleet)
		m := newMessage(func(e *event.Event) { e.Body = make([]byte, s.rnd.IntN(20<<10)) })
		s.events = append(s.events, m.event)
		s.mu.Lock()
		s.stream[m.event.ID] = n
		s.mu.Unlock()
		p := alive[n]
		p.push(m.event)
		time.Sleep(time.Duration(s.rnd.IntN(400)) * time.Millisecond)
		switch s.rnd.IntN(40) {
		case 0:
			s.store.SetDown(true)
			time.Sleep(time.Duration(s.rnd.IntN(6)) * time.Second)
			s.store.SetDown(false)
			time.Sleep(2 * time.Second) // shards are renewed: what outlasts them may be repeated
		case 1: // kill -9
			if !s.kill {
				continue
			}
			p.alive.Store(false)
			p.lose()
			p.stop()
			dead = append(dead, p)
			s.mu.Lock()
			s.kills++
			s.mu.Unlock()
			alive[n] = s.spawn(n)
			alive[n].push(s.unacked(n)...)
		case 2: // rolling restart
			p.stop()
			if err := <-p.ended; err != nil {
				s.t.Errorf("Run() = %v, want nil", err)
			}
			alive[n] = s.spawn(n)
			alive[n].push(s.unacked(n)...)
		case 6: // pause or resume one, or change its limits
			s.reconfigure(w)
		case 7: // the store does some of what it is asked, and says it did not
			s.fault.Store(1 + s.rnd.Int32N(3))
			time.Sleep(time.Duration(s.rnd.IntN(5)) * time.Second)
			s.fault.Store(0)
		case 3, 4, 5:
			s.mu.Lock()
			s.mood[1+s.rnd.IntN(simEndpoints)] = s.rnd.IntN(5)
			s.mu.Unlock()
		}
	}
	s.mu.Lock()
	s.mood = [simEndpoints + 1]int{}
	s.mu.Unlock()
	for _, e := range w.config.endpoints {
		if e.State != store.EndpointActive {
			w.setState(e, store.EndpointActive)
		}
	}
	time.Sleep(2 * time.Hour)
	for _, p := range alive {
		p.stop()
		if err := <-p.ended; err != nil {
			s.t.Errorf("Run() = %v, want nil", err)
		}
	}
	for _, p := range dead {
		<-p.ended //nolint:errcheck // it could not record any more
	}
	s.check()
}

// check is the set arithmetic: nothing lost, nothing invented, duplicates only by kills.
func (s *sim) check() {
	s.t.Helper()
	duplicates := 0
	for _, e := range s.events {
		if !s.acked[e.ID] {
			s.t.Errorf("event %s is not acked", e.ID)
		}
		for i := range simEndpoints {
			id := store.DeliveryID{Event: e.ID, Endpoint: store.EndpointID(i + 1)}
			o, ok := s.store.Outcome(id)
			switch got := s.receipts[id]; {
			case !ok || o.State != store.DeliveryDelivered:
				s.t.Errorf("lost: %s ended as %q", id, o.State)
			case got == 0:
				s.t.Errorf("phantom: %s is delivered and never arrived", id)
			default:
				duplicates += got - 1
			}
		}
	}
	_, queued, _, _ := s.store.Counts()
	if queued != 0 {
		s.t.Errorf("%d deliveries are still queued", queued)
	}
	if limit := s.kills * simEndpoints * 64; duplicates > limit {
		s.t.Errorf("%d duplicates after %d kills, want at most %d", duplicates, s.kills, limit)
	}
}

// reconfigure pauses or resumes an endpoint, or changes its limits. The first two keep theirs.
func (s *sim) reconfigure(w *world) {
	w.config.mu.Lock()
	e := *w.config.endpoints[store.EndpointID(3+s.rnd.IntN(simEndpoints-2))]
	w.config.mu.Unlock()
	switch {
	case s.rnd.IntN(2) == 0:
		e.MaxInFlight = s.rnd.IntN(3) * 4
		e.UpdatedAt = time.Now()
		w.store.PutEndpoint(e)
		w.config.put(&e)
	case e.State == store.EndpointActive:
		s.move(w, &e, store.EndpointPaused)
	default:
		s.move(w, &e, store.EndpointActive)
	}
}

// move moves an endpoint as far as the store is up to it.
func (s *sim) move(w *world, e *store.Endpoint, state store.EndpointState) {
	if moved, err := w.store.SetEndpointState(context.Background(), e.ID, state, "sim"); err == nil {
		w.config.put(&moved)
	}
}

func (s *sim) spawn(n int) *process {
	p := &process{sim: s, n: n, feed: newFeed(), ended: make(chan error, 1)}
	p.alive.Store(true)
	p.owns, p.lose = context.WithCancel(context.Background())
	cfg := s.cfg
	p.feed.drain = cfg.Drain
	d := New(cfg, Deps{
		Node: fmt.Sprint("node-", s.rnd.Uint64()), Consumer: p.feed, Store: &mortalStore{s.store, p}, Sender: p, Configuration: s.config,
		Bodies: semaphore.NewWeighted(cfg.BodyBytes), Log: zap.NewNop(), Metrics: prometheus.NewRegistry(),
	})
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	go func() { p.ended <- d.Run(ctx) }()
	return p
}

func (s *sim) unacked(stream int) []*event.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*event.Event
	for _, e := range s.events {
		if !s.acked[e.ID] && s.stream[e.ID] == stream {
			out = append(out, e)
		}
	}
	return out
}

func (p *process) push(events ...*event.Event) {
	for _, e := range events {
		p.feed.lend(&mortalLease{message{event: e, stream: "0", ctx: p.owns, acked: make(chan struct{})}, p})
	}
}

// Send does what the endpoint is in the mood for.
func (p *process) Send(ctx context.Context, a *egress.Attempt) egress.Result {
	if !p.alive.Load() {
		return egress.Result{Outcome: egress.OutcomeAborted}
	}
	s, id := p.sim, a.Endpoint.ID
	s.mu.Lock()
	mood := s.mood[id]
	s.running[id]++
	if id == 1 && s.kills == 0 && s.fleet == 1 && s.running[id] > 2 {
		s.t.Errorf("%d attempts at once to the endpoint that takes 2", s.running[id])
	}
	s.mu.Unlock()
	start := time.Now()
	res := s.moods()[mood](ctx, a)
	res.Started, res.Duration = start, time.Since(start)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[id]--
	if res.Outcome == egress.OutcomeDelivered { // it arrived, whoever lives to hear of it
		s.receipts[store.DeliveryID{Event: a.Event.ID, Endpoint: id}]++
	}
	return res
}

func (s *sim) moods() []behaviour {
	return []behaviour{
		after(30*time.Millisecond, answer(200)), after(5*time.Millisecond, answer(503)), hang, after(2*time.Second, answer(200)),
		func(context.Context, *egress.Attempt) egress.Result {
			return egress.Result{Outcome: egress.OutcomeThrottled, Status: 429, RetryAfter: 5 * time.Second, Error: "429"}
		},
	}
}

var (
	errDead    = errors.New("the process is dead")
	errUnknown = errors.New("nobody knows")
)

// mortalStore is a process's way to the store.
type mortalStore struct {
	*storetest.Memory
	p *process
}

func (m *mortalStore) Record(ctx context.Context, b *store.Batch) error {
	if !m.p.alive.Load() {
		return errDead
	}
	err := m.Memory.Record(ctx, b)
	if m.p.sim.fault.Load() == 1 {
		return errUnknown
	}
	return err
}

func (m *mortalStore) Due(ctx context.Context, q store.DueQuery) ([]store.Queued, error) {
	if m.p.sim.fault.Load() == 2 {
		return nil, errUnknown
	}
	return m.Memory.Due(ctx, q)
}

func (m *mortalStore) LoadEvents(ctx context.Context, ids []event.ID) (map[event.ID]*event.Event, error) {
	if m.p.sim.fault.Load() == 3 {
		return nil, errUnknown
	}
	return m.Memory.LoadEvents(ctx, ids)
}

func (m *mortalStore) SetGate(ctx context.Context, g store.Gate) (store.Gate, error) {
	if !m.p.alive.Load() {
		return g, errDead
	}
	return m.Memory.SetGate(ctx, g)
}

func (m *mortalStore) RenewShards(ctx context.Context, node string) (store.Ownership, error) {
	if !m.p.alive.Load() {
		return store.Ownership{}, errDead
	}
	return m.Memory.RenewShards(ctx, node)
}

func (m *mortalStore) ReleaseShards(ctx context.Context, node string, shards []store.Shard) error {
	if !m.p.alive.Load() {
		return errDead
	}
	return m.Memory.ReleaseShards(ctx, node, shards)
}

func (m *mortalStore) LeaveShards(ctx context.Context, node string) error {
	if !m.p.alive.Load() {
		return errDead
	}
	return m.Memory.LeaveShards(ctx, node)
}

// mortalLease acks for the living only.
type mortalLease struct {
	message
	p *process
}

func (l *mortalLease) Ack() {
	if !l.p.alive.Load() {
		return
	}
	l.p.sim.mu.Lock()
	defer l.p.sim.mu.Unlock()
	l.p.sim.acked[l.event.ID] = true
}

var _ broker.Lease = (*mortalLease)(nil)
