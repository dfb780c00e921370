package storetest

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// fullEvent has something in every field, and every byte in its body.
func (b *bench) fullEvent() *event.Event {
	e := b.event(b.now)
	e.Tenant, e.Source, e.Type, e.Key, e.GivenID, e.Origin = "acme", "orders", "order.created", "customer/7", "Zß-1", "//shop/7"
	e.Method, e.Path, e.Query, e.ContentType = "POST", "/a/b c", "x=%20&y='", "application/json; charset=utf-8"
	e.Headers = map[string]string{"x-b": "2", "x-a": "", "x-latin": "caf\xe9"}
	e.TraceParent, e.TraceState = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "vendor=1"
	e.Body = nil
	for i := range 256 {
		e.Body = append(e.Body, byte(i))
	}
	return e
}

func (b *bench) loaded(id event.ID) *event.Event {
	b.Helper()
	events := ok(b.Store.LoadEvents(b.Context(), []event.ID{id}))(b)
	if events[id] == nil {
		b.Fatal("the event was not loaded")
	}
	return events[id]
}

var recordPromises = []promise{
	{"an event comes back with every field", func(b *bench) {
		e := b.fullEvent()
		b.record(&store.Batch{Events: []store.EventRow{{Event: e, Matched: 3}}})
		equal(b, "LoadEvents", b.loaded(e.ID), e)
		r := ok(b.Store.GetEvent(b.Context(), e.ID))(b)
		bare := *e
		bare.Body = nil
		equal(b, "GetEvent", r, store.RecordedEvent{Event: bare, Size: 256, Matched: 3})
	}},
	{"bodies come back byte for byte, whatever their size", func(b *bench) {
		for _, size := range []int{0, 1, 1023, 4000, 20_000, 1 << 20} {
			e := b.event(b.now)
			e.Body = bytes.Repeat([]byte{0, 0xff, 'x'}, size/3+1)[:size]
			b.record(&store.Batch{Events: []store.EventRow{{Event: e}}})
			got, _, err := b.Store.GetBody(b.Context(), e.ID)
			b.must(err)
			if !bytes.Equal(got, e.Body) || got == nil || !bytes.Equal(b.loaded(e.ID).Body, e.Body) {
				b.Fatalf("a body of %d bytes came back as one of %d", size, len(got))
			}
		}
	}},
	{"an event whose time is not the one in its id keeps both", func(b *bench) {
		e := b.event(b.now)
		e.Time = b.now.Add(-time.Hour)
		b.record(&store.Batch{Events: []store.EventRow{{Event: e}}})
		if got := b.loaded(e.ID); !got.Time.Equal(e.Time) || got.ID != e.ID {
			b.Fatalf("time = %v, want %v", got.Time, e.Time)
		}
	}},
	{"many events of one millisecond are kept apart", func(b *bench) {
		batch := &store.Batch{}
		for i := range 40 {
			e := b.event(b.now)
			copy(e.ID[6:], bytes.Repeat([]byte{0x5a}, 9)) // alike but for the last byte
			e.ID[15], e.Body = byte(i), []byte{byte(i)}
			batch.Events = append(batch.Events, store.EventRow{Event: e})
		}
		b.record(batch)
		for _, row := range batch.Events {
			if got := b.loaded(row.Event.ID).Body; !bytes.Equal(got, row.Event.Body) {
				b.Fatalf("body = %x, want %x", got, row.Event.Body)
			}
		}
	}},
	{"the first write of an event stays", func(b *bench) {
		e := b.recorded(b.now)[0]
		changed := *e
		changed.Type, changed.Body = "other", []byte("other")
		b.record(&store.Batch{Events: []store.EventRow{{Event: &changed, Matched: 9}}})
		equal(b, "LoadEvents", b.loaded(e.ID), e)
	}},
	{"nothing of a batch refused for its data is written", func(b *bench) {
		e := b.event(b.now)
		bad := b.outcome(to(e, 1), store.DeliveryQueued) // no end
		err := b.Store.Record(b.Context(), &store.Batch{Events: []store.EventRow{{Event: e}}, Outcomes: []store.Outcome{bad}})
		b.want(err, store.ErrData)
		if b.known(e.ID).Recorded {
			b.Fatal("the event of a refused batch was recorded")
		}
	}},
	{"a refused batch does not spoil those beside it", func(b *bench) {
		var wg sync.WaitGroup
		errs := make([]error, 40)
		events := make([]*event.Event, len(errs))
		for i := range errs {
			events[i] = b.event(b.now)
			state := store.DeliveryDelivered
			if i%8 == 3 {
				state = store.DeliveryQueued
			}
			batch := &store.Batch{Events: []store.EventRow{{Event: events[i]}}, Outcomes: []store.Outcome{b.outcome(to(events[i], 1), state)}}
			wg.Go(func() { errs[i] = b.Store.Record(b.Context(), batch) })
		}
		wg.Wait()
		for i, err := range errs {
			if refused := i%8 == 3; refused != errors.Is(err, store.ErrData) || !refused && err != nil || b.known(events[i].ID).Recorded == refused {
				b.Errorf("batch %d: error %v, recorded %v", i, err, b.known(events[i].ID).Recorded)
			}
		}
	}},
	{"odd bytes in text are kept or refused, never changed", func(b *bench) {
		e := b.event(b.now)
		e.Type, e.Key, e.GivenID, e.Query = "a\x00b", "\xff\xfe", "caf\xe9", "\xf0\x28"
		err := b.Store.Record(b.Context(), &store.Batch{Events: []store.EventRow{{Event: e}}})
		if errors.Is(err, store.ErrData) {
			return
		}
		b.must(err)
		equal(b, "LoadEvents", b.loaded(e.ID), e)
	}},
	{"a canceled context writes nothing", func(b *bench) {
		ctx, cancel := context.WithCancel(b.Context())
		cancel()
		e := b.event(b.now)
		b.want(b.Store.Record(ctx, &store.Batch{Events: []store.EventRow{{Event: e}}}), context.Canceled)
		if b.known(e.ID).Recorded {
			b.Fatal("it was recorded")
		}
	}},
	{"a batch written twice is as written once", func(b *bench) {
		e := b.event(b.now)
		queued, finished, held := to(e, 1), to(e, 2), to(e, 3)
		hold := b.row(held)
		hold.Attempt, hold.HeldUntil = 1, b.now.Add(time.Minute)
		batch := &store.Batch{
			Events: []store.EventRow{{Event: e, Matched: 3}}, Queue: []store.Queued{b.row(queued)}, Holds: []store.Queued{hold},
			Outcomes:   []store.Outcome{b.outcome(finished, store.DeliveryDead)},
			Attempts:   []store.Attempt{{ID: finished, Number: 1, Started: b.now, Status: 500}},
			Quarantine: []store.Quarantined{{Topic: "t", Stream: "0", Position: "1", Reason: "x", At: b.now}},
		}
		read := func() []any {
			deliveries := ok(b.Store.ListDeliveries(b.Context(), store.DeliveryQuery{Event: e.ID, Limit: 10}))(b)
			attempts := ok(b.Store.ListAttempts(b.Context(), finished))(b)
			quarantine := ok(b.Store.ListQuarantine(b.Context(), 0, 10))(b)
			return []any{deliveries, attempts, quarantine, b.known(e.ID)}
		}
		b.record(batch)
		once := read()
		b.record(batch)
		equal(b, "after the second", read(), once)
	}},
	{"parts of a batch take effect in the order of its fields", func(b *bench) {
		e := b.event(b.now)
		id := to(e, 1)
		retry := store.Retry{ID: id, Attempt: 1, FirstAttempt: b.now, NextAt: b.now.Add(time.Hour), Reason: store.ReasonRetry, LastStatus: 503}
		batch := &store.Batch{Events: []store.EventRow{{Event: e}}, Queue: []store.Queued{b.row(id)}, Retries: []store.Retry{retry}}
		b.record(batch)
		if d := b.delivery(id); d.State != store.DeliveryQueued || d.LastStatus != 503 || !d.NextAt.Equal(retry.NextAt) {
			b.Fatalf("the retry did not follow the row: %+v", d)
		}
		next := to(b.event(b.now), 1)
		b.record(&store.Batch{Queue: []store.Queued{b.row(next)}, Outcomes: []store.Outcome{b.outcome(next, store.DeliveryDelivered)}})
		b.wantState(next, store.DeliveryDelivered)
		equal(b, "Due", deliveryIDs(b.due(b.soon)), nil)
	}},
	{"failed attempts are listed first to last", func(b *bench) {
		e := b.recorded(b.now)[0]
		first := store.Attempt{ID: to(e, 1), Number: 1, Started: b.now, Duration: 1500 * time.Microsecond, Status: 500, Error: "server error", Excerpt: bytes.Repeat([]byte{0, 0xff}, 8<<10)}
		second := store.Attempt{ID: to(e, 1), Number: 2, Started: b.now.Add(time.Minute), Error: strings.Repeat("x", 512)}
		other := store.Attempt{ID: to(e, 2), Number: 1, Started: b.now}
		b.record(&store.Batch{Attempts: []store.Attempt{second, other, first}})
		equal(b, "ListAttempts", ok(b.Store.ListAttempts(b.Context(), to(e, 1)))(b), []store.Attempt{first, second})
		equal(b, "of an unknown delivery", ok(b.Store.ListAttempts(b.Context(), to(e, 9)))(b), nil)
	}},
	{"duplicates are counted on their holder, also before its row comes", func(b *bench) {
		e, other := b.event(b.now), b.recorded(b.now)[0]
		b.record(&store.Batch{Duplicates: map[event.ID]int64{e.ID: 2, other.ID: 1}})
		b.record(&store.Batch{Events: []store.EventRow{{Event: e}}, Duplicates: map[event.ID]int64{e.ID: 3}})
		for _, want := range []struct {
			id event.ID
			n  int64
		}{{e.ID, 5}, {other.ID, 1}} {
			if got := ok(b.Store.GetEvent(b.Context(), want.id))(b).Duplicates; got != want.n {
				b.Errorf("duplicates = %d, want %d", got, want.n)
			}
		}
	}},
	{"a quarantined message keeps everything, once", func(b *bench) {
		q := store.Quarantined{
			Topic: "sluice.events", Stream: "3", Position: "17", Reason: "no type", At: b.now, Key: []byte{0, 1}, Body: []byte{0xff, 0},
			Headers: map[string]string{"ce_id": "1", "odd": "\xff"}, Event: b.event(b.now).ID,
		}
		later := store.Quarantined{Topic: "sluice.events", Stream: "3", Position: "18", At: b.now.Add(time.Second)}
		again := q
		again.Reason = "other"
		b.record(&store.Batch{Quarantine: []store.Quarantined{q, later, again}})
		rows := ok(b.Store.ListQuarantine(b.Context(), 0, 10))(b)
		if len(rows) != 2 || rows[0].Number <= rows[1].Number {
			b.Fatalf("ListQuarantine = %+v, want two, newest first", rows)
		}
		equal(b, "the older", rows[1].Quarantined, q)
		equal(b, "below the newer", ok(b.Store.ListQuarantine(b.Context(), rows[0].Number, 10))(b), rows[1:])
		equal(b, "one of them", ok(b.Store.ListQuarantine(b.Context(), 0, 1))(b), rows[:1])
	}},
}
