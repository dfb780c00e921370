package storetest

import (
	"cmp"
	"context"
	"slices"
	"testing"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// TestMemory keeps the store that dispatchers are tested with from drifting away from those they run with.
func TestMemory(t *testing.T) {
	t.Parallel()
	Run(t, func(*testing.T) Harness {
		m := NewMemory()
		s := &memoryStore{Memory: m}
		return Harness{Store: s, Advance: m.Advance, Reopen: func(*testing.T) store.Store { return s }}
	}, "Seen", "Record", "Moves", "Due", "Finish", "Gates", "Shards")
}

// memoryStore is Memory with what these groups look at beside what a dispatcher needs. The rest panics.
type memoryStore struct {
	*Memory
	missing
}

// missing lies one level below Memory, so that Memory's methods hide those of the nil Store.
type missing struct{ store.Store }

func (s *memoryStore) CreateEndpoint(_ context.Context, e store.Endpoint) (store.Endpoint, error) {
	e.ID, e.State = store.EndpointID(len(s.endpoints)+1), store.EndpointActive
	s.PutEndpoint(e)
	return e, nil
}

func (s *memoryStore) DeleteEndpoint(_ context.Context, id store.EndpointID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.endpoints, id)
	delete(s.gates, id)
	return nil
}

func (s *memoryStore) GetEvent(_ context.Context, id event.ID) (store.RecordedEvent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row, ok := s.events[id]
	if !ok {
		return store.RecordedEvent{}, store.ErrNotFound
	}
	r := store.RecordedEvent{Event: *row.Event, Size: len(row.Event.Body), Matched: row.Matched, Duplicates: s.duplicates[id]}
	r.Event.Body = nil
	return r, nil
}

func (s *memoryStore) GetBody(_ context.Context, id event.ID) ([]byte, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	row, ok := s.events[id]
	if !ok {
		return nil, "", store.ErrNotFound
	}
	return row.Event.Body, row.Event.ContentType, nil
}

func (s *memoryStore) GetDelivery(_ context.Context, id store.DeliveryID) (store.Delivery, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o, ok := s.outcomes[id]; ok {
		return store.Delivery{
			ID: id, State: o.State, Reason: o.Reason, Attempts: o.Attempts, FirstAttempt: o.FirstAttempt, FinishedAt: o.FinishedAt,
			LastStatus: o.LastStatus, LastError: o.LastError, LastDuration: o.LastDuration,
		}, nil
	}
	q, ok := s.queue[id]
	if !ok {
		return store.Delivery{}, store.ErrNotFound
	}
	return store.Delivery{
		ID: id, State: store.DeliveryQueued, Reason: q.Reason, Attempts: q.Attempt, FirstAttempt: q.FirstAttempt, NextAt: q.NextAt,
		QueuedAt: q.QueuedAt, LastStatus: q.LastStatus, LastError: q.LastError, LastDuration: q.LastDuration,
	}, nil
}

// ListDeliveries lists those of one event.
func (s *memoryStore) ListDeliveries(ctx context.Context, q store.DeliveryQuery) ([]store.Delivery, error) {
	answers, err := s.Seen(ctx, []store.SeenQuery{{ID: q.Event}})
	if err != nil {
		return nil, err
	}
	ids := answers[0].Known
	slices.SortFunc(ids, compareDeliveries)
	var out []store.Delivery
	for _, id := range ids {
		d, err := s.GetDelivery(ctx, id)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

func (s *memoryStore) ListAttempts(_ context.Context, id store.DeliveryID) ([]store.Attempt, error) {
	out := slices.Clone(s.Attempts(id))
	slices.SortFunc(out, func(a, b store.Attempt) int { return cmp.Compare(a.Number, b.Number) })
	return out, nil
}

func (s *memoryStore) ListQuarantine(_ context.Context, before int64, limit int) ([]store.NumberedQuarantined, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []store.NumberedQuarantined
	for i, q := range slices.Backward(s.quarantine) {
		if n := int64(i + 1); (before == 0 || n < before) && len(out) < limit {
			out = append(out, store.NumberedQuarantined{Number: n, Quarantined: q})
		}
	}
	return out, nil
}
