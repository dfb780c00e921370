package sqlite

import (
	"context"
	"fmt"

	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/atrest"
)

const endpointColumns = `id, tenant, name, spec, sealed, state, state_reason, state_since, managed_by, created_at, updated_at`

// readEndpoint reads endpointColumns and opens the secrets.
func (s *Store) readEndpoint(st *stmt) (e store.Endpoint, err error) {
	e.ID = store.EndpointID(st.readInt())
	e.Tenant, e.Name = st.readText(), st.readText()
	spec, sealed := st.readBlob(), st.readBlob()
	e.State, e.StateReason, e.StateSince = store.EndpointState(st.readText()), st.readText(), st.readTime()
	e.ManagedBy, e.CreatedAt, e.UpdatedAt = store.ManagedBy(st.readText()), st.readTime(), st.readTime()
	err = atrest.DecodeEndpoint(s.sealer, spec, sealed, &e)
	return e, err
}

const (
	// listEndpoints goes up the key; a tenant's are filtered.
	listEndpoints = `SELECT ` + endpointColumns + ` FROM endpoints WHERE id > ?1 AND state <> 'deleted' AND (?2 IS NULL OR tenant = ?2) ORDER BY id LIMIT ?3`
	// selectEndpoint uses the key.
	selectEndpoint = `SELECT ` + endpointColumns + ` FROM endpoints WHERE id = ?`
	// namedEndpoint uses endpoints_name.
	namedEndpoint = `SELECT ` + endpointColumns + ` FROM endpoints WHERE tenant = ? AND name = ? AND state <> 'deleted'`
	// changedSinceEndpoints uses endpoints_version.
	changedSinceEndpoints = `SELECT ` + endpointColumns + ` FROM endpoints INDEXED BY endpoints_version WHERE version > ? ORDER BY id`
	// insertEndpoint makes the row: what is sealed is bound to its number.
	insertEndpoint = `INSERT INTO endpoints (tenant, name, spec, state, state_since, managed_by, created_at, updated_at, version)
		VALUES (?, ?, '', '', 0, '', 0, 0, 0)`
	updateEndpoint = `UPDATE endpoints SET spec = ?, sealed = ?, state = ?, state_reason = ?, state_since = ?, managed_by = ?,
		created_at = ?, updated_at = ?, version = ? WHERE id = ?`
)

// ListEndpoints lists endpoints by id.
func (s *Store) ListEndpoints(ctx context.Context, tenant string, after store.EndpointID, limit int) (endpoints []store.Endpoint, err error) {
	err = s.read(ctx, func(c *conn) error {
		endpoints = nil
		return s.eachEndpoint(c.prepare(listEndpoints).int(int64(after)).text(tenant).int(int64(max(limit, 0))), func(e store.Endpoint) {
			endpoints = append(endpoints, e)
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list endpoints: %w", err)
	}
	return endpoints, nil
}

func (s *Store) eachEndpoint(st *stmt, take func(store.Endpoint)) error {
	for st.next() {
		e, err := s.readEndpoint(st)
		if err != nil {
			st.err = err
			break
		}
		take(e)
	}
	return st.end()
}

func (s *Store) changedEndpoints(c *conn, since int64, ch *store.Changes) error {
	return s.eachEndpoint(c.prepare(changedSinceEndpoints).int(since), func(e store.Endpoint) {
		switch {
		case e.State != store.EndpointDeleted:
			ch.Endpoints = append(ch.Endpoints, e)
		case !ch.Full:
			ch.DeletedEndpoints = append(ch.DeletedEndpoints, e.ID)
		}
	})
}

// endpoint reads the one endpoint that st finds; ErrNotFound if there is none.
func (s *Store) endpoint(st *stmt) (e store.Endpoint, err error) {
	err = store.ErrNotFound
	each := s.eachEndpoint(st, func(found store.Endpoint) { e, err = found, nil })
	if each != nil {
		return e, each
	}
	return e, err
}

// GetEndpoint returns one endpoint, a deleted one too.
func (s *Store) GetEndpoint(ctx context.Context, id store.EndpointID) (e store.Endpoint, err error) {
	err = s.read(ctx, func(c *conn) error {
		e, err = s.endpoint(c.prepare(selectEndpoint).int(int64(id)))
		return err
	})
	if err != nil {
		return store.Endpoint{}, fmt.Errorf("endpoint %s: %w", id, err)
	}
	return e, nil
}

// CreateEndpoint stores a new endpoint and its gate.
func (s *Store) CreateEndpoint(ctx context.Context, e store.Endpoint) (store.Endpoint, error) {
	var made store.Endpoint
	err := s.configure(ctx, func(change *edit) error {
		made = e
		if made.ManagedBy == "" {
			made.ManagedBy = store.ManagedByAPI
		}
		return s.insertEndpoint(change, &made)
	})
	if err != nil {
		return store.Endpoint{}, fmt.Errorf("create endpoint %q: %w", e.Name, err)
	}
	return made, nil
}

// insertEndpoint stores an endpoint with its gate and sets its ID, State and times.
func (s *Store) insertEndpoint(change *edit, e *store.Endpoint) error {
	c := change.conn
	taken, err := c.prepare(namedEndpoint).string(e.Tenant).string(e.Name).one(func(*stmt) {})
	if err != nil {
		return err
	}
	if taken {
		return store.ErrExists
	}
	if err := c.prepare(insertEndpoint).string(e.Tenant).string(e.Name).run(); err != nil {
		return err
	}
	e.ID, e.CreatedAt = store.EndpointID(c.lastRowid()), change.now
	e.State, e.StateReason, e.StateSince = store.EndpointActive, "", change.now
	if err := putGate(c, &store.Gate{Endpoint: e.ID, State: store.GateOpen, Version: 1, ChangedAt: change.now}); err != nil {
		return err
	}
	return s.updateEndpoint(change, e)
}

// updateEndpoint writes everything but tenant and name, and sets UpdatedAt.
func (s *Store) updateEndpoint(change *edit, e *store.Endpoint) error {
	version, err := change.next()
	if err != nil {
		return err
	}
	e.UpdatedAt = change.now
	spec, sealed, err := atrest.EncodeEndpoint(s.sealer, e)
	if err != nil {
		return err
	}
	st := change.conn.prepare(updateEndpoint).string(string(spec))
	if sealed == nil {
		st.null()
	} else {
		st.blob(sealed)
	}
	st.string(string(e.State)).text(e.StateReason).time(e.StateSince).string(string(e.ManagedBy))
	return st.time(e.CreatedAt).time(e.UpdatedAt).int(version).int(int64(e.ID)).run()
}
