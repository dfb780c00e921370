package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluicehq/sluice/store"
)

const gateColumns = `endpoint, state, not_before, opens, failing_since, version, changed_at`

const (
	// changedGates uses gates_changed_at: it is asked once a second for the last 30 s.
	changedGates = `SELECT ` + gateColumns + ` FROM gates WHERE changed_at >= $1`
	// unusualGates reads all of the table, once at the start of a process.
	unusualGates = `SELECT ` + gateColumns + ` FROM gates WHERE state <> 'open' OR failing_since > 0`
	selectGate   = `SELECT ` + gateColumns + ` FROM gates WHERE endpoint = $1`
	compareGate  = `UPDATE gates SET state = $3, not_before = $4, opens = $5, failing_since = $6, version = version + 1,
		changed_at = ` + dbNow + ` + $7::bigint WHERE endpoint = $1 AND version = $2 RETURNING ` + gateColumns
	insertGate = `INSERT INTO gates (endpoint, state, not_before, opens, failing_since, version, changed_at)
		VALUES ($1, 'open', 0, 0, 0, 1, ` + dbNow + ` + $2::bigint)`
	// restartGate closes an endpoint's gate without a wait, so that it begins with a probe.
	restartGate = `UPDATE gates SET state = 'closed', not_before = ` + dbNow + ` + $2::bigint, opens = 0, failing_since = 0,
		version = version + 1, changed_at = ` + dbNow + ` + $2::bigint WHERE endpoint = $1`
	deleteGate = `DELETE FROM gates WHERE endpoint = $1`
)

// scanGate reads gateColumns. Times of gates are the database's; see toDatabase.
func (s *Store) scanGate(row pgx.CollectableRow) (g store.Gate, err error) {
	var endpoint int32
	var state string
	var notBefore, failingSince, changedAt int64
	if err := row.Scan(&endpoint, &state, &notBefore, &g.Opens, &failingSince, &g.Version, &changedAt); err != nil {
		return g, err
	}
	g.Endpoint, g.State = store.EndpointID(endpoint), store.GateState(state)
	g.NotBefore, g.FailingSince, g.ChangedAt = s.fromDatabase(notBefore), s.fromDatabase(failingSince), millis(changedAt)
	return g, nil
}

// ListGates returns gates that changed since, or all that are not open and unfailing.
func (s *Store) ListGates(ctx context.Context, since time.Time) ([]store.Gate, error) {
	text, args := unusualGates, []any{}
	if !since.IsZero() {
		text, args = changedGates, []any{s.toDatabase(since)}
	}
	rows, err := s.dispatch.Query(ctx, text, args...)
	if err != nil {
		return nil, s.describe("list gates", err)
	}
	gates, err := pgx.CollectRows(rows, s.scanGate)
	return gates, s.describe("list gates", err)
}

// GetGate returns an endpoint's gate.
func (s *Store) GetGate(ctx context.Context, id store.EndpointID) (store.Gate, error) {
	g, err := s.gate(ctx, selectGate, int32(id))
	return g, s.describe(fmt.Sprintf("gate of endpoint %s", id), err)
}

func (s *Store) gate(ctx context.Context, text string, args ...any) (store.Gate, error) {
	rows, err := s.dispatch.Query(ctx, text, args...)
	if err != nil {
		return store.Gate{}, err
	}
	return pgx.CollectExactlyOneRow(rows, s.scanGate)
}

// SetGate compares the version and writes. When its answer is lost, the row tells whether it wrote: nobody else writes
// the same gate with the next version.
func (s *Store) SetGate(ctx context.Context, g store.Gate) (set store.Gate, err error) {
	what := fmt.Sprintf("set gate of endpoint %s", g.Endpoint)
	if g.State != store.GateOpen && g.State != store.GateClosed {
		return store.Gate{}, fmt.Errorf("%s: no state %.32q: %w", what, g.State, store.ErrData)
	}
	err = s.transact(ctx, s.dispatch, pgx.TxOptions{}, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, compareGate, int32(g.Endpoint), g.Version, string(g.State), s.toDatabase(g.NotBefore), g.Opens,
			s.toDatabase(g.FailingSince), s.skewMillis())
		if err != nil {
			return err
		}
		set, err = pgx.CollectExactlyOneRow(rows, s.scanGate)
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		var there bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM gates WHERE endpoint = $1)`, int32(g.Endpoint)).Scan(&there); err != nil {
			return err
		}
		if there {
			return store.ErrConflict
		}
		return store.ErrNotFound
	})
	if err != nil {
		return store.Gate{}, s.describe(what, err)
	}
	return set, nil
}
