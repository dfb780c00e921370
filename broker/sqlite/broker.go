package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"
	"modernc.org/sqlite"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/pkg/telemetry"
)

// Broker is the embedded message broker. It is safe for concurrent use.
type Broker struct {
	cfg       Config
	log       *zap.Logger
	metrics   *telemetry.Broker
	lock      *lock
	file      *file
	writer    *writer
	publisher *publisher
	directory atomic.Pointer[directory]

	writing sync.WaitGroup // the writer's goroutine
	copying sync.WaitGroup // the checkpointer's
	stop    context.CancelFunc

	mu        sync.Mutex
	consumers map[*consuming]struct{}
	closing   bool
	closed    bool
}

// consuming is a consumer that runs.
type consuming struct {
	stop context.CancelFunc
	done chan struct{}
}

var _ broker.Broker = (*Broker)(nil)

// Open opens the broker's file, which it creates if there is none, and recovers it if the last process was killed. It
// fails when another process has it open, when the file is damaged or not a broker's, and when it cannot be written. Ctx
// bounds nothing but carries values; Close stops what Open started.
func Open(ctx context.Context, cfg Config, log *zap.Logger, reg prometheus.Registerer) (*Broker, error) {
	if err := errors.Join(cfg.Validate()...); err != nil {
		return nil, err
	}
	c, err := connector(cfg.Path)
	if err != nil {
		return nil, err
	}
	return open(context.WithoutCancel(ctx), cfg, c, log, reg)
}

// open is Open with connections of c.
func open(ctx context.Context, cfg Config, c driver.Connector, log *zap.Logger, reg prometheus.Registerer) (*Broker, error) {
	// For the whole process: it leaves out a file's timestamps and is as durable as fsync, which serves where it is not.
	_, _ = sqlite.Fdatasync(true)
	l, err := acquireLock(cfg.Path)
	if err != nil {
		return nil, err
	}
	f := newFile(cfg.Path, c)
	s, err := f.open(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", cfg.Path, explain(cfg.Path, err)), l.release())
	}
	b := &Broker{
		cfg: cfg, log: log.With(telemetry.Component("broker")), lock: l, file: f,
		metrics: telemetry.NewBroker(reg), consumers: map[*consuming]struct{}{},
	}
	b.publisher = &publisher{broker: b, pending: semaphore.NewWeighted(cfg.PendingBytes)}
	b.writer = &writer{
		broker: b, file: f, log: b.log, wake: make(chan struct{}, 1),
		checkpointer: newCheckpointer(f, b.log, cfg.logLimit()), space: spaceGuard{minFree: cfg.MinFree},
	}
	b.directory.Store(&directory{topics: map[string]*topic{}, groups: map[groupName]*group{}})
	b.adopt(s)
	copying, stop := context.WithCancel(ctx)
	b.stop = stop
	b.copying.Go(func() { b.writer.checkpointer.run(copying) })
	b.writing.Go(func() { b.writer.run(ctx) })
	return b, nil
}

// Publisher returns the broker's publisher.
func (b *Broker) Publisher() broker.Publisher { return b.publisher }

// Consumer returns a consumer of topic for group. Run makes the topic and the group if there are none.
func (b *Broker) Consumer(topic, group string) broker.Consumer {
	return &consumer{broker: b, topic: topic, name: group, log: b.log.With(telemetry.Topic(topic), telemetry.Group(group))}
}

// Caps returns what the broker takes.
func (b *Broker) Caps() broker.Caps { return broker.Caps{MaxMessage: b.cfg.MaxMessage, Ordered: true} }

// enter counts a consumer that begins to run. The context it returns ends with ctx or when the broker closes; done has
// to be called in the end.
func (b *Broker) enter(ctx context.Context) (intake context.Context, done func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing {
		return nil, nil, broker.ErrClosed
	}
	c := &consuming{done: make(chan struct{})}
	intake, c.stop = context.WithCancel(ctx)
	b.consumers[c] = struct{}{}
	return intake, func() {
		c.stop()
		close(c.done)
		b.mu.Lock()
		delete(b.consumers, c)
		b.mu.Unlock()
	}, nil
}

// Close stops consumers that still run, writes what is queued and gives the file up. When ctx ends first it returns an
// error and the file stays open; Close may be called again then.
func (b *Broker) Close(ctx context.Context) error {
	if err := b.shut(ctx); err != nil {
		return fmt.Errorf("close %s: %w", b.cfg.Path, err)
	}
	return nil
}

func (b *Broker) shut(ctx context.Context) error {
	b.mu.Lock()
	b.closing = true
	running := make([]*consuming, 0, len(b.consumers))
	for c := range b.consumers {
		running = append(running, c)
	}
	b.mu.Unlock()
	for _, c := range running {
		c.stop()
	}
	for _, c := range running {
		select {
		case <-c.done:
		case <-ctx.Done():
			return fmt.Errorf("a consumer still runs: %w", ctx.Err())
		}
	}
	b.writer.close()
	written := make(chan struct{})
	go func() { // ends with the writer, which Close cannot leave running for long
		b.writing.Wait()
		close(written)
	}()
	select {
	case <-written:
	case <-ctx.Done():
		return fmt.Errorf("still writing: %w", ctx.Err())
	}
	b.mu.Lock()
	again := b.closed
	b.closed = true
	b.mu.Unlock()
	if again {
		return nil
	}
	b.stop()
	b.copying.Wait()
	return errors.Join(b.file.close(), b.lock.release())
}
