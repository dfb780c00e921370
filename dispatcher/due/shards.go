package due

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/store"
)

// startMargin is how much ownership must be left to start an attempt: longer than any pause we expect between the check
// and the request.
const startMargin = 3 * time.Second

// Shards is what this process owns of the queue. Owns and Owned are safe for concurrent use and do not block.
type Shards struct {
	node  string
	store store.ShardOwnership
	log   *zap.Logger
	own   atomic.Pointer[ownership]
}

type ownership struct {
	shards []store.Shard
	held   [store.Shards]bool
	until  time.Time // on this process's clock
}

// NewShards returns the shards of a node that owns none yet. node is unique among live processes.
func NewShards(node string, s store.ShardOwnership, log *zap.Logger) *Shards {
	sh := &Shards{node: node, store: s, log: log}
	sh.own.Store(&ownership{})
	return sh
}

// Owns reports whether attempts for shard may be started at now.
func (s *Shards) Owns(shard store.Shard, now time.Time) bool {
	o := s.own.Load()
	return o.held[shard] && o.until.Sub(now) >= startMargin
}

// Owned returns the shards for which attempts may be started at now; the slice must not be changed.
func (s *Shards) Owned(now time.Time) []store.Shard {
	if o := s.own.Load(); o.until.Sub(now) >= startMargin {
		return o.shards
	}
	return nil
}

// Run renews ownership until ctx ends. Before shards are given to others it calls giveUp, which returns when nothing
// of theirs runs unrecorded. Run does not leave: that is for Leave, after the last attempt.
func (s *Shards) Run(ctx context.Context, giveUp func(context.Context, []store.Shard)) error {
	for {
		s.renew(ctx, giveUp)
		if !sleep(ctx, store.ShardRenewal) {
			return nil
		}
	}
}

func (s *Shards) renew(ctx context.Context, giveUp func(context.Context, []store.Shard)) {
	sent := time.Now()
	call, cancel := context.WithTimeout(ctx, store.ShardRenewal)
	defer cancel()
	got, err := s.store.RenewShards(call, s.node)
	if err != nil {
		if ctx.Err() == nil {
			s.log.Warn("shard renewal failed", telemetry.Error(err))
		}
		return
	}
	keep := got.Shards
	var surplus []store.Shard
	if over := len(keep) - got.Share; over > 0 {
		keep, surplus = keep[:got.Share], keep[got.Share:]
	}
	s.own.Store(newOwnership(keep, sent.Add(store.ShardTTL)))
	if len(surplus) == 0 {
		return
	}
	giveUp(ctx, surplus)
	if err := s.store.ReleaseShards(call, s.node, surplus); err != nil && ctx.Err() == nil {
		s.log.Warn("shard release failed, they free themselves when they expire", telemetry.Error(err))
	}
}

// Leave gives everything up. Nothing of this process's may run unrecorded any more.
func (s *Shards) Leave(ctx context.Context) error {
	s.own.Store(&ownership{})
	return s.store.LeaveShards(ctx, s.node)
}

func newOwnership(shards []store.Shard, until time.Time) *ownership {
	o := &ownership{shards: shards, until: until}
	for _, sh := range shards {
		o.held[sh] = true
	}
	return o
}

// sleep waits for d and reports whether ctx still runs.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
