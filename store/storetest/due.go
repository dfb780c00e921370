package storetest

import (
	"slices"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// backlog queues rows for each endpoint, oldest first, and returns their ids by endpoint, then age.
func (b *bench) backlog(rows int, endpoints ...store.EndpointID) (ids []store.DeliveryID) {
	b.Helper()
	batch := &store.Batch{}
	for _, id := range endpoints {
		for i := range rows {
			e := b.event(b.now)
			row := b.row(to(e, id))
			row.NextAt = b.soon.Add(time.Duration(i-rows) * time.Millisecond)
			batch.Queue = append(batch.Queue, row)
			ids = append(ids, row.ID)
		}
	}
	b.record(batch)
	return ids
}

func (b *bench) dueIDs(q store.DueQuery) []store.DeliveryID {
	b.Helper()
	if q.Shards == nil {
		q.Shards = everyShard()
	}
	if q.Now.IsZero() {
		q.Now = b.soon
	}
	return deliveryIDs(ok(b.Store.Due(b.Context(), q))(b))
}

var duePromises = []promise{
	{"none due is none", func(b *bench) {
		equal(b, "Due", b.due(b.soon), nil)
		b.backlog(1, 1)
		equal(b, "an hour before", b.due(b.now.Add(-time.Hour)), nil)
		equal(b, "without shards", ok(b.Store.Due(b.Context(), store.DueQuery{Now: b.soon, Room: 1, Limit: 1}))(b), nil)
	}},
	{"rows come with every field", func(b *bench) {
		row := store.Queued{
			ID: store.DeliveryID{Event: b.event(b.now).ID, Endpoint: 9, Replay: 4}, Size: 77, Attempt: 3, FirstAttempt: b.now.Add(-time.Hour),
			NextAt: b.soon, Reason: store.ReasonRetry, LastStatus: 502, LastError: "bad gateway", LastDuration: 1234 * time.Microsecond, QueuedAt: b.now.Add(-2 * time.Hour),
		}
		b.record(&store.Batch{Queue: []store.Queued{row}})
		equal(b, "Due", b.due(b.soon), []store.Queued{row})
	}},
	{"rows are due from NextAt on", func(b *bench) {
		row := b.row(to(b.event(b.now), 1))
		row.NextAt = b.now.Add(time.Minute)
		b.record(&store.Batch{Queue: []store.Queued{row}})
		equal(b, "before", b.due(row.NextAt.Add(-time.Millisecond)), nil)
		equal(b, "then", deliveryIDs(b.due(row.NextAt)), []store.DeliveryID{row.ID})
	}},
	{"rows come by endpoint, and within one by NextAt, then id", func(b *bench) {
		ids := b.backlog(3, 2, 1, 5)
		same := []store.DeliveryID{to(b.event(b.now), 3), to(b.event(b.now), 3)}
		slices.SortFunc(same, compareDeliveries)
		same = append(same, store.DeliveryID{Event: same[1].Event, Endpoint: 3, Replay: 2})
		b.queue(same[2], same[1], same[0])
		want := slices.Concat(ids[3:6], ids[0:3], same, ids[6:9])
		equal(b, "Due", deliveryIDs(b.due(b.soon)), want)
	}},
	{"an endpoint gives as many rows as it has room for", func(b *bench) {
		ids := b.backlog(5, 1, 2, 3)
		got := b.dueIDs(store.DueQuery{Room: 2, Rooms: map[store.EndpointID]int{2: 0, 3: 4}, Limit: 100})
		equal(b, "Due", got, slices.Concat(ids[0:2], ids[10:14]))
	}},
	{"room 0 gives only the endpoints that are named", func(b *bench) {
		ids := b.backlog(2, 1, 2)
		equal(b, "Due", b.dueIDs(store.DueQuery{Rooms: map[store.EndpointID]int{2: 1}, Limit: 100}), ids[2:3])
	}},
	{"an endpoint that may not send hides nobody", func(b *bench) {
		b.backlog(500, 1)
		ids := b.backlog(1, 2)
		equal(b, "Due", b.dueIDs(store.DueQuery{Room: 10, Rooms: map[store.EndpointID]int{1: 0}, Limit: 10}), ids)
	}},
	{"rows that are not due hide nobody", func(b *bench) {
		late := b.row(to(b.event(b.now), 1))
		late.NextAt = b.now.Add(time.Hour)
		b.record(&store.Batch{Queue: []store.Queued{late}})
		ids := b.backlog(1, 2)
		equal(b, "Due", deliveryIDs(b.due(b.soon)), ids)
	}},
	{"only endpoints of the given shards", func(b *bench) {
		endpoints := []store.EndpointID{1, 2, 3, 4, 5, 6, 7, 8}
		ids := b.backlog(1, endpoints...)
		for i, id := range endpoints {
			equal(b, "Due of one shard", b.dueIDs(store.DueQuery{Shards: []store.Shard{id.Shard()}, Room: 9, Limit: 9}), ids[i:i+1])
		}
	}},
	{"limit bounds the rows in all, and After makes it fair", func(b *bench) {
		ids := b.backlog(2, 1, 2, 3)
		equal(b, "from the start", b.dueIDs(store.DueQuery{Room: 9, Limit: 3}), ids[0:3])
		equal(b, "behind 2", b.dueIDs(store.DueQuery{Room: 9, Limit: 3, After: 2}), slices.Concat(ids[4:6], ids[0:1]))
		equal(b, "behind 3", b.dueIDs(store.DueQuery{Room: 9, Limit: 3, After: 3}), ids[0:3])
		equal(b, "behind all of them", b.dueIDs(store.DueQuery{Room: 9, Limit: 3, After: 1 << 31}), ids[0:3])
		equal(b, "no row twice", b.dueIDs(store.DueQuery{Room: 9, Limit: 100, After: 2}), slices.Concat(ids[4:6], ids[0:4]))
	}},
	{"nothing is marked as taken", func(b *bench) {
		ids := b.backlog(2, 1)
		for range 3 {
			equal(b, "Due", deliveryIDs(b.due(b.soon)), ids)
		}
	}},
	{"events are loaded with their bodies, unknown ones left out", func(b *bench) {
		events := b.recorded(b.now, b.now)
		got := ok(b.Store.LoadEvents(b.Context(), []event.ID{events[0].ID, b.event(b.now).ID, events[1].ID}))(b)
		equal(b, "LoadEvents", got, map[event.ID]*event.Event{events[0].ID: events[0], events[1].ID: events[1]})
		if none := ok(b.Store.LoadEvents(b.Context(), nil))(b); len(none) != 0 {
			b.Fatalf("LoadEvents of none = %v", none)
		}
	}},
	{"depths count all rows of an endpoint and its oldest event", func(b *bench) {
		old := b.event(b.now.Add(-time.Hour))
		b.backlog(3, 1, 2)
		late := b.row(to(old, 2))
		late.NextAt = b.now.Add(time.Hour)
		b.record(&store.Batch{Queue: []store.Queued{late}})
		got := ok(b.Store.Depths(b.Context(), everyShard()))(b)
		equal(b, "Depths", got, map[store.EndpointID]store.Depth{1: {Rows: 3, Oldest: b.now}, 2: {Rows: 4, Oldest: old.Time}})
		one := ok(b.Store.Depths(b.Context(), []store.Shard{store.EndpointID(1).Shard()}))(b)
		equal(b, "of one shard", one, map[store.EndpointID]store.Depth{1: {Rows: 3, Oldest: b.now}})
	}},
	{"held rows are those that an attempt may run for, of the endpoints that are asked for", func(b *bench) {
		held := func(id store.EndpointID, until time.Time) store.DeliveryID {
			row := b.row(to(b.event(b.now), id))
			row.NextAt, row.HeldUntil, row.Reason, row.Attempt = until, until, store.ReasonHold, 1
			b.record(&store.Batch{Holds: []store.Queued{row}})
			return row.ID
		}
		later := b.soon.Add(time.Minute)
		first, second, other, short := held(1, later), held(1, later), held(2, later), held(1, b.soon.Add(10*time.Second))
		held(3, later)
		b.backlog(2, 1, 2)
		wait := b.row(to(b.event(b.now), 1))
		wait.NextAt = later
		b.record(&store.Batch{Queue: []store.Queued{wait}})
		wantHeld := func(what string, now time.Time, endpoints []store.EndpointID, want ...store.DeliveryID) {
			b.Helper()
			got := ok(b.Store.Held(b.Context(), endpoints, now))(b)
			slices.SortFunc(got, compareDeliveries)
			slices.SortFunc(want, compareDeliveries)
			equal(b, what, got, want)
		}
		wantHeld("Held", b.soon, []store.EndpointID{1, 2, 9}, first, second, other, short)
		wantHeld("later", b.soon.Add(10*time.Second), []store.EndpointID{1}, first, second)
		wantHeld("when the time has come", later, []store.EndpointID{1, 2})
		wantHeld("of none", b.soon, nil)
		b.record(&store.Batch{
			Retries:  []store.Retry{{ID: first, Attempt: 1, NextAt: later.Add(time.Minute), Reason: store.ReasonRetry}},
			Outcomes: []store.Outcome{{ID: second, State: store.DeliveryDelivered, Attempts: 1, FinishedAt: b.now}},
		})
		wantHeld("after two of the attempts ended", b.soon, []store.EndpointID{1}, short)
	}},
}
