package dispatcher

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/dispatcher/due"
	"github.com/sluicehq/sluice/dispatcher/lane"
	"github.com/sluicehq/sluice/dispatcher/match"
	"github.com/sluicehq/sluice/egress"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/store"
)

// flushTimeout is how long a stop waits for the store once nothing runs any more.
const flushTimeout = 10 * time.Second

// Snapshot is the configuration at one moment. It and all it returns are immutable.
type Snapshot interface {
	Source(tenant, name string) (*store.Source, bool)
	Endpoint(id store.EndpointID) (*store.Endpoint, bool)
	Endpoints() []*store.Endpoint
}

// Configuration is the snapshot as it moves.
type Configuration interface {
	Current() Snapshot
	// Confirmed returns when the store last said that Current is current.
	Confirmed() time.Time
	// Changed returns a channel that is closed when Current has changed.
	Changed() <-chan struct{}
}

// Store is what a dispatcher needs of the store.
type Store interface {
	store.Recorder
	store.Queue
	store.Gates
	store.ShardOwnership
	store.Retention
	GetEndpoint(ctx context.Context, id store.EndpointID) (store.Endpoint, error)
	SetEndpointState(ctx context.Context, id store.EndpointID, state store.EndpointState, reason string) (store.Endpoint, error)
}

// Deps are the parts a dispatcher works with.
type Deps struct {
	Node          string // unique among live processes of the store
	Consumer      broker.Consumer
	Store         Store
	Sender        egress.Sender
	Configuration Configuration
	Bodies        *semaphore.Weighted // the process's memory for bodies, in bytes
	Log           *zap.Logger
	Metrics       prometheus.Registerer
}

// Dispatcher is the worker. Make it with New and run it once.
type Dispatcher struct {
	cfg     Config
	deps    Deps
	log     *zap.Logger
	metrics *telemetry.Dispatcher
	view    atomic.Pointer[view]
	room    *semaphore.Weighted // for open deliveries

	shards *due.Shards
	gates  *due.Gates
	loop   *due.Loop
	sweep  *due.Sweep
	clock  *clock

	attempts   sync.WaitGroup
	attemptCtx context.Context // of all attempts; canceled when the drain is over
	recordable chan struct{}   // the forming batch has something

	mu        sync.Mutex
	endpoints map[store.EndpointID]*endpoint
	slots     *lane.Slots
	inFlight  map[event.ID]*inflight
	holds     *list.List // of *hold, by time
	running   *list.List // of *delivery that have not run for a second, by start
	forming   *batch
	bytes     int64                     // of bodies in running attempts
	loaded    int                       // rows of the queue in memory
	ended     map[store.DeliveryID]bool // rows that left memory since the last query for due ones began: it may have seen them
	depths    map[store.EndpointID]store.Depth
	held      map[store.EndpointID]bool // endpoints with attempts that the last owner of their shard may still run
	stopping  bool                      // no attempt starts any more
}

// view is a snapshot with what is derived from it.
type view struct {
	Snapshot
	index    *match.Index
	inactive []store.EndpointID // paused and disabled ones
}

// New returns a dispatcher for one topic.
func New(cfg Config, deps Deps) *Dispatcher {
	log := deps.Log.With(telemetry.Component("dispatcher"))
	d := &Dispatcher{
		cfg: cfg, deps: deps, log: log,
		metrics:    telemetry.NewDispatcher(deps.Metrics),
		room:       semaphore.NewWeighted(int64(cfg.OpenLimit)),
		shards:     due.NewShards(deps.Node, deps.Store, log),
		gates:      due.NewGates(deps.Store, log),
		clock:      newClock(),
		recordable: make(chan struct{}, 1),
		endpoints:  map[store.EndpointID]*endpoint{},
		slots:      lane.NewSlots(cfg.InFlight, cfg.SlowInFlight),
		inFlight:   map[event.ID]*inflight{},
		holds:      list.New(),
		running:    list.New(),
		forming:    &batch{},
		ended:      map[store.DeliveryID]bool{},
		held:       map[store.EndpointID]bool{},
	}
	d.loop = due.NewLoop(deps.Store, d.shards, log)
	d.sweep = due.NewSweep(deps.Store, d.shards, cfg.Bodies, cfg.History, log)
	d.setView(deps.Configuration.Current())
	return d
}

