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
	kill   bool // seeds without kills allow no duplicate
	kills  int

	mu       sync.Mutex
	acked    map[event.ID]bool
	receipts map[store.DeliveryID]int // 2xx answers
	mood     [simEndpoints + 1]int    // of each endpoint now
	running  map[store.EndpointID]int
}

// process is one life of a dispatcher.
type process struct {
	sim   *sim
	alive atomic.Bool
	feed  *feed
	stop  context.CancelFunc
	ended chan error
}

func newSim(t *testing.T, seed uint64) *sim {
	return &sim{
		t: t, kill: seed%2 == 1, rnd: rand.New(rand.NewPCG(seed, 1)), store: storetest.NewMemory(), config: newConfig(),
		acked: map[event.ID]bool{}, receipts: map[store.DeliveryID]int{}, running: map[store.EndpointID]int{},
	}
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
	p := s.spawn()
	var dead []*process
	for range simEvents {
		m := newMessage()
		s.events = append(s.events, m.event)
		p.push(m.event)
		time.Sleep(time.Duration(s.rnd.IntN(400)) * time.Millisecond)
		switch s.rnd.IntN(40) {
		case 0:
			s.store.SetDown(true)
			time.Sleep(time.Duration(s.rnd.IntN(8)) * time.Second)
			s.store.SetDown(false)
		case 1: // kill -9
			if !s.kill {
				continue
			}
			p.alive.Store(false)
			p.stop()
			dead = append(dead, p)
			s.mu.Lock()
			s.kills++
			s.mu.Unlock()
			p = s.spawn()
			p.push(s.unacked()...)
		case 2: // rolling restart
			p.stop()
			if err := <-p.ended; err != nil {
				s.t.Errorf("Run() = %v, want nil", err)
			}
			p = s.spawn()
			p.push(s.unacked()...)
		case 3, 4, 5:
			s.mu.Lock()
			s.mood[1+s.rnd.IntN(simEndpoints)] = s.rnd.IntN(5)
			s.mu.Unlock()
		}
	}
	s.mu.Lock()
	s.mood = [simEndpoints + 1]int{}
	s.mu.Unlock()
	time.Sleep(time.Hour)
	p.stop()
	if err := <-p.ended; err != nil {
		s.t.Errorf("Run() = %v, want nil", err)
	}
	for _, p := range dead {
		<-p.ended
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

func (s *sim) spawn() *process {
	p := &process{sim: s, feed: newFeed(), ended: make(chan error, 1)}
	p.alive.Store(true)
	cfg := Defaults()
	cfg.Drain = 10 * time.Second
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

func (s *sim) unacked() []*event.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*event.Event
	for _, e := range s.events {
		if !s.acked[e.ID] {
			out = append(out, e)
		}
	}
	return out
}

func (p *process) push(events ...*event.Event) {
	for _, e := range events {
		p.feed.lend(&mortalLease{message{event: e, stream: "0", ctx: context.Background(), acked: make(chan struct{})}, p})
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
	if id == 1 && s.kills == 0 && s.running[id] > 2 {
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

var errDead = errors.New("the process is dead")

// mortalStore is a process's way to the store.
type mortalStore struct {
	*storetest.Memory
	p *process
}

func (m *mortalStore) Record(ctx context.Context, b *store.Batch) error {
	if !m.p.alive.Load() {
		return errDead
	}
	return m.Memory.Record(ctx, b)
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
