package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/pkg/wait"
)

// consumer consumes one topic for one group.
type consumer struct {
	broker  *Broker
	topic   string
	name    string
	log     *zap.Logger
	started atomic.Bool
	member  atomic.Pointer[member] // while Run runs
}

// saveTime bounds the wait for the last positions to be written.
const saveTime = time.Second

// Run consumes until ctx ends, the broker closes or the file turns out to be damaged.
func (c *consumer) Run(ctx context.Context, h broker.Handler) error {
	if c.started.Swap(true) {
		return fmt.Errorf("consume %s: Run was called before: make another Consumer", c.topic)
	}
	intake, done, err := c.broker.enter(ctx)
	if err != nil {
		return fmt.Errorf("consume %s: %w", c.topic, err)
	}
	defer done()
	g, err := c.open(intake)
	if g != nil {
		err = c.consume(ctx, intake, g, h)
	}
	if err == nil && ctx.Err() == nil {
		err = broker.ErrClosed
	}
	if err != nil {
		return fmt.Errorf("consume %s: %w", c.topic, err)
	}
	return nil
}

// consume is a member of the group until intake ends or a pump fails for good.
func (c *consumer) consume(ctx, intake context.Context, g *group, h broker.Handler) error {
	m := g.join()
	c.member.Store(m)
	defer c.member.Store(nil)
	err := c.share(ctx, intake, g, m, h)
	c.give(ctx, g, g.owned(m), h)
	g.leave(m)
	c.save(ctx)
	return err
}

// open finds the group, or makes it, for as long as that takes. It returns nil when ctx ended first.
func (c *consumer) open(ctx context.Context) (*group, error) {
	for pause := retryFirst; ; pause = min(2*pause, retryMost) {
		g, err := c.broker.groupNamed(ctx, c.topic, c.name)
		var own *ownError
		switch {
		case err == nil:
			return g, nil
		case ctx.Err() != nil:
			return nil, nil //nolint:nilerr // stopped before it began
		case errors.As(err, &own), classify(err) == faultDamaged:
			return nil, err
		}
		c.log.Warn("cannot join the group, trying again", telemetry.Error(err))
		wait.For(ctx, pause)
	}
}

// share owns what is the member's to own until intake ends or a pump fails for good.
func (c *consumer) share(ctx, intake context.Context, g *group, m *member, h broker.Handler) error {
	failed := make(chan error, 1)
	for {
		give, take := g.moves(m)
		c.give(ctx, g, give, h)
		for _, s := range take {
			c.take(ctx, g, s, h, failed)
		}
		select {
		case <-m.changed:
		case err := <-failed:
			return err
		case <-intake.Done():
			return nil
		}
	}
}

// take starts a stream that is the consumer's now.
func (c *consumer) take(ctx context.Context, g *group, s *stream, h broker.Handler, failed chan<- error) {
	ctx = context.WithoutCancel(ctx) // a pump and its leases end when they are given up
	p := &pump{
		broker: c.broker, stream: s, handler: h, log: c.log.With(telemetry.Stream(s.name)),
		leaseCtx: ctx, wake: make(chan struct{}, 1), stopped: make(chan struct{}), names: names{},
	}
	p.begin(ctx, g.resume(s.number))
	g.start(p)
	s.join(p)
	var running context.Context
	running, p.stop = context.WithCancel(ctx)
	go func() {
		defer close(p.stopped)
		if err := p.run(running); err != nil {
			select {
			case failed <- err:
			default: // another one was first
			}
		}
	}()
}

// give gives streams up: no message more, a time to settle, then the final position.
func (c *consumer) give(ctx context.Context, g *group, pumps []*pump, h broker.Handler) {
	if len(pumps) == 0 {
		return
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.broker.cfg.Drain)
	defer cancel()
	streams := make([]string, len(pumps))
	for i, p := range pumps {
		p.stop()
		streams[i] = p.stream.name
	}
	for _, p := range pumps {
		p.await(drain)
	}
	h.Revoke(drain, streams)
	for _, p := range pumps {
		p.stream.leave(p)
		g.stop(p, p.tenure.Load().fence())
	}
	c.broker.writer.noteSettled()
}

// save writes the final positions, if the file lets it. If not they are written later, or the messages come again.
func (c *consumer) save(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), saveTime)
	defer cancel()
	if err := c.broker.writer.flush(ctx); err != nil {
		c.log.Warn("could not write the last committed positions: what was settled since may come again", telemetry.Error(err))
	}
}

// Lag reads the positions as they are in the file.
func (c *consumer) Lag(ctx context.Context) ([]broker.Lag, error) {
	lags, err := c.broker.lag(ctx, c.topic, c.name, c.member.Load())
	if err != nil {
		return nil, fmt.Errorf("lag of %s: %w", c.topic, err)
	}
	return lags, nil
}
