package sqlite

import (
	"context"
	"fmt"

	"github.com/sluicehq/sluice/store"
)

// DeleteEndpoint leaves a tombstone, which the history names, and removes the gate.
func (s *Store) DeleteEndpoint(ctx context.Context, id store.EndpointID) error {
	err := s.configure(ctx, func(change *edit) error {
		e, err := s.living(change.conn, id)
		if err != nil {
			return err
		}
		if e.ManagedBy == store.ManagedByFile {
			return store.ErrManaged
		}
		return s.buryEndpoint(change, &e)
	})
	if err != nil {
		return fmt.Errorf("delete endpoint %s: %w", id, err)
	}
	return nil
}

// buryEndpoint makes an endpoint a tombstone.
func (s *Store) buryEndpoint(change *edit, e *store.Endpoint) error {
	e.State, e.StateReason, e.StateSince = store.EndpointDeleted, "", change.now
	if err := s.updateEndpoint(change, e); err != nil {
		return err
	}
	return change.conn.prepare(deleteGate).int(int64(e.ID)).run()
}

// SetEndpointState pauses, disables, resumes or enables an endpoint.
func (s *Store) SetEndpointState(ctx context.Context, id store.EndpointID, state store.EndpointState, reason string) (e store.Endpoint, err error) {
	err = s.configure(ctx, func(change *edit) (err error) {
		switch state {
		case store.EndpointActive, store.EndpointPaused, store.EndpointDisabled:
		default:
			return fmt.Errorf("no state %.32q: %w", state, store.ErrData)
		}
		if e, err = s.living(change.conn, id); err != nil || e.State == state {
			return err
		}
		e.State, e.StateReason, e.StateSince = state, reason, change.now
		if err := s.updateEndpoint(change, &e); err != nil || state != store.EndpointActive {
			return err
		}
		g, err := gate(change.conn, id)
		if err != nil {
			return err
		}
		// A probe first, and nothing held against it from before.
		return putGate(change.conn, &store.Gate{
			Endpoint: id, State: store.GateClosed, NotBefore: change.now, Version: g.Version + 1, ChangedAt: change.now,
		})
	})
	if err != nil {
		return store.Endpoint{}, fmt.Errorf("set endpoint %s %s: %w", id, state, err)
	}
	return e, nil
}

// living reads an endpoint that is not deleted.
func (s *Store) living(c *conn, id store.EndpointID) (store.Endpoint, error) {
	e, err := s.endpoint(c.prepare(selectEndpoint).int(int64(id)))
	if err == nil && e.State == store.EndpointDeleted {
		err = store.ErrNotFound
	}
	return e, err
}
