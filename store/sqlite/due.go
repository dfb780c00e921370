package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

const (
	// nextWaiting is one step of a loose index scan: the first row of the next endpoint that has any, by
	// queue_due(endpoint, next_at), whose next_at tells whether anything of that endpoint is due. A step costs about
	// 2 µs however many rows it passes over. The shard follows from the endpoint, and one process owns most shards of an
	// embedded store, so the index does not begin with it.
	nextWaiting = `SELECT endpoint, next_at FROM queue INDEXED BY queue_due WHERE endpoint > ? ORDER BY endpoint, next_at LIMIT 1`
	// dueOf reads the oldest due rows of one endpoint by queue_due, which is in their order.
	dueOf = `SELECT ` + queueColumns + ` FROM queue INDEXED BY queue_due WHERE endpoint = ? AND next_at <= ?
		ORDER BY next_at, event, replay LIMIT ?`
)

// Due steps from endpoint to endpoint, behind q.After first and then from the lowest.
func (s *Store) Due(ctx context.Context, q store.DueQuery) (rows []store.Queued, err error) {
	owned := ownedShards(q.Shards)
	if q.Limit <= 0 || len(q.Shards) == 0 {
		return nil, nil
	}
	err = s.read(ctx, func(c *conn) error {
		rows = nil
		turn := func(from, to store.EndpointID) error {
			for at := from; len(rows) < q.Limit; {
				next, first, found, err := waitingBehind(c, at)
				if err != nil || !found || to != 0 && next > to {
					return err
				}
				at = next
				if room := roomOf(&q, next); owned[next.Shard()] && room > 0 && !first.After(q.Now) {
					if rows, err = appendDue(c, rows, next, q.Now, min(room, q.Limit-len(rows))); err != nil {
						return err
					}
				}
			}
			return nil
		}
		if err := turn(q.After, 0); err != nil || q.After == 0 {
			return err
		}
		return turn(0, q.After)
	})
	if err != nil {
		return nil, fmt.Errorf("due deliveries: %w", err)
	}
	return rows, nil
}

func ownedShards(shards []store.Shard) (owned [store.Shards]bool) {
	for _, shard := range shards {
		owned[shard] = true
	}
	return owned
}

func roomOf(q *store.DueQuery, id store.EndpointID) int {
	if room, ok := q.Rooms[id]; ok {
		return room
	}
	return q.Room
}

// waitingBehind finds the next endpoint with queued rows and when its first is due.
func waitingBehind(c *conn, at store.EndpointID) (next store.EndpointID, first time.Time, found bool, err error) {
	found, err = c.prepare(nextWaiting).int(int64(at)).one(func(st *stmt) {
		next, first = store.EndpointID(st.readInt()), time.UnixMilli(st.readInt())
	})
	return next, first, found, err
}

func appendDue(c *conn, rows []store.Queued, id store.EndpointID, now time.Time, room int) ([]store.Queued, error) {
	st := c.prepare(dueOf).int(int64(id)).int(now.UnixMilli()).int(int64(room))
	for st.next() {
		rows = append(rows, readQueued(st))
	}
	return rows, st.end()
}

// depths reads what triggers of the queue count, and each endpoint's oldest row by the key.
const depths = `SELECT endpoint, rows, (SELECT event FROM queue WHERE endpoint = depths.endpoint ORDER BY event LIMIT 1)
	FROM depths WHERE rows > 0`

// Depths tells how much waits, endpoint by endpoint. It costs the same however much that is.
func (s *Store) Depths(ctx context.Context, shards []store.Shard) (map[store.EndpointID]store.Depth, error) {
	owned := ownedShards(shards)
	var out map[store.EndpointID]store.Depth
	err := s.read(ctx, func(c *conn) error {
		out = map[store.EndpointID]store.Depth{}
		st := c.prepare(depths)
		for st.next() {
			id, rows, oldest := store.EndpointID(st.readInt()), st.readInt(), event.ID(st.read16())
			if owned[id.Shard()] {
				out[id] = store.Depth{Rows: rows, Oldest: oldest.Time()}
			}
		}
		return st.end()
	})
	if err != nil {
		return nil, fmt.Errorf("depths of the queue: %w", err)
	}
	return out, nil
}
