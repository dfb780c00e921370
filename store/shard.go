package store

import (
	"context"
	"time"
)

// Shards is how many shares the endpoints are split into.
const Shards = 64

// Shard is one share of the endpoints, from 0 to Shards−1.
type Shard uint8

// Shard returns the share that endpoint id belongs to: Fibonacci hashing (D. Knuth, TAOCP 6.4), so that endpoints made
// one after the other spread.
func (id EndpointID) Shard() Shard { return Shard(uint32(id) * 2654435769 >> 26) }

// ShardTTL is how long ownership lasts without renewal; ShardRenewal how often it is renewed.
const (
	ShardTTL     = 15 * time.Second
	ShardRenewal = 5 * time.Second
)

// ShardOwnership keeps who works off which share of the queue. Each shard has at most one owner at any moment of the
// store's clock.
type ShardOwnership interface {
	// RenewShards heartbeats node, renews what it owns for ShardTTL, takes free and expired shards up to its fair
	// share ceil(Shards ÷ live nodes), and returns what it owns now and that share. A node that owns more than its
	// share should give some up with ReleaseShards.
	RenewShards(ctx context.Context, node string) (Ownership, error)
	// ReleaseShards makes shards free that node owns. Others are left as they are.
	ReleaseShards(ctx context.Context, node string, shards []Shard) error
	// LeaveShards releases everything and takes node off the live ones.
	LeaveShards(ctx context.Context, node string) error
}

// Ownership is a node's part of the shards.
type Ownership struct {
	Shards []Shard
	Epochs []int64 // Epochs[i] counts the changes of owner of Shards[i]
	Share  int     // ceil(Shards ÷ live nodes)
}
