package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluicehq/sluice/store"
)

const (
	// retryQueued makes a row due by the database's clock, so that it lies where Due looks; what is asked for later is later.
	retryQueued = `UPDATE queue SET next_at = greatest($4::bigint, held_until, ` + dbNow + ` + $5::bigint), reason = $6::int2
		WHERE event = $1::uuid AND endpoint = $2 AND replay = $3`
	// nextReplay counts for the whole store, so that no two retries of one delivery meet.
	nextReplay = `UPDATE counters SET value = value + 1 WHERE name = 'replay' RETURNING value`
	// lockQueued keeps the row in the queue, or waits until who is ending it has.
	lockQueued = `SELECT FROM queue WHERE event = $1::uuid AND endpoint = $2 AND replay = $3 FOR UPDATE`
)

// RetryDelivery makes a queued delivery due, or queues a finished one again under a new id.
func (s *Store) RetryDelivery(ctx context.Context, id store.DeliveryID, now time.Time) (again store.DeliveryID, err error) {
	began := s.toDatabase(s.localNow())
	err = s.write(ctx, func(tx pgx.Tx) error {
		again = id
		key := []any{id.Event, int32(id.Endpoint), int32(id.Replay)}
		if _, err := tx.Exec(ctx, lockQueued, key...); err != nil {
			return err
		}
		d, err := s.delivery(ctx, tx, id)
		if err != nil {
			return err
		}
		size, err := sendable(ctx, tx, id)
		if err != nil {
			return err
		}
		if d.State == store.DeliveryQueued {
			reason, err := reasonNumber(store.ReasonManual)
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, retryQueued, append(key, s.toDatabase(now), s.skewMillis(), reason)...)
			return err
		}
		var replay int64
		if err := tx.QueryRow(ctx, nextReplay).Scan(&replay); err != nil {
			return err
		}
		again.Replay = uint32(replay)
		st, err := s.putQueued(insertQueue, []*store.Queued{{ID: again, Size: size, NextAt: now, Reason: store.ReasonManual}})
		if err != nil {
			return err
		}
		return execute(ctx, tx, st)
	})
	if err != nil {
		return store.DeliveryID{}, s.describe(fmt.Sprintf("retry delivery %s", id), err)
	}
	s.heads.lower([]store.EndpointID{id.Endpoint}, began)
	return again, nil
}

// sendable returns the size of the delivery's body, or ErrGone when it or the endpoint is there no more.
func sendable(ctx context.Context, tx pgx.Tx, id store.DeliveryID) (size int, err error) {
	var state string
	err = tx.QueryRow(ctx, `SELECT state FROM endpoints WHERE id = $1`, int32(id.Endpoint)).Scan(&state)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && state == string(store.EndpointDeleted) {
		return 0, fmt.Errorf("endpoint deleted: %w", store.ErrGone)
	}
	if err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, `SELECT length(body) FROM bodies WHERE event = $1::uuid`, id.Event).Scan(&size)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("body past retention: %w", store.ErrGone)
	}
	return size, err
}
