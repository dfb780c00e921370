package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluicehq/sluice/store"
)

const (
	// renewShards is one statement, on the database's clock: it heartbeats the node, renews what it owns even if that ran
	// out (nobody has taken it), and takes free and expired shards up to its share. Rows that another node is about to take
	// are passed over, so nobody waits and each is taken once: who locks a row sees its last version.
	renewShards = `WITH clock AS MATERIALIZED (SELECT ` + dbNow + ` + $3::bigint AS now),
		beat AS (INSERT INTO nodes (name, expires) SELECT $1, now + $2::bigint FROM clock
			ON CONFLICT (name) DO UPDATE SET expires = excluded.expires),
		share AS MATERIALIZED (SELECT (63 + live) / live AS share FROM
			(SELECT 1 + count(*) AS live FROM nodes, clock WHERE expires > now AND name <> $1) AS others),
		mine AS MATERIALIZED (SELECT id FROM shards WHERE owner = $1 FOR UPDATE),
		free AS MATERIALIZED (SELECT id FROM shards, clock WHERE owner IS DISTINCT FROM $1 AND (owner IS NULL OR expires <= now)
			ORDER BY id LIMIT greatest(0, (SELECT share FROM share) - (SELECT count(*) FROM mine)) FOR UPDATE OF shards SKIP LOCKED),
		renewed AS (UPDATE shards s SET owner = $1, expires = now + $2::bigint,
			epoch = epoch + CASE WHEN s.owner = $1 THEN 0 ELSE 1 END
			FROM clock WHERE s.id IN (SELECT id FROM mine UNION ALL SELECT id FROM free) RETURNING s.id, s.epoch)
		SELECT share, now, id, epoch FROM share CROSS JOIN clock LEFT JOIN renewed ON true ORDER BY id`
	releaseShards = `UPDATE shards SET owner = NULL, expires = 0 WHERE owner = $1 AND id = ANY ($2::int2[])`
	leaveShards   = `WITH gone AS (DELETE FROM nodes WHERE name = $1) UPDATE shards SET owner = NULL, expires = 0 WHERE owner = $1`
)

// RenewShards also measures how far the database's clock is ahead.
func (s *Store) RenewShards(ctx context.Context, node string) (own store.Ownership, err error) {
	var before, after, now time.Time
	err = s.again(ctx, func() error {
		own, before = store.Ownership{}, time.Now()
		rows, err := s.dispatch.Query(ctx, renewShards, node, store.ShardTTL.Milliseconds(), s.skewMillis())
		if err != nil {
			return err
		}
		var share, clock int64
		var id *int16
		var epoch *int64
		_, err = pgx.ForEachRow(rows, []any{&share, &clock, &id, &epoch}, func() error {
			own.Share, now = int(share), time.UnixMilli(clock-s.skewMillis())
			if id != nil {
				own.Shards, own.Epochs = append(own.Shards, store.Shard(*id)), append(own.Epochs, *epoch)
			}
			return nil
		})
		after = time.Now()
		return err
	})
	if err != nil {
		return store.Ownership{}, s.describe("renew shards", err)
	}
	s.offset.measured(before, after, now)
	return own, nil
}

// ReleaseShards frees some of node's shards.
func (s *Store) ReleaseShards(ctx context.Context, node string, shards []store.Shard) error {
	numbers := make([]int16, len(shards))
	for i, shard := range shards {
		numbers[i] = int16(shard)
	}
	_, err := s.dispatch.Exec(ctx, releaseShards, node, numbers)
	return s.describe("release shards", err)
}

// LeaveShards frees all of node's shards and ends its heartbeat.
func (s *Store) LeaveShards(ctx context.Context, node string) error {
	_, err := s.dispatch.Exec(ctx, leaveShards, node)
	return s.describe("leave shards", err)
}
