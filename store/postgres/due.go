package postgres

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

const (
	// dueRows reads the oldest due rows of each endpoint by queue_due, which is in their order, beginning where the first
	// live one can be.
	dueRows = `SELECT ` + queueColumns + ` FROM unnest($1, $2, $3, $4) AS e (shard, endpoint, since, room)
		CROSS JOIN LATERAL (SELECT * FROM queue WHERE shard = e.shard AND endpoint = e.endpoint AND next_at >= e.since AND next_at <= $5
			ORDER BY shard, endpoint, next_at, event, replay LIMIT e.room) AS q
		LIMIT $6`
	// finishedOf names the partitions when it is planned, which a join would not.
	finishedOf = `SELECT event, endpoint, replay FROM deliveries WHERE event = ANY ($1)`
	// waiting steps from endpoint to endpoint (a loose index scan) within ranges of which none is known.
	waiting = `WITH RECURSIVE step (shard, endpoint, high) AS (
			SELECT g.shard, first.endpoint, g.high FROM unnest($1, $2, $3) AS g (shard, low, high)
			CROSS JOIN LATERAL (SELECT endpoint FROM queue WHERE shard = g.shard AND endpoint > g.low AND endpoint < g.high
				ORDER BY shard, endpoint LIMIT 1) AS first
		UNION ALL
			SELECT s.shard, next.endpoint, s.high FROM step s
			CROSS JOIN LATERAL (SELECT endpoint FROM queue WHERE shard = s.shard AND endpoint > s.endpoint AND endpoint < s.high
				ORDER BY shard, endpoint LIMIT 1) AS next
		) SELECT endpoint FROM step`
)

// Due asks for rows of the endpoints that are known to have some, and now and then which others do.
func (s *Store) Due(ctx context.Context, q store.DueQuery) ([]store.Queued, error) {
	if q.Limit <= 0 || len(q.Shards) == 0 {
		return nil, nil
	}
	if err := s.discover(ctx, q.Shards); err != nil {
		return nil, s.describe("endpoints with due deliveries", err)
	}
	owned := ownedShards(q.Shards)
	asks := s.heads.asks(&q, func(id store.EndpointID) bool { return owned[id.Shard()] })
	if len(asks) == 0 {
		return nil, nil
	}
	rows, err := s.dueOf(ctx, &q, asks)
	if err == nil {
		rows, err = s.unfinished(ctx, rows)
	}
	return rows, s.describe("due deliveries", err)
}

func ownedShards(shards []store.Shard) (owned [store.Shards]bool) {
	for _, shard := range shards {
		owned[shard] = true
	}
	return owned
}

// discover learns of endpoints whose rows other processes wrote.
func (s *Store) discover(ctx context.Context, shards []store.Shard) error {
	gaps := s.heads.gaps(shards, time.Now())
	if len(gaps) == 0 {
		return nil
	}
	n := len(gaps)
	in, low, high := int2s(n), int4s(n), int4s(n)
	for _, g := range gaps {
		in.int(int64(g.shard))
		low.int(int64(g.low))
		high.int(int64(g.high))
	}
	var found []store.EndpointID
	err := s.pipeline(ctx, s.dispatch, []statement{byIndex, over(waiting, in, low, high)}, func(n int, rows *pgconn.ResultReader) {
		found = nil
		for n > 0 && rows.NextRow() {
			found = append(found, store.EndpointID(readInt4(rows.Values()[0])))
		}
	})
	if err != nil {
		s.heads.forgetDiscovery()
		return err
	}
	s.heads.lower(found, 0)
	return nil
}

