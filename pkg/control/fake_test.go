package control

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

var errDown = errors.New("disk on fire at /secret/path")

// memory is a Store in memory that can be down, or hang until the request's context ends.
type memory struct {
	Store // what the API does not call

	mu         sync.Mutex
	down, hang bool
	now        time.Time
	nextID     uint32
	sources    []store.Source
	endpoints  []store.Endpoint
	events     []store.RecordedEvent
	bodies     map[event.ID]string // missing: no longer kept
	deliveries []store.Delivery
	attempts   map[store.DeliveryID][]store.Attempt
	quarantine []store.NumberedQuarantined
	batches    []int // limits of ListQuarantine
}

// enter takes the lock, unless the store is down.
func (m *memory) enter(ctx context.Context) error {
	m.mu.Lock()
	hang := m.hang
	m.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	m.mu.Lock()
	if m.down {
		m.mu.Unlock()
		return errDown
	}
	return nil
}

func list[T any](all []T, limit int, keep func(*T) bool) (out []T) {
	for i := range all {
		if keep(&all[i]) && len(out) < limit {
			out = append(out, all[i])
		}
	}
	return out
}

func find1[T any](all []T, is func(*T) bool) (*T, error) {
	for i := range all {
		if is(&all[i]) {
			return &all[i], nil
		}
	}
	return nil, store.ErrNotFound
}

func (m *memory) ListSources(ctx context.Context, tenant string, after store.SourceID, limit int) ([]store.Source, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	return list(m.sources, limit, func(s *store.Source) bool { return s.ID > after && (tenant == "" || s.Tenant == tenant) }), nil
}

func (m *memory) GetSource(ctx context.Context, id store.SourceID) (store.Source, error) {
	if err := m.enter(ctx); err != nil {
		return store.Source{}, err
	}
	defer m.mu.Unlock()
	s, err := find1(m.sources, func(s *store.Source) bool { return s.ID == id })
	if err != nil {
		return store.Source{}, err
	}
	return *s, nil
}

func (m *memory) CreateSource(ctx context.Context, s store.Source) (store.Source, error) {
	if err := m.enter(ctx); err != nil {
		return s, err
	}
	defer m.mu.Unlock()
	if _, err := find1(m.sources, func(o *store.Source) bool { return o.Tenant == s.Tenant && o.Name == s.Name }); err == nil {
		return s, store.ErrExists
	}
	m.nextID++
	s.ID, s.CreatedAt, s.UpdatedAt = store.SourceID(m.nextID), m.now, m.now
	m.sources = append(m.sources, s)
	return s, nil
}

func (m *memory) DeleteSource(ctx context.Context, id store.SourceID) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	s, err := find1(m.sources, func(s *store.Source) bool { return s.ID == id })
	if err != nil {
		return err
	}
	if s.ManagedBy == store.ManagedByFile {
		return store.ErrManaged
	}
	m.sources = slices.DeleteFunc(m.sources, func(s store.Source) bool { return s.ID == id })
	return nil
}

func (m *memory) ListEndpoints(ctx context.Context, tenant string, after store.EndpointID, limit int) ([]store.Endpoint, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	return list(m.endpoints, limit, func(e *store.Endpoint) bool {
		return e.ID > after && e.State != store.EndpointDeleted && (tenant == "" || e.Tenant == tenant)
	}), nil
}

func (m *memory) GetEndpoint(ctx context.Context, id store.EndpointID) (store.Endpoint, error) {
	if err := m.enter(ctx); err != nil {
		return store.Endpoint{}, err
	}
	defer m.mu.Unlock()
	e, err := find1(m.endpoints, func(e *store.Endpoint) bool { return e.ID == id })
	if err != nil {
		return store.Endpoint{}, err
	}
	return *e, nil
}

func (m *memory) CreateEndpoint(ctx context.Context, e store.Endpoint) (store.Endpoint, error) {
	if err := m.enter(ctx); err != nil {
		return e, err
	}
	defer m.mu.Unlock()
	if _, err := find1(m.endpoints, func(o *store.Endpoint) bool {
		return o.Tenant == e.Tenant && o.Name == e.Name && o.State != store.EndpointDeleted
	}); err == nil {
		return e, store.ErrExists
	}
	m.nextID++
	e.ID, e.State, e.CreatedAt, e.UpdatedAt, e.StateSince = store.EndpointID(m.nextID), store.EndpointActive, m.now, m.now, m.now
	m.endpoints = append(m.endpoints, e)
	return e, nil
}

func (m *memory) DeleteEndpoint(ctx context.Context, id store.EndpointID) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	e, err := find1(m.endpoints, func(e *store.Endpoint) bool { return e.ID == id && e.State != store.EndpointDeleted })
	if err != nil {
		return err
	}
	if e.ManagedBy == store.ManagedByFile {
		return store.ErrManaged
	}
	e.State = store.EndpointDeleted
	return nil
}

