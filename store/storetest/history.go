package storetest

import (
	"slices"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

func eventIDs(rows []store.RecordedEvent) []event.ID {
	ids := make([]event.ID, len(rows))
	for i := range rows {
		ids[i] = rows[i].Event.ID
	}
	return ids
}

// events lists events by q, all if it sets no limit.
func (b *bench) events(q store.EventQuery) []event.ID {
	b.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	return eventIDs(ok(b.Store.ListEvents(b.Context(), q))(b))
}

var historyPromises = []promise{
	{"events are listed newest first, without bodies", func(b *bench) {
		events := b.recorded(b.now.Add(-time.Hour), b.now, b.now.Add(-time.Minute))
		rows := ok(b.Store.ListEvents(b.Context(), store.EventQuery{Limit: 9}))(b)
		equal(b, "ids", eventIDs(rows), []event.ID{events[1].ID, events[2].ID, events[0].ID})
		want := *events[1]
		want.Body = nil
		equal(b, "the newest", rows[0], store.RecordedEvent{Event: want, Size: 2, Matched: 1})
		equal(b, "at most one", b.events(store.EventQuery{Limit: 1}), []event.ID{events[1].ID})
	}},
	{"an unknown event is not found", func(b *bench) {
		_, err := b.Store.GetEvent(b.Context(), b.event(b.now).ID)
		b.want(err, store.ErrNotFound)
		_, _, err = b.Store.GetBody(b.Context(), b.event(b.now).ID)
		b.want(err, store.ErrNotFound)
	}},
	{"a body comes with its content type", func(b *bench) {
		e := b.fullEvent()
		b.record(&store.Batch{Events: []store.EventRow{{Event: e}}})
		body, contentType, err := b.Store.GetBody(b.Context(), e.ID)
		b.must(err)
		equal(b, "body", body, e.Body)
		equal(b, "content type", contentType, e.ContentType)
	}},
	{"each filter leaves what it names, and all of them what all name", func(b *bench) {
		full := b.fullEvent()
		batch := &store.Batch{Events: []store.EventRow{{Event: full}}}
		for range 20 {
			batch.Events = append(batch.Events, store.EventRow{Event: b.event(b.now)})
		}
		b.record(batch)
		all := store.EventQuery{
			Tenant: full.Tenant, Type: full.Type, Source: full.Source, GivenID: full.GivenID, Key: full.Key,
			Since: full.Time, Until: full.Time.Add(time.Millisecond),
		}
		for name, q := range map[string]store.EventQuery{
			"tenant": {Tenant: full.Tenant}, "type": {Type: full.Type}, "source": {Source: full.Source}, "given id": {GivenID: full.GivenID},
			"key": {Key: full.Key}, "everything": all,
		} {
			equal(b, name, b.events(q), []event.ID{full.ID})
		}
		for name, q := range map[string]store.EventQuery{
			"tenant": {Tenant: "nobody"}, "type": {Type: "order.created.x"}, "source": {Source: "order"}, "given id": {GivenID: "zß-1"},
			"key": {Key: "customer"}, "tenant and type": {Tenant: full.Tenant, Type: "push"},
			"tenant with its given id": {GivenID: full.GivenID, Tenant: "default"}, "type with its given id": {GivenID: full.GivenID, Type: "push"},
			"source with its given id": {GivenID: full.GivenID, Source: "github"}, "key with its given id": {GivenID: full.GivenID, Key: "customer"},
		} {
			equal(b, "another "+name, b.events(q), nil)
		}
	}},
	{"since is at or after, until is before", func(b *bench) {
		var ids []event.ID
		for i := range 4 {
			ids = append(ids, b.recorded(b.now.Add(time.Duration(i) * time.Second))[0].ID)
		}
		second, fourth := b.now.Add(time.Second), b.now.Add(3*time.Second)
		equal(b, "span", b.events(store.EventQuery{Since: second, Until: fourth}), []event.ID{ids[2], ids[1]})
		equal(b, "since", b.events(store.EventQuery{Since: fourth}), []event.ID{ids[3]})
		equal(b, "until", b.events(store.EventQuery{Until: second}), []event.ID{ids[0]})
		equal(b, "nothing between", b.events(store.EventQuery{Since: fourth, Until: second}), nil)
		equal(b, "within a millisecond", b.events(store.EventQuery{Since: fourth.Add(time.Microsecond)}), nil)
	}},
	{"pages stay as they are when newer events come", func(b *bench) {
		var want, got []event.ID
		for i := range 9 {
			want = append(want, b.recorded(b.now.Add(time.Duration(-i) * time.Second))[0].ID)
		}
		for q := (store.EventQuery{Limit: 2}); ; q.Before = got[len(got)-1] {
			page := b.events(q)
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			b.recorded(b.now.Add(time.Minute))
		}
		equal(b, "all pages", got, want)
	}},
	{"cursor and filters go together", func(b *bench) {
		var want []event.ID
		for i := range 6 {
			e := b.event(b.now.Add(time.Duration(-i) * time.Second))
			if i%2 == 0 {
				e.GivenID = "same"
				want = append(want, e.ID)
			}
			b.record(&store.Batch{Events: []store.EventRow{{Event: e}}})
		}
		equal(b, "all", b.events(store.EventQuery{GivenID: "same"}), want)
		equal(b, "below the first", b.events(store.EventQuery{GivenID: "same", Before: want[0], Limit: 1}), want[1:2])
		equal(b, "below, until later", b.events(store.EventQuery{GivenID: "same", Before: want[0], Until: b.now.Add(time.Hour)}), want[1:])
	}},
}

// deliveries lists deliveries by q, all if it sets no limit.
func (b *bench) deliveries(q store.DeliveryQuery) (ids []store.DeliveryID) {
	b.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	for _, d := range ok(b.Store.ListDeliveries(b.Context(), q))(b) {
		ids = append(ids, d.ID)
	}
	return ids
}

// mixed records deliveries of events to two endpoints: for each event one delivered, one queued, one dead, one
// canceled. It returns them newest first.
func (b *bench) mixed(events int) []store.DeliveryID {
	b.Helper()
	one, two := b.endpoint("one").ID, b.endpoint("two").ID
	var ids []store.DeliveryID
	for i := range events {
		e := b.recorded(b.now.Add(time.Duration(i) * time.Second))[0]
		all := []store.DeliveryID{to(e, one), {Event: e.ID, Endpoint: one, Replay: 1}, to(e, two), {Event: e.ID, Endpoint: two, Replay: 5}}
		b.record(&store.Batch{
			Queue: []store.Queued{b.row(all[1])},
			Outcomes: []store.Outcome{
				b.outcome(all[0], store.DeliveryDelivered), b.outcome(all[2], store.DeliveryDead), b.outcome(all[3], store.DeliveryCanceled),
			},
		})
		ids = append(ids, all...)
	}
	slices.SortFunc(ids, func(x, y store.DeliveryID) int { return compareDeliveries(y, x) })
	return ids
}

// only returns the ids for which keep is true.
func only(ids []store.DeliveryID, keep func(store.DeliveryID) bool) []store.DeliveryID {
	return slices.DeleteFunc(slices.Clone(ids), func(id store.DeliveryID) bool { return !keep(id) })
}

var deliveryPromises = []promise{
	{"queued and finished deliveries are listed together, newest event first", func(b *bench) {
		ids := b.mixed(4)
		equal(b, "ListDeliveries", b.deliveries(store.DeliveryQuery{}), ids)
		equal(b, "at most three", b.deliveries(store.DeliveryQuery{Limit: 3}), ids[:3])
	}},
	{"each filter leaves what it names", func(b *bench) {
		ids := b.mixed(4)
		one, e := ids[len(ids)-1].Endpoint, ids[5].Event
		equal(b, "endpoint", b.deliveries(store.DeliveryQuery{Endpoint: one}), only(ids, func(id store.DeliveryID) bool { return id.Endpoint == one }))
		equal(b, "event", b.deliveries(store.DeliveryQuery{Event: e}), only(ids, func(id store.DeliveryID) bool { return id.Event == e }))
		for state, replay := range map[store.DeliveryState]uint32{store.DeliveryQueued: 1, store.DeliveryCanceled: 5} {
			equal(b, string(state), b.deliveries(store.DeliveryQuery{State: state}), only(ids, func(id store.DeliveryID) bool { return id.Replay == replay }))
		}
		dead := only(ids, func(id store.DeliveryID) bool { return id.Replay == 0 && id.Endpoint != one })
		equal(b, "dead", b.deliveries(store.DeliveryQuery{State: store.DeliveryDead}), dead)
		equal(b, "dead of the other", b.deliveries(store.DeliveryQuery{State: store.DeliveryDead, Endpoint: dead[0].Endpoint}), dead)
		equal(b, "dead of one", b.deliveries(store.DeliveryQuery{State: store.DeliveryDead, Endpoint: one}), nil)
		equal(b, "dead of an event", b.deliveries(store.DeliveryQuery{State: store.DeliveryDead, Event: dead[1].Event}), dead[1:2])
		delivered := only(ids, func(id store.DeliveryID) bool { return id.Replay == 0 && id.Endpoint == one })
		equal(b, "delivered", b.deliveries(store.DeliveryQuery{State: store.DeliveryDelivered}), delivered)
		since, until := dead[2].Event.Time(), dead[0].Event.Time()
		equal(b, "span", b.deliveries(store.DeliveryQuery{State: store.DeliveryDead, Since: since, Until: until}), dead[1:3])
	}},
	{"a tenant's deliveries are those of its endpoints", func(b *bench) {
		ids := b.mixed(2)
		e := newEndpoint("other")
		e.Tenant = "acme"
		other := ok(b.Store.CreateEndpoint(b.Context(), e))(b)
		ev := b.recorded(b.now)[0]
		queued, finished := to(ev, other.ID), store.DeliveryID{Event: ev.ID, Endpoint: other.ID, Replay: 9}
		b.record(&store.Batch{Queue: []store.Queued{b.row(queued)}, Outcomes: []store.Outcome{b.outcome(finished, store.DeliveryDead)}})
		equal(b, "acme", b.deliveries(store.DeliveryQuery{Tenant: "acme"}), []store.DeliveryID{finished, queued})
		equal(b, "default", b.deliveries(store.DeliveryQuery{Tenant: "default"}), ids)
		equal(b, "nobody", b.deliveries(store.DeliveryQuery{Tenant: "nobody"}), nil)
	}},
	{"pages stay as they are when newer deliveries come", func(b *bench) {
		ids := b.mixed(3)
		for _, limit := range []int{1, 2, 3, 5} {
			var got []store.DeliveryID
			for q := (store.DeliveryQuery{Limit: limit, Until: b.now.Add(time.Minute)}); ; q.Before = got[len(got)-1] {
				page := b.deliveries(q)
				if len(page) == 0 {
					break
				}
				got = append(got, page...)
				b.queue(to(b.event(b.now.Add(time.Hour)), 1))
			}
			equal(b, "all pages", got, ids)
		}
	}},
	{"a queued delivery shows why and until when it waits", func(b *bench) {
		row := b.hold(2)
		row.FirstAttempt, row.LastStatus, row.LastError, row.LastDuration = b.now, 500, "no", time.Second
		b.record(&store.Batch{Holds: []store.Queued{row}})
		equal(b, "GetDelivery", b.delivery(row.ID), store.Delivery{
			ID: row.ID, State: store.DeliveryQueued, Reason: store.ReasonHold, Attempts: 2, FirstAttempt: b.now, NextAt: row.NextAt,
			QueuedAt: row.QueuedAt, LastStatus: 500, LastError: "no", LastDuration: time.Second,
		})
	}},
	{"an unknown delivery is not found", func(b *bench) {
		_, err := b.Store.GetDelivery(b.Context(), to(b.recorded(b.now)[0], 1))
		b.want(err, store.ErrNotFound)
	}},
}

var retryPromises = []promise{
	{"a queued delivery becomes due now, for it was asked for", func(b *bench) {
		row := b.row(to(b.recorded(b.now)[0], b.endpoint("a").ID))
		row.NextAt, row.Attempt = b.now.Add(12*time.Hour), 4
		b.record(&store.Batch{Queue: []store.Queued{row}})
		equal(b, "RetryDelivery", ok(b.Store.RetryDelivery(b.Context(), row.ID, b.soon))(b), row.ID)
		row.NextAt, row.Reason = b.soon, store.ReasonManual
		equal(b, "Due", b.due(b.soon), []store.Queued{row})
	}},
	{"not before an attempt that may still run has ended", func(b *bench) {
		row := b.row(to(b.recorded(b.now)[0], b.endpoint("a").ID))
		row.HeldUntil, row.Attempt, row.NextAt = b.now.Add(time.Minute), 1, b.now.Add(time.Minute)
		b.record(&store.Batch{Holds: []store.Queued{row}})
		ok(b.Store.RetryDelivery(b.Context(), row.ID, b.now))(b)
		equal(b, "before", b.due(row.HeldUntil.Add(-time.Millisecond)), nil)
		equal(b, "then", len(b.due(row.HeldUntil)), 1)
	}},
	{"each retry of a finished one is a new delivery", func(b *bench) {
		e := b.recorded(b.now)[0]
		id := to(e, b.endpoint("a").ID)
		b.record(&store.Batch{Outcomes: []store.Outcome{b.outcome(id, store.DeliveryDead)}})
		first := ok(b.Store.RetryDelivery(b.Context(), id, b.now))(b)
		second := ok(b.Store.RetryDelivery(b.Context(), id, b.now))(b)
		if first.Event != id.Event || first.Endpoint != id.Endpoint || first.Replay == 0 || second.Replay <= first.Replay {
			b.Fatalf("retries of %v are %v and %v", id, first, second)
		}
		b.wantState(id, store.DeliveryDead)
		rows := b.due(b.soon)
		equal(b, "Due", deliveryIDs(rows), []store.DeliveryID{first, second})
		if rows[0].Size != len(e.Body) || rows[0].Attempt != 0 || !rows[0].FirstAttempt.IsZero() || rows[0].Reason != store.ReasonManual {
			b.Fatalf("row = %+v", rows[0])
		}
		b.record(&store.Batch{Outcomes: []store.Outcome{b.outcome(first, store.DeliveryDelivered)}})
		if third := ok(b.Store.RetryDelivery(b.Context(), first, b.now))(b); third.Replay <= second.Replay {
			b.Fatalf("replay %d after %d", third.Replay, second.Replay)
		}
	}},
	{"an unknown delivery is not found", func(b *bench) {
		_, err := b.Store.RetryDelivery(b.Context(), to(b.recorded(b.now)[0], b.endpoint("a").ID), b.now)
		b.want(err, store.ErrNotFound)
	}},
	{"nothing goes to a deleted endpoint", func(b *bench) {
		events := b.recorded(b.now, b.now)
		end := b.endpoint("a").ID
		queued, dead := to(events[0], end), to(events[1], end)
		b.record(&store.Batch{Queue: []store.Queued{b.row(queued)}, Outcomes: []store.Outcome{b.outcome(dead, store.DeliveryDead)}})
		b.must(b.Store.DeleteEndpoint(b.Context(), end))
		for _, id := range []store.DeliveryID{queued, dead} {
			_, err := b.Store.RetryDelivery(b.Context(), id, b.now)
			b.want(err, store.ErrGone)
		}
	}},
	{"nothing goes without its body", func(b *bench) {
		id := to(b.recorded(b.ago(time.Hour))[0], b.endpoint("a").ID)
		b.record(&store.Batch{Outcomes: []store.Outcome{b.outcome(id, store.DeliveryDead)}})
		b.expire(b.now, b.ago(24*time.Hour))
		_, err := b.Store.RetryDelivery(b.Context(), id, b.now)
		b.want(err, store.ErrGone)
	}},
}
