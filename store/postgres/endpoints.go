package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/atrest"
)

const endpointColumns = `id, tenant, name, spec, sealed, state, coalesce(state_reason, ''), state_since, managed_by, created_at, updated_at`

// eachEndpoint reads endpointColumns and opens the secrets.
func (s *Store) eachEndpoint(ctx context.Context, tx pgx.Tx, take func(store.Endpoint), text string, args ...any) error {
	rows, err := tx.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	var id int32
	var e store.Endpoint
	var spec, sealed []byte
	var stateSince, createdAt, updatedAt int64
	_, err = pgx.ForEachRow(rows, []any{
		&id, &e.Tenant, &e.Name, &spec, &sealed, &e.State, &e.StateReason, &stateSince, &e.ManagedBy, &createdAt, &updatedAt,
	}, func() error {
		found := e
		found.ID, found.StateSince = store.EndpointID(id), millis(stateSince)
		found.CreatedAt, found.UpdatedAt = millis(createdAt), millis(updatedAt)
		if err := atrest.DecodeEndpoint(s.sealer, spec, sealed, &found); err != nil {
			return err
		}
		take(found)
		return nil
	})
	return err
}

// endpoint reads the one endpoint that a statement finds; ErrNotFound if there is none.
func (s *Store) endpoint(ctx context.Context, tx pgx.Tx, text string, args ...any) (e store.Endpoint, err error) {
	missing := store.ErrNotFound
	err = s.eachEndpoint(ctx, tx, func(found store.Endpoint) { e, missing = found, nil }, text, args...)
	if err != nil {
		return e, err
	}
	return e, missing
}

const (
	// listEndpoints goes up the key; a tenant's are filtered.
	listEndpoints = `SELECT ` + endpointColumns + ` FROM endpoints WHERE id > $1::bigint AND state <> 'deleted' AND ($2 = '' OR tenant = $2) ORDER BY id LIMIT $3`
	// selectEndpoint uses the key.
	selectEndpoint = `SELECT ` + endpointColumns + ` FROM endpoints WHERE id = $1::bigint`
	// changedSinceEndpoints uses endpoints_version.
	changedSinceEndpoints = `SELECT ` + endpointColumns + ` FROM endpoints WHERE version > $1 ORDER BY id`
	// nextEndpoint comes first: what is sealed is bound to the number.
	nextEndpoint   = `SELECT nextval(pg_get_serial_sequence('endpoints', 'id'))::integer`
	insertEndpoint = `INSERT INTO endpoints (id, tenant, name, spec, sealed, state, state_since, managed_by, created_at, updated_at, version)
		OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7, $7, $9)`
	updateEndpoint = `UPDATE endpoints SET spec = $2, sealed = $3, state = $4, state_reason = nullif($5, ''), state_since = $6,
		managed_by = $7, updated_at = $8, version = $9 WHERE id = $1`
)

// ListEndpoints lists endpoints by id.
func (s *Store) ListEndpoints(ctx context.Context, tenant string, after store.EndpointID, limit int) (endpoints []store.Endpoint, err error) {
	err = s.read(ctx, func(tx pgx.Tx) error {
		endpoints = nil
		take := func(e store.Endpoint) { endpoints = append(endpoints, e) }
		return s.eachEndpoint(ctx, tx, take, listEndpoints, int64(after), tenant, max(limit, 0))
	})
	if err != nil {
		return nil, s.describe("list endpoints", err)
	}
	return endpoints, nil
}

func (s *Store) changedEndpoints(ctx context.Context, tx pgx.Tx, since int64, ch *store.Changes) error {
	return s.eachEndpoint(ctx, tx, func(e store.Endpoint) {
		switch {
		case e.State != store.EndpointDeleted:
			ch.Endpoints = append(ch.Endpoints, e)
		case !ch.Full:
			ch.DeletedEndpoints = append(ch.DeletedEndpoints, e.ID)
		}
	}, changedSinceEndpoints, since)
}

// GetEndpoint returns one endpoint, a deleted one too.
func (s *Store) GetEndpoint(ctx context.Context, id store.EndpointID) (e store.Endpoint, err error) {
	err = s.read(ctx, func(tx pgx.Tx) error {
		e, err = s.endpoint(ctx, tx, selectEndpoint, int64(id))
		return err
	})
	if err != nil {
		return store.Endpoint{}, s.describe(fmt.Sprintf("endpoint %s", id), err)
	}
	return e, nil
}

// CreateEndpoint stores a new endpoint and its gate.
func (s *Store) CreateEndpoint(ctx context.Context, e store.Endpoint) (made store.Endpoint, err error) {
	err = s.configure(ctx, func(change *edit) error {
		made = e
		if made.ManagedBy == "" {
			made.ManagedBy = store.ManagedByAPI
		}
		return s.insertEndpoint(ctx, change, &made)
	})
	if err != nil {
		return store.Endpoint{}, s.describe(fmt.Sprintf("create endpoint %q", e.Name), err)
	}
	return made, nil
}

// insertEndpoint stores an endpoint with its gate and sets its ID, State and times.
func (s *Store) insertEndpoint(ctx context.Context, change *edit, e *store.Endpoint) error {
	id, err := change.number(ctx, nextEndpoint)
	if err != nil {
		return err
	}
	e.ID, e.CreatedAt, e.UpdatedAt = store.EndpointID(id), change.now, change.now
	e.State, e.StateReason, e.StateSince = store.EndpointActive, "", change.now
	spec, sealed, err := atrest.EncodeEndpoint(s.sealer, e)
	if err != nil {
		return err
	}
	err = change.insert(ctx, insertEndpoint, id, e.Tenant, e.Name, spec, sealed, string(e.State), change.now.UnixMilli(),
		string(e.ManagedBy), change.version)
	if err != nil {
		return err
	}
	return change.run(ctx, insertGate, id, change.skew)
}

// updateEndpoint writes everything but tenant, name and creation, and sets UpdatedAt.
func (s *Store) updateEndpoint(ctx context.Context, change *edit, e *store.Endpoint) error {
	if err := change.begin(ctx); err != nil {
		return err
	}
	e.UpdatedAt = change.now
	spec, sealed, err := atrest.EncodeEndpoint(s.sealer, e)
	if err != nil {
		return err
	}
	return change.run(ctx, updateEndpoint, int64(e.ID), spec, sealed, string(e.State), e.StateReason, e.StateSince.UnixMilli(),
		string(e.ManagedBy), change.now.UnixMilli(), change.version)
}
