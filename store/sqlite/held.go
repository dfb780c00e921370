package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// heldOf reads by queue_due(endpoint, next_at): a row is never due before it is let go, so of the others only those that
// are due within the time that rows are held are passed over.
const heldOf = `SELECT event, replay FROM queue INDEXED BY queue_due WHERE endpoint = ?1 AND next_at > ?2 AND next_at <= ?3 AND held_until > ?2`

// Held looks endpoint by endpoint.
func (s *Store) Held(ctx context.Context, endpoints []store.EndpointID, now time.Time) (held []store.DeliveryID, err error) {
	err = s.read(ctx, func(c *conn) error {
		held = nil
		for _, id := range endpoints {
			st := c.prepare(heldOf).int(int64(id)).int(now.UnixMilli()).int(now.Add(store.MaxHeld).UnixMilli())
			for st.next() {
				held = append(held, store.DeliveryID{Event: event.ID(st.read16()), Endpoint: id, Replay: uint32(st.readInt())})
			}
			if err := st.end(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("held deliveries: %w", err)
	}
	return held, nil
}
