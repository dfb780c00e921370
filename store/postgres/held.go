package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sluicehq/sluice/store"
)

// heldRows reads by queue_due: a row is never due before it is let go, so of the others only those that are due within
// the time that rows are held are passed over.
const heldRows = `SELECT q.event, q.endpoint, q.replay FROM unnest($1, $2) AS e (shard, endpoint)
	CROSS JOIN LATERAL (SELECT event, endpoint, replay FROM queue
		WHERE shard = e.shard AND endpoint = e.endpoint AND next_at > $3 AND next_at <= $4 AND held_until > $3) AS q`

// Held looks endpoint by endpoint.
func (s *Store) Held(ctx context.Context, endpoints []store.EndpointID, now time.Time) (held []store.DeliveryID, err error) {
	if len(endpoints) == 0 {
		return nil, nil
	}
	shards, ids := int2s(len(endpoints)), int4s(len(endpoints))
	for _, id := range endpoints {
		shards.int(int64(id.Shard()))
		ids.int(int64(id))
	}
	st := over(heldRows, shards, ids).int8(s.toDatabase(now)).int8(s.toDatabase(now.Add(store.MaxHeld)))
	err = s.pipeline(ctx, s.dispatch, []statement{byIndex, st}, func(n int, rows *pgconn.ResultReader) {
		held = nil
		for n > 0 && rows.NextRow() {
			held = append(held, readDeliveryID(rows.Values()))
		}
	})
	if err != nil {
		return nil, s.describe("held deliveries", err)
	}
	return held, nil
}