func (m *memory) SetEndpointState(ctx context.Context, id store.EndpointID, state store.EndpointState, reason string) (store.Endpoint, error) {
	if err := m.enter(ctx); err != nil {
		return store.Endpoint{}, err
	}
	defer m.mu.Unlock()
	e, err := find1(m.endpoints, func(e *store.Endpoint) bool { return e.ID == id && e.State != store.EndpointDeleted })
	if err != nil {
		return store.Endpoint{}, err
	}
	if e.State != state {
		e.State, e.StateReason, e.StateSince = state, reason, m.now
	}
	return *e, nil
}

func (m *memory) ListEvents(ctx context.Context, q store.EventQuery) ([]store.RecordedEvent, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	all := slices.SortedFunc(slices.Values(m.events), func(a, b store.RecordedEvent) int {
		return -bytes.Compare(a.Event.ID[:], b.Event.ID[:])
	})
	return list(all, q.Limit, func(r *store.RecordedEvent) bool {
		e := &r.Event
		return (q.Tenant == "" || e.Tenant == q.Tenant) && (q.Type == "" || e.Type == q.Type) && (q.Source == "" || e.Source == q.Source) &&
			(q.GivenID == "" || e.GivenID == q.GivenID) && (q.Key == "" || e.Key == q.Key) && !e.Time.Before(q.Since) &&
			(q.Until.IsZero() || e.Time.Before(q.Until)) && (q.Before.IsZero() || bytes.Compare(e.ID[:], q.Before[:]) < 0)
	}), nil
}

func (m *memory) GetEvent(ctx context.Context, id event.ID) (store.RecordedEvent, error) {
	if err := m.enter(ctx); err != nil {
		return store.RecordedEvent{}, err
	}
	defer m.mu.Unlock()
	r, err := find1(m.events, func(r *store.RecordedEvent) bool { return r.Event.ID == id })
	if err != nil {
		return store.RecordedEvent{}, err
	}
	return *r, nil
}

func (m *memory) GetBody(ctx context.Context, id event.ID) ([]byte, string, error) {
	r, err := m.GetEvent(ctx, id)
	if err != nil {
		return nil, "", err
	}
	body, kept := m.bodies[id]
	if !kept {
		return nil, "", store.ErrGone
	}
	return []byte(body), r.Event.ContentType, nil
}

func (m *memory) ListDeliveries(ctx context.Context, q store.DeliveryQuery) ([]store.Delivery, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	all := slices.SortedFunc(slices.Values(m.deliveries), func(a, b store.Delivery) int { return -compareDeliveries(a.ID, b.ID) })
	return list(all, q.Limit, func(d *store.Delivery) bool {
		r, err := find1(m.events, func(r *store.RecordedEvent) bool { return r.Event.ID == d.ID.Event })
		return err == nil && (q.Tenant == "" || r.Event.Tenant == q.Tenant) && (q.Event.IsZero() || d.ID.Event == q.Event) &&
			(q.Endpoint == 0 || d.ID.Endpoint == q.Endpoint) && (q.State == "" || d.State == q.State) &&
			!r.Event.Time.Before(q.Since) && (q.Until.IsZero() || r.Event.Time.Before(q.Until)) &&
			(q.Before.Event.IsZero() || compareDeliveries(d.ID, q.Before) < 0)
	}), nil
}

func compareDeliveries(a, b store.DeliveryID) int {
	return bytes.Compare([]byte(a.String()), []byte(b.String()))
}

func (m *memory) GetDelivery(ctx context.Context, id store.DeliveryID) (store.Delivery, error) {
	if err := m.enter(ctx); err != nil {
		return store.Delivery{}, err
	}
	defer m.mu.Unlock()
	d, err := find1(m.deliveries, func(d *store.Delivery) bool { return d.ID == id })
	if err != nil {
		return store.Delivery{}, err
	}
	return *d, nil
}

func (m *memory) ListAttempts(ctx context.Context, id store.DeliveryID) ([]store.Attempt, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	return slices.Clone(m.attempts[id]), nil
}

func (m *memory) RetryDelivery(ctx context.Context, id store.DeliveryID, now time.Time) (store.DeliveryID, error) {
	if err := m.enter(ctx); err != nil {
		return id, err
	}
	defer m.mu.Unlock()
	d, err := find1(m.deliveries, func(d *store.Delivery) bool { return d.ID == id })
	if err != nil {
		return id, err
	}
	if _, kept := m.bodies[id.Event]; !kept {
		return id, store.ErrGone
	}
	if d.State == store.DeliveryQueued {
		d.NextAt = now
		return id, nil
	}
	for _, other := range m.deliveries {
		if other.ID.Event == id.Event && other.ID.Endpoint == id.Endpoint {
			id.Replay = max(id.Replay, other.ID.Replay)
		}
	}
	id.Replay++
	m.deliveries = append(m.deliveries, store.Delivery{ID: id, State: store.DeliveryQueued, Reason: store.ReasonManual, NextAt: now, QueuedAt: now})
	return id, nil
}

func (m *memory) ListQuarantine(ctx context.Context, before int64, limit int) ([]store.NumberedQuarantined, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	m.batches = append(m.batches, limit)
	all := slices.SortedFunc(slices.Values(m.quarantine), func(a, b store.NumberedQuarantined) int { return int(b.Number - a.Number) })
	return list(all, limit, func(q *store.NumberedQuarantined) bool { return before == 0 || q.Number < before }), nil
}
