package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/store"
)

const (
	// All of these read or write a table of 64 rows or one row a process.
	heartbeat  = `INSERT INTO nodes (name, expires) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET expires = excluded.expires`
	liveNodes  = `SELECT count(*) FROM nodes WHERE expires > ?`
	leaveNodes = `DELETE FROM nodes WHERE name = ?`
	renewOwned = `UPDATE shards SET expires = ? WHERE owner = ?`
	takeShards = `UPDATE shards SET owner = ?1, epoch = epoch + 1, expires = ?2 WHERE id IN
		(SELECT id FROM shards WHERE owner IS NULL OR expires <= ?3 ORDER BY id LIMIT ?4)`
	ownedBy   = `SELECT id, epoch FROM shards WHERE owner = ? ORDER BY id`
	freeShard = `UPDATE shards SET owner = NULL, expires = 0 WHERE id = ? AND owner = ?`
	freeAllOf = `UPDATE shards SET owner = NULL, expires = 0 WHERE owner = ?`
)

// RenewShards is volatile: a power cut ends every owner with what it owned.
func (s *Store) RenewShards(ctx context.Context, node string) (own store.Ownership, err error) {
	err = s.write(ctx, volatile, 1, func(c *conn) error {
		now := s.now()
		expires := now.Add(store.ShardTTL).UnixMilli()
		if err := c.prepare(heartbeat).string(node).int(expires).run(); err != nil {
			return err
		}
		live := int64(1)
		if _, err := c.prepare(liveNodes).int(now.UnixMilli()).one(func(st *stmt) { live = max(1, st.readInt()) }); err != nil {
			return err
		}
		// What is still the node's own is renewed even if it had run out: nobody has taken it.
		if err := c.prepare(renewOwned).int(expires).string(node).run(); err != nil {
			return err
		}
		share := (store.Shards + live - 1) / live
		if missing := share - c.changes(); missing > 0 {
			if err := c.prepare(takeShards).string(node).int(expires).int(now.UnixMilli()).int(missing).run(); err != nil {
				return err
			}
		}
		own = store.Ownership{Share: int(share)}
		st := c.prepare(ownedBy).string(node)
		for st.next() {
			own.Shards, own.Epochs = append(own.Shards, store.Shard(st.readInt())), append(own.Epochs, st.readInt())
		}
		return st.end()
	})
	if err != nil {
		return store.Ownership{}, fmt.Errorf("renew shards: %w", err)
	}
	return own, nil
}

// ReleaseShards frees some of node's shards.
func (s *Store) ReleaseShards(ctx context.Context, node string, shards []store.Shard) error {
	err := s.write(ctx, volatile, len(shards), func(c *conn) error {
		for _, shard := range shards {
			if err := c.prepare(freeShard).int(int64(shard)).string(node).run(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("release shards: %w", err)
	}
	return nil
}

// LeaveShards frees all of node's shards and ends its heartbeat.
func (s *Store) LeaveShards(ctx context.Context, node string) error {
	err := s.write(ctx, volatile, 1, func(c *conn) error {
		if err := c.prepare(freeAllOf).string(node).run(); err != nil {
			return err
		}
		return c.prepare(leaveNodes).string(node).run()
	})
	if err != nil {
		return fmt.Errorf("leave shards: %w", err)
	}
	return nil
}

// expireNodes forgets processes that did not leave.
const expireNodes = `DELETE FROM nodes WHERE expires <= ?`

func expireHeartbeats(c *conn, now time.Time) error {
	return c.prepare(expireNodes).int(now.UnixMilli()).run()
}
