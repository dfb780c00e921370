package due

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/pkg/wait"
	"github.com/sluicehq/sluice/store"
)

const (
	countPause   = 15 * time.Second
	sweepPause   = time.Minute
	sweepBatch   = 1000
	sweepTimeout = 30 * time.Second
	expireMargin = 10 * time.Minute // what is still queued ends this long before its body goes
	clockMargin  = 10 * time.Minute // an event's time may be ahead of its first attempt by as much as a broker's clock is
)

// SweepStore is what the sweep needs of the store.
type SweepStore interface {
	Depths(ctx context.Context, shards []store.Shard) (map[store.EndpointID]store.Depth, error)
	Finish(ctx context.Context, q store.FinishQuery) (int, error)
	GetEndpoint(ctx context.Context, id store.EndpointID) (store.Endpoint, error)
	store.Retention
}

// Sweep ends what must end without an attempt: deliveries of deleted endpoints, those past their retry policy behind a
// closed gate, those whose body goes out of retention; and has the store drop what is too old. It also counts the queue.
type Sweep struct {
	store           SweepStore
	shards          *Shards
	log             *zap.Logger
	bodies, history time.Duration
}

// NewSweep returns a sweep that keeps bodies and history for the given times.
func NewSweep(s SweepStore, shards *Shards, bodies, history time.Duration, log *zap.Logger) *Sweep {
	return &Sweep{store: s, shards: shards, bodies: bodies, history: history, log: log}
}

// Counter is told how much waits for each endpoint of the owned shards.
type Counter func(map[store.EndpointID]store.Depth)

// Lookup returns an endpoint of the current configuration.
type Lookup func(store.EndpointID) (*store.Endpoint, bool)

// Run counts every 15 s and sweeps once a minute until ctx ends.
func (s *Sweep) Run(ctx context.Context, endpoint Lookup, count Counter) error {
	var swept time.Time
	for {
		depths, err := s.depths(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // a stop is no failure
		}
		switch {
		case err != nil:
			s.log.Warn("count of the queue failed", telemetry.Error(err))
		default:
			count(depths)
			if now := time.Now(); now.Sub(swept) >= sweepPause {
				swept = now
				if err := s.runOnce(ctx, now, depths, endpoint); err != nil && ctx.Err() == nil {
					s.log.Warn("sweep failed, trying again in a minute", telemetry.Error(err))
				}
			}
		}
		if !wait.For(ctx, countPause) {
			return nil
		}
	}
}

func (s *Sweep) depths(ctx context.Context) (map[store.EndpointID]store.Depth, error) {
	shards := s.shards.Owned(time.Now())
	if len(shards) == 0 {
		return nil, nil
	}
	call, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	return s.store.Depths(call, shards)
}

func (s *Sweep) runOnce(ctx context.Context, now time.Time, depths map[store.EndpointID]store.Depth, endpoint Lookup) error {
	var errs []error
	for id, depth := range depths {
		q, ok, err := s.endOf(ctx, id, depth, now, endpoint)
		if err == nil && ok {
			err = s.finish(ctx, q)
		}
		errs = append(errs, err)
	}
	errs = append(errs, s.finish(ctx, store.FinishQuery{
		EventBefore: now.Add(expireMargin - s.bodies), Now: now, State: store.DeliveryDead, Reason: store.ReasonExpired, Limit: sweepBatch,
	}))
	errs = append(errs, s.expire(ctx, now))
	return errors.Join(errs...)
}

// endOf says which of an endpoint's rows must end now, if any.
func (s *Sweep) endOf(
	ctx context.Context, id store.EndpointID, depth store.Depth, now time.Time, endpoint Lookup,
) (store.FinishQuery, bool, error) {
	q := store.FinishQuery{Endpoint: id, Now: now, Limit: sweepBatch}
	ep, ok := endpoint(id)
	if !ok { // deleted, or so new that this process has not seen it: only the store knows
		row, err := s.store.GetEndpoint(ctx, id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return q, false, err
		}
		if err == nil && row.State != store.EndpointDeleted {
			return q, false, nil
		}
		q.State, q.Reason = store.DeliveryCanceled, store.ReasonDeleted
		return q, true, nil
	}
	cutoff := now.Add(-ep.Retry.MaxAge)
	if ep.State != store.EndpointActive || ep.StateSince.After(cutoff) {
		return q, false, nil
	}
	if depth.Oldest.After(cutoff.Add(clockMargin)) { // no attempt can be as old: mostly this spares the query
		return q, false, nil
	}
	q.FirstAttemptBefore, q.State, q.Reason = cutoff, store.DeliveryDead, store.ReasonExhausted
	return q, true, nil
}

// finish ends rows batch by batch, so that no transaction is long.
func (s *Sweep) finish(ctx context.Context, q store.FinishQuery) error {
	for {
		call, cancel := context.WithTimeout(ctx, sweepTimeout)
		n, err := s.store.Finish(call, q)
		cancel()
		if err != nil || n < q.Limit {
			return err
		}
		if !wait.For(ctx, minPause) {
			return ctx.Err()
		}
	}
}

func (s *Sweep) expire(ctx context.Context, now time.Time) error {
	for {
		call, cancel := context.WithTimeout(ctx, sweepTimeout)
		more, err := s.store.Expire(call, now.Add(-s.bodies), now.Add(-s.history), now, sweepBatch)
		cancel()
		if err != nil || !more {
			return err
		}
		if !wait.For(ctx, minPause) {
			return ctx.Err()
		}
	}
}
