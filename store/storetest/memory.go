package storetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// ErrDown is what Memory answers while it is down.
var ErrDown = errors.New("store is down")

// Memory is what a dispatcher needs of a store, in memory: it waits on nothing but timers, so it runs in a synctest
// bubble, and it misbehaves on command. It keeps the promises of package store that dispatchers rely on: Run proves them
// on it as on the real ones.
type Memory struct {
	mu         sync.Mutex
	skew       time.Duration
	latency    time.Duration
	down       bool
	refuse     func(*store.Batch) bool
	records    int
	events     map[event.ID]store.EventRow
	duplicates map[event.ID]int64
	claims     map[[16]byte]claim
	queue      map[store.DeliveryID]store.Queued
	outcomes   map[store.DeliveryID]store.Outcome
	attempts   map[store.DeliveryID][]store.Attempt
	quarantine []store.Quarantined
	gates      map[store.EndpointID]store.Gate
	owners     map[store.Shard]owner
	nodes      map[string]time.Time
	endpoints  map[store.EndpointID]store.Endpoint
}

type claim struct {
	holder event.ID
	until  time.Time
}

type owner struct {
	node    string
	epoch   int64
	expires time.Time
}

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{
		events: map[event.ID]store.EventRow{}, duplicates: map[event.ID]int64{}, claims: map[[16]byte]claim{},
		queue: map[store.DeliveryID]store.Queued{}, outcomes: map[store.DeliveryID]store.Outcome{},
		attempts: map[store.DeliveryID][]store.Attempt{}, gates: map[store.EndpointID]store.Gate{},
		owners: map[store.Shard]owner{}, nodes: map[string]time.Time{}, endpoints: map[store.EndpointID]store.Endpoint{},
	}
}

// Advance moves the store's clock.
func (m *Memory) Advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.skew += d
}

func (m *Memory) nowLocked() time.Time { return time.Now().Add(m.skew) }

// SetDown has every call fail, or work again.
func (m *Memory) SetDown(down bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = down
}

// SetLatency has every call take that long.
func (m *Memory) SetLatency(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latency = d
}

// Refuse has Record answer ErrData to batches for which f is true.
func (m *Memory) Refuse(f func(*store.Batch) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refuse = f
}

// PutEndpoint stores an endpoint as it is, with an open gate if it has none.
func (m *Memory) PutEndpoint(e store.Endpoint) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.endpoints[e.ID] = e
	if _, ok := m.gates[e.ID]; !ok {
		m.gates[e.ID] = store.Gate{Endpoint: e.ID, State: store.GateOpen, Version: 1, ChangedAt: m.nowLocked()}
	}
}

// enter waits for the latency and returns with the lock held, or fails without it.
func (m *Memory) enter(ctx context.Context) error {
	m.mu.Lock()
	latency := m.latency
	m.mu.Unlock()
	if latency > 0 {
		timer := time.NewTimer(latency)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	m.mu.Lock()
	if m.down {
		m.mu.Unlock()
		return ErrDown
	}
	return nil
}

// Seen looks events up and claims for them.
func (m *Memory) Seen(ctx context.Context, queries []store.SeenQuery) ([]store.Seen, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	now := m.nowLocked()
	out := make([]store.Seen, len(queries))
	for i, q := range queries {
		if q.Claim != [16]byte{} {
			c, ok := m.claims[q.Claim]
			if !ok || !c.until.After(now) {
				c = claim{q.ID, q.Until}
				m.claims[q.Claim] = c
			}
			out[i].Holder = c.holder
		}
		if _, out[i].Recorded = m.events[q.ID]; out[i].Recorded {
			for id := range m.queue {
				if id.Event == q.ID {
					out[i].Known = append(out[i].Known, id)
				}
			}
			for id := range m.outcomes {
				if id.Event == q.ID {
					out[i].Known = append(out[i].Known, id)
				}
			}
		}
	}
	return out, nil
}

// Record writes a batch.
func (m *Memory) Record(ctx context.Context, b *store.Batch) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if m.refuse != nil && m.refuse(b) || slices.ContainsFunc(b.Outcomes, func(o store.Outcome) bool { return !isEnd(o.State) }) {
		return store.ErrData
	}
	m.records++
	for _, row := range b.Events {
		if _, ok := m.events[row.Event.ID]; !ok {
			m.events[row.Event.ID] = row
		}
	}
	for _, q := range b.Queue {
		_, queued := m.queue[q.ID]
		_, finished := m.outcomes[q.ID]
		if !queued && !finished {
			m.enqueueLocked(q)
		}
	}
	for _, h := range b.Holds {
		row, queued := m.queue[h.ID]
		_, finished := m.outcomes[h.ID]
		switch {
		case queued && row.Attempt <= h.Attempt:
			row.Attempt, row.NextAt, row.HeldUntil, row.FirstAttempt = h.Attempt, h.NextAt, h.HeldUntil, first(row.FirstAttempt, h.FirstAttempt)
			m.queue[h.ID] = row
		case !queued && !finished:
			m.enqueueLocked(h)
		}
	}
	for _, r := range b.Retries {
		if row, ok := m.queue[r.ID]; ok && row.Attempt <= r.Attempt {
			row.Attempt, row.FirstAttempt, row.NextAt, row.HeldUntil, row.Reason = r.Attempt, first(row.FirstAttempt, r.FirstAttempt), r.NextAt, time.Time{}, r.Reason
			row.LastStatus, row.LastError, row.LastDuration = r.LastStatus, r.LastError, r.LastDuration
			m.queue[r.ID] = row
		}
	}
	for _, o := range b.Outcomes {
		delete(m.queue, o.ID)
		if old, ok := m.outcomes[o.ID]; !ok || old.State != store.DeliveryDelivered && o.State == store.DeliveryDelivered {
			m.outcomes[o.ID] = o
		}
	}
	for _, a := range b.Attempts {
		if !slices.ContainsFunc(m.attempts[a.ID], func(b store.Attempt) bool { return b.Number == a.Number }) {
			m.attempts[a.ID] = append(m.attempts[a.ID], a)
		}
	}
	for holder, n := range b.Duplicates {
		m.duplicates[holder] += n
	}
	for _, q := range b.Quarantine {
		if !slices.ContainsFunc(m.quarantine, func(b store.Quarantined) bool {
			return b.Topic == q.Topic && b.Stream == q.Stream && b.Position == q.Position
		}) {
			m.quarantine = append(m.quarantine, q)
		}
		maps.DeleteFunc(m.claims, func(_ [16]byte, c claim) bool { return !q.Event.IsZero() && c.holder == q.Event })
	}
	return nil
}

