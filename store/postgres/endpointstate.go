package postgres

import (
	"context"
	"fmt"

	"github.com/sluicehq/sluice/store"
)

// DeleteEndpoint leaves a tombstone, which the history names, and removes the gate.
func (s *Store) DeleteEndpoint(ctx context.Context, id store.EndpointID) error {
	err := s.configure(ctx, func(change *edit) error {
		e, err := s.living(ctx, change, id)
		if err != nil {
			return err
		}
		if e.ManagedBy == store.ManagedByFile {
			return store.ErrManaged
		}
		return s.buryEndpoint(ctx, change, &e)
	})
	return s.describe(fmt.Sprintf("delete endpoint %s", id), err)
}

// buryEndpoint makes an endpoint a tombstone.
func (s *Store) buryEndpoint(ctx context.Context, change *edit, e *store.Endpoint) error {
	if err := change.begin(ctx); err != nil {
		return err
	}
	e.State, e.StateReason, e.StateSince = store.EndpointDeleted, "", change.now
	if err := s.updateEndpoint(ctx, change, e); err != nil {
		return err
	}
	return change.run(ctx, deleteGate, int64(e.ID))
}

// restartedGate is restartGate, and says since when.
const restartedGate = restartGate + ` RETURNING not_before`

// SetEndpointState pauses, disables, resumes or enables an endpoint.
func (s *Store) SetEndpointState(ctx context.Context, id store.EndpointID, state store.EndpointState, reason string) (e store.Endpoint, err error) {
	what := fmt.Sprintf("set endpoint %s %.32q", id, state)
	switch state {
	case store.EndpointActive, store.EndpointPaused, store.EndpointDisabled:
	default:
		return store.Endpoint{}, fmt.Errorf("%s: no such state: %w", what, store.ErrData)
	}
	err = s.configure(ctx, func(change *edit) (err error) {
		if e, err = s.living(ctx, change, id); err != nil || e.State == state {
			return err
		}
		if err := change.begin(ctx); err != nil {
			return err
		}
		e.State, e.StateReason, e.StateSince = state, reason, change.now
		if state == store.EndpointActive { // a probe first, and nothing held against it from before
			var since int64
			if err := change.tx.QueryRow(ctx, restartedGate, int64(id), change.skew).Scan(&since); err != nil {
				return err
			}
			e.StateSince = millis(since)
		}
		return s.updateEndpoint(ctx, change, &e)
	})
	if err != nil {
		return store.Endpoint{}, s.describe(what, err)
	}
	return e, nil
}

// living reads an endpoint that is not deleted.
func (s *Store) living(ctx context.Context, change *edit, id store.EndpointID) (store.Endpoint, error) {
	e, err := s.endpoint(ctx, change.tx, selectEndpoint, int64(id))
	if err == nil && e.State == store.EndpointDeleted {
		err = store.ErrNotFound
	}
	return e, err
}
