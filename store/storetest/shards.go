package storetest

import (
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sluicehq/sluice/store"
)

func (b *bench) renew(node string) store.Ownership {
	b.Helper()
	own := ok(b.Store.RenewShards(b.Context(), node))(b)
	if len(own.Epochs) != len(own.Shards) {
		b.Fatalf("%d shards with %d epochs", len(own.Shards), len(own.Epochs))
	}
	return own
}

func (b *bench) wantOwned(own store.Ownership, shards, share int) {
	b.Helper()
	if len(own.Shards) != shards || own.Share != share {
		b.Fatalf("owns %d shards with a share of %d, want %d and %d", len(own.Shards), own.Share, shards, share)
	}
}

// disjoint checks that no shard is owned twice.
func (b *bench) disjoint(owns ...store.Ownership) {
	b.Helper()
	seen := map[store.Shard]bool{}
	for _, own := range owns {
		for _, s := range own.Shards {
			if seen[s] {
				b.Fatalf("shard %d has two owners", s)
			}
			seen[s] = true
		}
	}
}

var shardPromises = []promise{
	{"one node takes all shards", func(b *bench) {
		own := b.renew("a")
		b.wantOwned(own, store.Shards, store.Shards)
		slices.Sort(own.Shards)
		equal(b, "shards", own.Shards, everyShard())
	}},
	{"a second node gets its fair share once the first gives up", func(b *bench) {
		b.renew("a")
		b.wantOwned(b.renew("b"), 0, 32)
		first := b.renew("a")
		b.wantOwned(first, 64, 32)
		b.must(b.Store.ReleaseShards(b.Context(), "a", first.Shards[32:]))
		first = b.renew("a")
		b.wantOwned(first, 32, 32)
		second := b.renew("b")
		b.wantOwned(second, 32, 32)
		b.disjoint(first, second)
	}},
	{"shares are rounded up, so that none is left over", func(b *bench) {
		b.renew("a")
		b.renew("b")
		b.wantOwned(b.renew("c"), 0, 22)
	}},
	{"renewal keeps ownership and its epoch", func(b *bench) {
		first := b.renew("a")
		for range 5 {
			b.Advance(store.ShardRenewal)
			equal(b, "RenewShards", b.renew("a"), first)
		}
		b.wantOwned(b.renew("b"), 0, 32)
	}},
	{"a node that stays away loses its shards after the TTL, not before", func(b *bench) {
		first := b.renew("a")
		b.Advance(store.ShardTTL - time.Second)
		b.wantOwned(b.renew("b"), 0, 32)
		b.Advance(2 * time.Second)
		second := b.renew("b")
		b.wantOwned(second, 64, 64)
		for i, shard := range second.Shards {
			if at := slices.Index(first.Shards, shard); second.Epochs[i] <= first.Epochs[at] {
				b.Fatalf("shard %d changed its owner and stayed at epoch %d", shard, second.Epochs[i])
			}
		}
		b.wantOwned(b.renew("a"), 0, 32)
	}},
	{"an expired shard goes to one node alone", func(b *bench) {
		b.renew("a")
		b.renew("b")
		b.renew("c")
		b.Advance(store.ShardTTL + time.Second)
		second, third := b.renew("b"), b.renew("c")
		b.disjoint(second, third)
		b.wantOwned(third, 0, 32) // b was alone when it came
	}},
	{"a node that leaves frees everything at once", func(b *bench) {
		b.renew("a")
		b.renew("b")
		b.must(b.Store.LeaveShards(b.Context(), "a"))
		b.wantOwned(b.renew("b"), 64, 64)
	}},
	{"nobody releases what another owns", func(b *bench) {
		own := b.renew("a")
		b.must(b.Store.ReleaseShards(b.Context(), "b", own.Shards))
		b.must(b.Store.LeaveShards(b.Context(), "b"))
		b.wantOwned(b.renew("b"), 0, 32)
		equal(b, "a", b.renew("a").Epochs, own.Epochs)
	}},
	{"releasing nothing and leaving twice are fine", func(b *bench) {
		b.must(b.Store.ReleaseShards(b.Context(), "a", nil))
		b.must(b.Store.LeaveShards(b.Context(), "a"))
		b.must(b.Store.LeaveShards(b.Context(), "a"))
	}},
	{"nodes that come at once share without overlap", func(b *bench) {
		const nodes = 4
		owns := make([]store.Ownership, nodes)
		for range 6 { // each round gives up what is too much
			var wg sync.WaitGroup
			for i := range owns {
				wg.Go(func() {
					node := strconv.Itoa(i)
					own, err := b.Store.RenewShards(b.Context(), node)
					if err == nil && len(own.Shards) > own.Share {
						err = b.Store.ReleaseShards(b.Context(), node, own.Shards[own.Share:])
						own.Shards = own.Shards[:own.Share]
					}
					if err != nil {
						b.Error(err)
					}
					owns[i] = own
				})
			}
			wg.Wait()
		}
		b.disjoint(owns...)
		for i, own := range owns {
			if len(own.Shards) != store.Shards/nodes {
				b.Errorf("node %d owns %d shards, want %d", i, len(own.Shards), store.Shards/nodes)
			}
		}
	}},
	{"an epoch of a shard belongs to one node, whoever comes, gives up and leaves meanwhile", func(b *bench) {
		const nodes, rounds = 5, 20
		type term struct {
			shard store.Shard
			epoch int64
		}
		var mu sync.Mutex
		holder := map[term]int{}
		var wg sync.WaitGroup
		for node := range nodes {
			wg.Go(func() {
				name := strconv.Itoa(node)
				for round := range rounds {
					own, err := b.Store.RenewShards(b.Context(), name)
					if err != nil {
						b.Error(err)
						return
					}
					mu.Lock()
					for i, shard := range own.Shards {
						at := term{shard, own.Epochs[i]}
						if had, ok := holder[at]; ok && had != node {
							b.Errorf("nodes %d and %d own shard %d in epoch %d", had, node, shard, at.epoch)
						}
						holder[at] = node
					}
					mu.Unlock()
					if round%4 == node%4 {
						err = b.Store.LeaveShards(b.Context(), name)
					} else {
						err = b.Store.ReleaseShards(b.Context(), name, own.Shards[:len(own.Shards)/2])
					}
					if err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if len(holder) <= store.Shards {
			b.Error("no shard changed hands")
		}
	}},
}