func (s *Store) dueOf(ctx context.Context, q *store.DueQuery, asks []ask) ([]store.Queued, error) {
	n := len(asks)
	shards, endpoints, since, rooms := int2s(n), int4s(n), int8s(n), int8s(n)
	place := make(map[store.EndpointID]int, n)
	for i, a := range asks {
		shards.int(int64(a.id.Shard()))
		endpoints.int(int64(a.id))
		since.int(a.from)
		rooms.int(int64(a.room))
		place[a.id] = i
	}
	now := min(s.toDatabase(q.Now), s.toDatabase(s.localNow()))
	st := over(dueRows, shards, endpoints, since, rooms).int8(s.toDatabase(q.Now)).int8(int64(q.Limit))
	var rows []store.Queued
	first := map[store.EndpointID]int64{}
	err := s.pipeline(ctx, s.dispatch, []statement{byIndex, st}, func(n int, result *pgconn.ResultReader) {
		if n == 0 {
			return
		}
		rows = nil
		clear(first)
		for result.NextRow() {
			v := result.Values()
			row := s.readQueued(v)
			at := readInt8(v[3])
			if have, ok := first[row.ID.Endpoint]; !ok || at < have {
				first[row.ID.Endpoint] = at
			}
			rows = append(rows, row)
		}
	})
	if err != nil {
		return nil, err
	}
	if len(rows) < q.Limit { // otherwise it was cut, and those without rows may have some
		for _, a := range asks {
			if _, ok := first[a.id]; !ok {
				first[a.id] = 0
			}
		}
	}
	s.heads.found(first, now)
	slices.SortStableFunc(rows, func(a, b store.Queued) int { return place[a.ID.Endpoint] - place[b.ID.Endpoint] })
	return rows, nil
}

// unfinished leaves out, and deletes, rows of deliveries that are finished: one process queued them and another one
// finished them at the same moment, and neither saw the other's row.
func (s *Store) unfinished(ctx context.Context, rows []store.Queued) ([]store.Queued, error) {
	if len(rows) == 0 {
		return rows, nil
	}
	events := uuids(len(rows))
	for i := range rows {
		events.id(rows[i].ID.Event)
	}
	var finished map[store.DeliveryID]bool
	err := s.pipeline(ctx, s.dispatch, []statement{byIndex, over(finishedOf, events)}, func(n int, result *pgconn.ResultReader) {
		finished = map[store.DeliveryID]bool{}
		for n > 0 && result.NextRow() {
			finished[readDeliveryID(result.Values())] = true
		}
	})
	if err != nil {
		return nil, err
	}
	var stale []store.DeliveryID
	open := slices.DeleteFunc(rows, func(q store.Queued) bool {
		if finished[q.ID] {
			stale = append(stale, q.ID)
		}
		return finished[q.ID]
	})
	if len(stale) == 0 {
		return open, nil
	}
	return open, s.unqueue(ctx, stale)
}

// unqueue deletes rows of the queue.
func (s *Store) unqueue(ctx context.Context, ids []store.DeliveryID) error {
	slices.SortFunc(ids, func(a, b store.DeliveryID) int { return compareDeliveries(&a, &b) })
	key := newKeys(len(ids))
	for _, id := range ids {
		key.add(id)
	}
	return s.pipeline(ctx, s.dispatch, []statement{byIndex, over(deleteQueued, key.events, key.endpoints, key.replays)}, nil)
}

// depths counts all rows of some shards. Text makes ids comparable: PostgreSQL has no min of a uuid before version 18.
const depths = `SELECT endpoint, count(*), min(event::text COLLATE "C"), min(next_at) FROM queue WHERE shard = ANY ($1::int2[]) GROUP BY endpoint`

// Depths counts the queue, and with that finds rows that became visible too late for Due.
func (s *Store) Depths(ctx context.Context, shards []store.Shard) (map[store.EndpointID]store.Depth, error) {
	numbers := make([]int16, len(shards))
	for i, shard := range shards {
		numbers[i] = int16(shard)
	}
	out := map[store.EndpointID]store.Depth{}
	first := map[store.EndpointID]int64{}
	rows, err := s.dispatch.Query(ctx, depths, numbers)
	if err != nil {
		return nil, s.describe("depths of the queue", err)
	}
	var endpoint int32
	var count, next int64
	var oldest string
	_, err = pgx.ForEachRow(rows, []any{&endpoint, &count, &oldest, &next}, func() error {
		id, err := parseUUID(oldest)
		if err != nil {
			return err
		}
		out[store.EndpointID(endpoint)] = store.Depth{Rows: count, Oldest: id.Time()}
		first[store.EndpointID(endpoint)] = next
		return nil
	})
	if err != nil {
		return nil, s.describe("depths of the queue", err)
	}
	s.heads.counted(first)
	return out, nil
}

// parseUUID reads a uuid as PostgreSQL writes it.
func parseUUID(text string) (id event.ID, err error) {
	b := strings.ReplaceAll(text, "-", "")
	if len(b) != 2*len(id) {
		return id, errors.New("not a uuid")
	}
	_, err = hex.Decode(id[:], []byte(b))
	return id, err
}
