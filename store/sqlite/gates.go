package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/store"
)

const gateColumns = `endpoint, state, not_before, opens, failing_since, version, changed_at`

// readGate reads gateColumns.
func readGate(st *stmt) store.Gate {
	return store.Gate{
		Endpoint: store.EndpointID(st.readInt()), State: store.GateState(st.readText()), NotBefore: st.readTime(), Opens: int(st.readInt()),
		FailingSince: st.readTime(), Version: st.readInt(), ChangedAt: st.readTime(),
	}
}

const (
	// upsertGate, selectGate and deleteGate use the key.
	upsertGate = `INSERT INTO gates (` + gateColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (endpoint) DO UPDATE SET
		state = excluded.state, not_before = excluded.not_before, opens = excluded.opens, failing_since = excluded.failing_since,
		version = excluded.version, changed_at = excluded.changed_at`
	selectGate = `SELECT ` + gateColumns + ` FROM gates WHERE endpoint = ?`
	deleteGate = `DELETE FROM gates WHERE endpoint = ?`
	// changedGates uses gates_changed_at: it is asked once a second for the last 30 s.
	changedGates = `SELECT ` + gateColumns + ` FROM gates INDEXED BY gates_changed_at WHERE changed_at >= ?`
	// unusualGates reads all of the table, once at the start of a process.
	unusualGates = `SELECT ` + gateColumns + ` FROM gates WHERE state <> 'open' OR failing_since IS NOT NULL`
)

// ListGates returns gates that changed since, or all that are not open and unfailing.
func (s *Store) ListGates(ctx context.Context, since time.Time) (gates []store.Gate, err error) {
	err = s.read(ctx, func(c *conn) error {
		gates = nil
		st := c.prepare(unusualGates)
		if !since.IsZero() {
			st = c.prepare(changedGates).int(since.UnixMilli())
		}
		for st.next() {
			gates = append(gates, readGate(st))
		}
		return st.end()
	})
	if err != nil {
		return nil, fmt.Errorf("list gates: %w", err)
	}
	return gates, nil
}

// GetGate returns an endpoint's gate.
func (s *Store) GetGate(ctx context.Context, id store.EndpointID) (g store.Gate, err error) {
	err = s.read(ctx, func(c *conn) error {
		g, err = gate(c, id)
		return err
	})
	if err != nil {
		return store.Gate{}, fmt.Errorf("gate of endpoint %s: %w", id, err)
	}
	return g, nil
}

// SetGate compares the version and writes.
func (s *Store) SetGate(ctx context.Context, g store.Gate) (set store.Gate, err error) {
	err = s.write(ctx, durable, 1, func(c *conn) error {
		if g.State != store.GateOpen && g.State != store.GateClosed {
			return fmt.Errorf("no state %.32q: %w", g.State, store.ErrData)
		}
		have, err := gate(c, g.Endpoint)
		if err != nil {
			return err
		}
		if have.Version != g.Version {
			return store.ErrConflict
		}
		set = g
		set.NotBefore, set.FailingSince = wholeMillis(g.NotBefore), wholeMillis(g.FailingSince)
		set.Version, set.ChangedAt = g.Version+1, s.now()
		return putGate(c, &set)
	})
	if err != nil {
		return store.Gate{}, fmt.Errorf("set gate of endpoint %s: %w", g.Endpoint, err)
	}
	return set, nil
}

// wholeMillis makes a time what the row will say.
func wholeMillis(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Millisecond)
}

func gate(c *conn, id store.EndpointID) (g store.Gate, err error) {
	found, err := c.prepare(selectGate).int(int64(id)).one(func(st *stmt) { g = readGate(st) })
	if err == nil && !found {
		err = store.ErrNotFound
	}
	return g, err
}

func putGate(c *conn, g *store.Gate) error {
	st := c.prepare(upsertGate).int(int64(g.Endpoint)).string(string(g.State)).time(g.NotBefore).int(int64(g.Opens))
	return st.time(g.FailingSince).int(g.Version).int(g.ChangedAt.UnixMilli()).run()
}
