package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/store"
)

const (
	// retryQueued and selectQueued use the key.
	retryQueued = `UPDATE queue SET next_at = max(?4, coalesce(held_until, 0)), reason = ?5 WHERE endpoint = ?1 AND event = ?2 AND replay = ?3`
	// nextReplay counts for the whole store, so that no two retries of one delivery meet.
	nextReplay    = `UPDATE counters SET value = value + 1 WHERE name = 'replay' RETURNING value`
	endpointState = `SELECT state FROM endpoints WHERE id = ?`
)

// RetryDelivery makes a queued delivery due, or queues a finished one again under a new id.
func (s *Store) RetryDelivery(ctx context.Context, id store.DeliveryID, now time.Time) (again store.DeliveryID, err error) {
	err = s.write(ctx, durable, 2, func(c *conn) error {
		again = id
		d, found, err := delivery(c, id)
		if err != nil {
			return err
		}
		if !found {
			return store.ErrNotFound
		}
		size, err := sendable(c, id)
		if err != nil {
			return err
		}
		if d.State == store.DeliveryQueued {
			st := c.prepare(retryQueued).int(int64(id.Endpoint)).blob(id.Event[:]).int(int64(id.Replay))
			return st.int(now.UnixMilli()).text(string(store.ReasonManual)).run()
		}
		if _, err := c.prepare(nextReplay).one(func(st *stmt) { again.Replay = uint32(st.readInt()) }); err != nil {
			return err
		}
		return putQueued(c, &store.Queued{ID: again, Size: size, NextAt: now, Reason: store.ReasonManual}, s.now())
	})
	if err != nil {
		return store.DeliveryID{}, fmt.Errorf("retry delivery %s: %w", id, err)
	}
	return again, nil
}

// sendable returns the size of the delivery's body, or ErrGone when it or the endpoint is there no more.
func sendable(c *conn, id store.DeliveryID) (size int, err error) {
	state := store.EndpointDeleted
	if _, err := c.prepare(endpointState).int(int64(id.Endpoint)).one(func(st *stmt) { state = store.EndpointState(st.readText()) }); err != nil {
		return 0, err
	}
	if state == store.EndpointDeleted {
		return 0, fmt.Errorf("endpoint deleted: %w", store.ErrGone)
	}
	found, err := findBody(c, selectBodySize, id.Event).one(func(st *stmt) { size = int(st.readInt()) })
	if err == nil && !found {
		err = fmt.Errorf("body past retention: %w", store.ErrGone)
	}
	return size, err
}
