package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/pkg/wait"
)

// pump hands the messages of one stream to a handler, for one group, while its consumer owns the stream.
type pump struct {
	broker  *Broker
	stream  *stream
	handler broker.Handler
	log     *zap.Logger

	leaseCtx context.Context // parent of the leases', kept because a tenure may start over

	wake    chan struct{} // there is something new in the stream
	stop    context.CancelFunc
	stopped chan struct{} // closed when run has returned
	tenure  atomic.Pointer[tenure]

	position int64 // of the next message to take; the stream's lock guards it

	// run's own.
	items  []item // taken and not handed out, in order
	leases []broker.Lease
	polled []*stored
	names  names
	from   string // where items came from: telemetry.ReadMemory or ReadDisk
}

// item is a message, or a gap.
type item struct {
	*stored         // nil: a gap
	from, to int64  // positions that are gone: [from, to)
	reason   string // of the gap: telemetry.LostGap or LostDamaged
}

const (
	takeBytes  = 256 << 10 // taken from a stream at once, or one message
	retryFirst = 20 * time.Millisecond
	retryMost  = time.Second
)

// errPanicked says that the handler panicked; it is logged where it happened.
var errPanicked = errors.New("handler panicked")

// run hands out messages until ctx ends or the file turns out to be damaged.
func (p *pump) run(ctx context.Context) error {
	defer p.drop()
	pause := retryFirst
	for {
		err := p.runOnce(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			pause = retryFirst
			continue
		case classify(err) == faultDamaged:
			return explain(p.broker.cfg.Path, err)
		case errors.Is(err, errPanicked):
			p.startOver()
		case pause == retryFirst:
			p.log.Warn("cannot read the broker's file, trying again", telemetry.Error(explain(p.broker.cfg.Path, err)))
		}
		wait.For(ctx, pause)
		pause = min(2*pause, retryMost)
	}
}

// runOnce takes what there is, waiting if there is nothing, and hands it out as the window allows.
func (p *pump) runOnce(ctx context.Context) error {
	if err := p.take(ctx); err != nil {
		return err
	}
	for len(p.items) > 0 {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if p.items[0].stored == nil {
			if err := p.gap(); err != nil {
				return err
			}
			continue
		}
		if p.lend(); len(p.leases) > 0 {
			if err := p.hand(); err != nil {
				return err
			}
			continue
		}
		select {
		case <-p.tenure.Load().window.Room():
		case <-ctx.Done():
		}
	}
	return nil
}

// take fills items from the stream's tail or from the file.
func (p *pump) take(ctx context.Context) error {
	for {
		msgs, upto, lags := p.stream.poll(p, p.polled[:0], takeBytes)
		switch {
		case len(msgs) > 0:
			p.polled = msgs
			p.from = telemetry.ReadMemory
			return p.keep(ctx, msgs)
		case lags:
			p.from = telemetry.ReadDisk
			return p.read(ctx, upto)
		}
		select {
		case <-p.wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// keep turns messages from memory into items, which count against the byte budget from now on.
func (p *pump) keep(ctx context.Context, msgs []*stored) error {
	if err := p.acquire(ctx, sizeOf(msgs)); err != nil {
		return err
	}
	for _, m := range msgs {
		p.items = append(p.items, item{stored: m})
	}
	clear(msgs)
	return nil
}

// lend makes leases of the first items that fit into the window.
func (p *pump) lend() {
	t := p.tenure.Load()
	n := 0
	for ; n < len(p.items) && p.items[n].stored != nil; n++ {
		m := p.items[n].stored
		ticket, ok := t.window.Add(m.position+1, m.size)
		if !ok {
			break
		}
		p.leases = append(p.leases, &lease{tenure: t, stored: m, ticket: ticket})
	}
	p.shift(n)
}

func (p *pump) shift(n int) {
	rest := copy(p.items, p.items[n:])
	clear(p.items[rest:])
	p.items = p.items[:rest]
}

// hand gives the leases to the handler.
func (p *pump) hand() error {
	p.broker.metrics.Consumed.WithLabelValues(p.from).Add(float64(len(p.leases)))
	defer func() {
		clear(p.leases)
		p.leases = p.leases[:0]
	}()
	return p.call(func() { p.handler.Handle(p.leases) })
}

// gap reports messages that are gone and passes them.
func (p *pump) gap() error {
	g := p.items[0]
	p.broker.metrics.Lost.WithLabelValues(g.reason).Add(float64(g.to - g.from))
	p.log.Error("messages are gone from the broker's file", zap.String("reason", g.reason),
		telemetry.Position(formatPosition(g.from)), zap.Int64("messages", g.to-g.from))
	if err := p.call(func() { p.handler.Gap(p.stream.name, formatPosition(g.from), formatPosition(g.to)) }); err != nil {
		return err
	}
	p.tenure.Load().window.Skip(g.to)
	p.broker.writer.noteSettled()
	p.shift(1)
	return nil
}

// call runs a call of the handler, and takes its panic for the process having died as far as this stream goes.
func (p *pump) call(fn func()) (err error) {
	defer func() {
		if r := recover(); r != nil {
			what := fmt.Sprintf("%T", r) // its text may quote a body
			if re, ok := r.(runtime.Error); ok {
				what = re.Error()
			}
			p.log.Error("handler panicked: the stream's unsettled messages are handed out again",
				zap.String("panic", what), zap.ByteString("stack", debug.Stack()))
			err = errPanicked
		}
	}()
	fn()
	return nil
}

// begin starts a tenure at the committed position.
func (p *pump) begin(ctx context.Context, committed int64) {
	t := &tenure{pump: p, window: broker.NewWindow(committed, p.broker.cfg.Window, p.broker.cfg.WindowBytes)}
	t.ctx, t.end = context.WithCancel(ctx)
	p.tenure.Store(t)
	p.stream.moveTo(p, committed)
}

// startOver begins a new tenure, as if the process had died and come back: what was not settled comes again.
func (p *pump) startOver() {
	p.drop()
	p.begin(p.leaseCtx, p.tenure.Load().fence())
}

// drop forgets what was taken and not handed out.
func (p *pump) drop() {
	for _, it := range p.items {
		if it.stored != nil {
			p.release(int64(it.size))
		}
	}
	clear(p.items)
	p.items = p.items[:0]
}

// await waits until run has returned. At the deadline the tenure ends, so that a handler that still blocks can leave.
func (p *pump) await(drain context.Context) {
	select {
	case <-p.stopped:
		return
	case <-drain.Done():
	}
	p.tenure.Load().fence()
	<-p.stopped
}

func (p *pump) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pump) committed() int64 { return p.tenure.Load().window.Committed() }

// acquire takes bytes off the byte budget, waiting until there are as many.
func (p *pump) acquire(ctx context.Context, bytes int64) error {
	if p.broker.cfg.Bodies == nil {
		return nil
	}
	return p.broker.cfg.Bodies.Acquire(ctx, bytes)
}

func (p *pump) release(bytes int64) {
	if p.broker.cfg.Bodies != nil && bytes > 0 {
		p.broker.cfg.Bodies.Release(bytes)
	}
}