func isEnd(s store.DeliveryState) bool {
	return s == store.DeliveryDelivered || s == store.DeliveryDead || s == store.DeliveryCanceled
}

// first returns when the first attempt began: what the row has, if it has something.
func first(row, now time.Time) time.Time {
	if row.IsZero() {
		return now
	}
	return row
}

func (m *Memory) enqueueLocked(q store.Queued) {
	if q.QueuedAt.IsZero() {
		q.QueuedAt = m.nowLocked()
	}
	m.queue[q.ID] = q
}

// Due returns due rows, as they were before the answer's way back.
func (m *Memory) Due(ctx context.Context, q store.DueQuery) ([]store.Queued, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	out := m.dueLocked(q)
	m.mu.Unlock()
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	m.mu.Unlock()
	return out, nil
}

func (m *Memory) dueLocked(q store.DueQuery) []store.Queued {
	byEndpoint := map[store.EndpointID][]store.Queued{}
	for id, row := range m.queue {
		if slices.Contains(q.Shards, id.Endpoint.Shard()) && !row.NextAt.After(q.Now) && !row.HeldUntil.After(q.Now) {
			byEndpoint[id.Endpoint] = append(byEndpoint[id.Endpoint], row)
		}
	}
	order := slices.SortedFunc(maps.Keys(byEndpoint), func(a, b store.EndpointID) int {
		return cmp.Or(-cmp.Compare(btoi(a > q.After), btoi(b > q.After)), cmp.Compare(a, b))
	})
	var out []store.Queued
	for _, id := range order {
		rows := byEndpoint[id]
		slices.SortFunc(rows, func(a, b store.Queued) int {
			return cmp.Or(a.NextAt.Compare(b.NextAt), bytes.Compare(a.ID.Event[:], b.ID.Event[:]), cmp.Compare(a.ID.Replay, b.ID.Replay))
		})
		room, ok := q.Rooms[id]
		if !ok {
			room = q.Room
		}
		out = append(out, rows[:min(room, len(rows), max(q.Limit-len(out), 0))]...)
	}
	return out
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// LoadEvents returns events with their bodies.
func (m *Memory) LoadEvents(ctx context.Context, ids []event.ID) (map[event.ID]*event.Event, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	out := map[event.ID]*event.Event{}
	for _, id := range ids {
		if row, ok := m.events[id]; ok && row.Event.Body != nil {
			out[id] = row.Event
		}
	}
	return out, nil
}

// Held returns rows that are held.
func (m *Memory) Held(ctx context.Context, endpoints []store.EndpointID, now time.Time) ([]store.DeliveryID, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	var out []store.DeliveryID
	for id, row := range m.queue {
		if row.HeldUntil.After(now) && slices.Contains(endpoints, id.Endpoint) {
			out = append(out, id)
		}
	}
	return out, nil
}

// Depths counts the queue.
func (m *Memory) Depths(ctx context.Context, shards []store.Shard) (map[store.EndpointID]store.Depth, error) {
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	out := map[store.EndpointID]store.Depth{}
	for id := range m.queue {
		if slices.Contains(shards, id.Endpoint.Shard()) {
			d := out[id.Endpoint]
			if at := id.Event.Time(); d.Rows == 0 || at.Before(d.Oldest) {
				d.Oldest = at
			}
			d.Rows++
			out[id.Endpoint] = d
		}
	}
	return out, nil
}

// Finish ends queued rows.
func (m *Memory) Finish(ctx context.Context, q store.FinishQuery) (int, error) {
	if err := m.enter(ctx); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	if !isEnd(q.State) {
		return 0, store.ErrData
	}
	n := 0
	for id, row := range m.queue {
		switch {
		case n == q.Limit:
			return n, nil
		case q.Endpoint != 0 && id.Endpoint != q.Endpoint,
			!q.FirstAttemptBefore.IsZero() && (row.FirstAttempt.IsZero() || !row.FirstAttempt.Before(q.FirstAttemptBefore)),
			!q.EventBefore.IsZero() && !id.Event.Time().Before(q.EventBefore),
			row.HeldUntil.After(q.Now):
			continue
		}
		n++
		delete(m.queue, id)
		m.outcomes[id] = q.Ended(&row)
	}
	return n, nil
}

// Expire drops the bodies of old events that wait for nothing.
func (m *Memory) Expire(ctx context.Context, bodies, _, _ time.Time, _ int) (bool, error) {
	if err := m.enter(ctx); err != nil {
		return false, err
	}
	defer m.mu.Unlock()
	for id, row := range m.events {
		if id.Time().Before(bodies) {
			e := *row.Event
			e.Body = nil
			m.events[id] = store.EventRow{Event: &e, Matched: row.Matched}
		}
	}
	return false, nil
}
