package due

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/pkg/wait"
	"github.com/sluicehq/sluice/store"
)

// startMargin is how much ownership must be left to start an attempt: longer than any pause we expect between the check
// and the request.
const startMargin = 3 * time.Second

// renewalRetry is the pause after a renewal that failed, so that one lost answer costs little of the ownership's time.
const renewalRetry = time.Second

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
	epochs [store.Shards]int64 // of those owned beyond the share too
	until  time.Time           // on this process's clock
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

// GiveUp lets shards go: of theirs nothing starts any more, nothing waits, and what runs is recorded as running. It
// fails when that could not be recorded before ctx ended: then they must not be given to others.
type GiveUp func(ctx context.Context, shards []store.Shard) error

// Taken is told of shards before they are this process's: nothing of them starts until it returns. When it fails they
// are taken with the next renewal.
type Taken func(ctx context.Context, shards []store.Shard) error

// Run renews ownership until ctx ends, and then gives everything up at once: attempts may run for longer than ownership
// lasts without renewal. It calls taken before it begins with shards, and giveUp before they are given to others.
func (s *Shards) Run(ctx context.Context, taken Taken, giveUp GiveUp) error {
	for {
		pause := store.ShardRenewal
		if !s.renew(ctx, taken, giveUp) {
			pause = renewalRetry
		}
		if !wait.For(ctx, pause) {
			s.handOver(ctx, giveUp)
			return nil
		}
	}
}

// handOver leaves while what runs may still run for long. If it cannot, shards free themselves when they expire.
func (s *Shards) handOver(ctx context.Context, giveUp GiveUp) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), store.ShardTTL)
	defer cancel()
	mine := s.own.Swap(&ownership{}).shards
	err := giveUp(ctx, mine)
	if err == nil {
		err = s.store.LeaveShards(ctx, s.node)
	}
	if err != nil {
		s.log.Warn("shards not handed over, they free themselves when they expire", telemetry.Error(err))
	}
}

// renew reports whether the store answered.
func (s *Shards) renew(ctx context.Context, taken Taken, giveUp GiveUp) bool {
	sent := time.Now()
	call, cancel := context.WithTimeout(ctx, store.ShardRenewal)
	defer cancel()
	got, err := s.store.RenewShards(call, s.node)
	if err != nil {
		if ctx.Err() == nil {
			s.log.Warn("shard renewal failed", telemetry.Error(err))
		}
		return false
	}
	now := newOwnership(got, sent.Add(store.ShardTTL))
	if lost := s.own.Load().without(now); len(lost) > 0 { // others may have worked off what waits here: it is read anew
		s.own.Store(&ownership{})
		if err := giveUp(call, lost); err != nil {
			return false
		}
	}
	if gained := now.without(s.own.Load()); len(gained) > 0 {
		if err := taken(call, gained); err != nil {
			s.log.Warn("shards not taken, trying again", telemetry.Error(err))
			return false
		}
	}
	s.own.Store(now)
	if surplus := got.Shards[len(now.shards):]; len(surplus) > 0 {
		s.release(call, surplus, giveUp)
	}
	return true
}

// release gives up what is more than this node's share. What it cannot is tried again after the next renewal.
func (s *Shards) release(ctx context.Context, surplus []store.Shard, giveUp GiveUp) {
	err := giveUp(ctx, surplus)
	if err == nil {
		err = s.store.ReleaseShards(ctx, s.node, surplus)
	}
	if err != nil {
		s.log.Warn("shards not released, trying again", telemetry.Error(err))
	}
}

// newOwnership is what of got is within the node's share.
func newOwnership(got store.Ownership, until time.Time) *ownership {
	o := &ownership{shards: got.Shards[:min(len(got.Shards), got.Share)], until: until}
	for _, sh := range o.shards {
		o.held[sh] = true
	}
	for i, sh := range got.Shards {
		o.epochs[sh] = got.Epochs[i]
	}
	return o
}

// without returns the shards of o that other does not have, or of which somebody else was the owner between the two.
func (o *ownership) without(other *ownership) []store.Shard {
	var out []store.Shard
	for _, sh := range o.shards {
		if other.epochs[sh] != o.epochs[sh] {
			out = append(out, sh)
		}
	}
	return out
}