// Run consumes and works the queue off until ctx ends, then stops in order: no new events and no new due rows, and the
// shards are given up; running attempts end or, after Drain, are queued; everything is recorded. It returns nil after a
// clean stop, and what failed for good otherwise.
func (d *Dispatcher) Run(ctx context.Context) error {
	if !d.loadGates(ctx) {
		return nil // stopped before it began
	}
	work, release := context.WithCancel(context.WithoutCancel(ctx)) // attempts and their records outlive intake
	defer release()
	attempts, abort := context.WithCancel(work)
	defer abort()
	d.attemptCtx = attempts

	parts, recording := errgroup.WithContext(work)
	parts.Go(func() error { return d.record(work) })
	parts.Go(func() error { return d.runClock(work) })
	parts.Go(func() error { return d.gates.Run(work, d.gatesChanged) })
	parts.Go(func() error { return d.watch(work) })

	var stopBy atomic.Pointer[time.Time] // one drain time for what was consumed and what was queued
	defer context.AfterFunc(ctx, func() { at := time.Now().Add(d.cfg.Drain); stopBy.Store(&at) })()
	intake, stop := context.WithCancel(ctx)
	defer stop()
	queue, _ := errgroup.WithContext(intake)
	queue.Go(func() error { return d.shards.Run(intake, d.taken, d.giveUp) })
	queue.Go(func() error { return d.runHeld(intake) })
	queue.Go(func() error { return d.loop.Run(intake, d) })
	queue.Go(func() error { return d.sweep.Run(intake, d.lookup, d.counted) })

	err := d.deps.Consumer.Run(intake, d)
	if recording.Err() != nil {
		err = errors.Join(err, recording.Err())
	}
	stop()
	err = errors.Join(err, queue.Wait())
	deadline := time.Now().Add(d.cfg.Drain)
	if at := stopBy.Load(); at != nil {
		deadline = *at
	}
	err = errors.Join(err, d.drain(work, deadline, abort))
	release()
	return errors.Join(err, parts.Wait())
}

// drain lets what still runs end until deadline, holds the rest, and waits until all is recorded.
func (d *Dispatcher) drain(ctx context.Context, deadline time.Time, abort context.CancelFunc) error {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	d.stop()
	if !allDone(ctx, &d.attempts) {
		d.holdRunning()
		abort()
		d.attempts.Wait()
	}
	flush, done := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer done()
	return d.flushed(flush)
}

// stop has no attempt start any more and lets due rows go.
func (d *Dispatcher) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopping = true
	for _, e := range d.endpoints {
		d.dropDueLocked(e)
	}
}

// allDone waits for wg until ctx ends and reports whether it is done. The goroutine it starts ends with wg.
func allDone(ctx context.Context, wg *sync.WaitGroup) bool {
	done := make(chan struct{})
	go func() {
		wg.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// setView swaps the snapshot and what is derived from it.
func (d *Dispatcher) setView(s Snapshot) {
	endpoints := s.Endpoints()
	v := &view{Snapshot: s, index: match.Compile(endpoints)}
	for _, e := range endpoints {
		if e.State != store.EndpointActive {
			v.inactive = append(v.inactive, e.ID)
		}
	}
	d.view.Store(v)
}

// watch follows the configuration until ctx ends.
func (d *Dispatcher) watch(ctx context.Context) error {
	for {
		changed := d.deps.Configuration.Changed()
		if s := d.deps.Configuration.Current(); s != d.view.Load().Snapshot {
			d.setView(s)
			d.reconfigure()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

func (d *Dispatcher) lookup(id store.EndpointID) (*store.Endpoint, bool) {
	return d.view.Load().Endpoint(id)
}
