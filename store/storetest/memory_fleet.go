package storetest

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// ListGates returns changed gates.
func (m *Memory) ListGates(ctx context.Context, since time.Time) ([]store.Gate, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var out []store.Gate
	for _, g := range m.gates {
		plain := g.State == store.GateOpen && g.FailingSince.IsZero()
		if since.IsZero() && !plain || !since.IsZero() && !g.ChangedAt.Before(since) {
			out = append(out, g)
		}
	}
	return out, nil
}

// GetGate returns one gate.
func (m *Memory) GetGate(ctx context.Context, id store.EndpointID) (store.Gate, error) {
	if err := m.enter(ctx); err != nil {
		return store.Gate{}, err
	}
	defer m.mu.Unlock()
	g, ok := m.gates[id]
	if !ok {
		return g, store.ErrNotFound
	}
	return g, nil
}

// SetGate compares and sets a gate.
func (m *Memory) SetGate(ctx context.Context, g store.Gate) (store.Gate, error) {
	if err := m.enter(ctx); err != nil {
		return g, err
	}
	defer m.mu.Unlock()
	old, ok := m.gates[g.Endpoint]
	switch {
	case !ok:
		return g, store.ErrNotFound
	case old.Version != g.Version:
		return g, store.ErrConflict
	}
	g.Version++
	g.ChangedAt = m.nowLocked()
	m.gates[g.Endpoint] = g
	return g, nil
}

// RenewShards renews and takes shards.
func (m *Memory) RenewShards(ctx context.Context, node string) (store.Ownership, error) {
	if err := m.enter(ctx); err != nil {
		return store.Ownership{}, err
	}
	defer m.mu.Unlock()
	now := m.nowLocked()
	m.nodes[node] = now
	live := 0
	for _, seen := range m.nodes {
		if now.Sub(seen) < store.ShardTTL {
			live++
		}
	}
	out := store.Ownership{Share: (store.Shards + live - 1) / live}
	for _, takes := range []bool{false, true} { // what is owned first
		for i := range store.Shards {
			s := store.Shard(i)
			o := m.owners[s]
			mine, free := o.node == node && o.expires.After(now), !o.expires.After(now)
			if takes != free || !mine && (!free || len(out.Shards) >= out.Share) {
				continue
			}
			if !mine {
				o.epoch++
			}
			o.node, o.expires = node, now.Add(store.ShardTTL)
			m.owners[s] = o
			out.Shards, out.Epochs = append(out.Shards, s), append(out.Epochs, o.epoch)
		}
	}
	return out, nil
}

// ReleaseShards frees shards of node.
func (m *Memory) ReleaseShards(ctx context.Context, node string, shards []store.Shard) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	for _, s := range shards {
		if o := m.owners[s]; o.node == node {
			m.owners[s] = owner{epoch: o.epoch}
		}
	}
	return nil
}

// LeaveShards frees everything of node.
func (m *Memory) LeaveShards(ctx context.Context, node string) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	for s, o := range m.owners {
		if o.node == node {
			m.owners[s] = owner{epoch: o.epoch}
		}
	}
	delete(m.nodes, node)
	return nil
}

// GetEndpoint returns one endpoint.
func (m *Memory) GetEndpoint(ctx context.Context, id store.EndpointID) (store.Endpoint, error) {
	if err := m.enter(ctx); err != nil {
		return store.Endpoint{}, err
	}
	defer m.mu.Unlock()
	e, ok := m.endpoints[id]
	if !ok {
		return e, store.ErrNotFound
	}
	return e, nil
}

// SetEndpointState moves an endpoint, and closes its gate when it becomes active.
func (m *Memory) SetEndpointState(ctx context.Context, id store.EndpointID, state store.EndpointState, reason string) (store.Endpoint, error) {
	if err := m.enter(ctx); err != nil {
		return store.Endpoint{}, err
	}
	defer m.mu.Unlock()
	e, ok := m.endpoints[id]
	if !ok || e.State == store.EndpointDeleted {
		return e, store.ErrNotFound
	}
	if e.State == state {
		return e, nil
	}
	now := m.nowLocked()
	e.State, e.StateReason, e.StateSince = state, reason, now
	m.endpoints[id] = e
	if state == store.EndpointActive {
		m.gates[id] = store.Gate{Endpoint: id, State: store.GateClosed, NotBefore: now, Version: m.gates[id].Version + 1, ChangedAt: now}
	}
	return e, nil
}

// Endpoint returns an endpoint as it stands.
func (m *Memory) Endpoint(id store.EndpointID) store.Endpoint {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.endpoints[id]
}

// Gate returns a gate as it stands.
func (m *Memory) Gate(id store.EndpointID) store.Gate {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.gates[id]
}

// Outcome returns how a delivery ended, if it did.
func (m *Memory) Outcome(id store.DeliveryID) (store.Outcome, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.outcomes[id]
	return o, ok
}

// Queued returns a row of the queue, if there is one.
func (m *Memory) Queued(id store.DeliveryID) (store.Queued, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	q, ok := m.queue[id]
	return q, ok
}

// Counts returns how many rows there are of each kind.
func (m *Memory) Counts() (events, queued, finished, quarantined int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.events), len(m.queue), len(m.outcomes), len(m.quarantine)
}

// Duplicates returns how many copies of an event were dropped.
func (m *Memory) Duplicates(id event.ID) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.duplicates[id]
}

// Attempts returns a delivery's failed attempts.
func (m *Memory) Attempts(id store.DeliveryID) []store.Attempt {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.attempts[id]
}
