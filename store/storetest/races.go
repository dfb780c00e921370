package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

var racePromises = []promise{
	{"of many that claim at once one holds, whatever is recorded meanwhile", func(b *bench) {
		const rounds, askers = 60, 6
		ctx, cancel := context.WithCancel(b.Context())
		var recorder sync.WaitGroup
		recorder.Go(func() { // moves claims to where they are durable, all the time
			for ctx.Err() == nil {
				e := b.event(b.now)
				if err := b.Store.Record(b.Context(), &store.Batch{Events: []store.EventRow{{Event: e}}}); err != nil {
					b.Error(err)
				}
			}
		})
		for round := range rounds {
			holders := make([]event.ID, askers)
			own := make([]event.ID, askers)
			var wg sync.WaitGroup
			for i := range askers {
				e := b.event(b.now)
				own[i] = e.ID
				wg.Go(func() {
					for range 4 {
						answers, err := b.Store.Seen(b.Context(), []store.SeenQuery{b.claim(e, byte(round), time.Hour)})
						if err != nil {
							b.Error(err)
							return
						}
						if holders[i] != (event.ID{}) && holders[i] != answers[0].Holder {
							b.Errorf("the holder changed from %s to %s", holders[i], answers[0].Holder)
						}
						holders[i] = answers[0].Holder
					}
				})
			}
			wg.Wait()
			held := 0
			for i := range holders {
				if holders[i] != holders[0] {
					b.Errorf("two holders of one claim: %s and %s", holders[0], holders[i])
				}
				if holders[i] == own[i] {
					held++
				}
			}
			if held != 1 {
				b.Errorf("%d events hold one claim", held)
			}
		}
		cancel()
		recorder.Wait()
	}},
	{"a delivery's outcomes from many batches at once end at the highest", func(b *bench) {
		events := b.recorded(b.now, b.now, b.now, b.now)
		var wg sync.WaitGroup
		for i := range 32 {
			id := to(events[i%4], 1)
			wg.Go(func() {
				batch := &store.Batch{Queue: []store.Queued{b.row(id)}}
				switch i / 4 % 3 {
				case 0:
					batch.Outcomes = []store.Outcome{b.outcome(id, store.DeliveryDead)}
				case 1:
					batch.Outcomes = []store.Outcome{b.outcome(id, store.DeliveryDelivered)}
				}
				if err := b.Store.Record(b.Context(), batch); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
		for _, e := range events {
			b.wantState(to(e, 1), store.DeliveryDelivered)
		}
		equal(b, "Due", b.due(b.soon), nil)
	}},
	{"readers and writers of everything at once", func(b *bench) {
		end := b.endpoint("a")
		ctx := b.Context()
		var wg sync.WaitGroup
		var recorded atomic.Int64
		for i := range 3 {
			wg.Go(func() {
				for range 20 {
					e := b.event(b.now)
					batch := &store.Batch{Events: []store.EventRow{{Event: e}}, Queue: []store.Queued{b.row(to(e, end.ID))}}
					if i == 0 {
						batch.Outcomes = []store.Outcome{b.outcome(to(e, end.ID), store.DeliveryDelivered)}
					}
					if err := b.Store.Record(ctx, batch); err != nil {
						b.Error(err)
					}
					recorded.Add(1)
				}
			})
		}
		for name, f := range map[string]func(i int) error{
			"due": func(int) error {
				_, err := b.Store.Due(ctx, store.DueQuery{Shards: everyShard(), Now: b.soon, Room: 10, Limit: 10})
				return err
			},
			"lists": func(int) error {
				if _, err := b.Store.ListDeliveries(ctx, store.DeliveryQuery{Endpoint: end.ID, Limit: 5}); err != nil {
					return err
				}
				_, err := b.Store.ListEvents(ctx, store.EventQuery{Limit: 5})
				return err
			},
			"configuration": func(i int) error {
				if _, err := b.Store.CreateSource(ctx, newSource(fmt.Sprint("s", i))); err != nil {
					return err
				}
				_, err := b.Store.Changes(ctx, int64(i))
				return err
			},
			"shards": func(i int) error {
				_, err := b.Store.RenewShards(ctx, fmt.Sprint("node", i%3))
				return err
			},
			"retention": func(int) error {
				_, err := b.Store.Expire(ctx, b.now.Add(-time.Hour), b.now.Add(-time.Hour), b.now, 10)
				return err
			},
		} {
			wg.Go(func() {
				for i := range 20 {
					if err := f(i); err != nil {
						b.Errorf("%s: %v", name, err)
					}
				}
			})
		}
		wg.Wait()
		if got := len(b.events(store.EventQuery{})); int64(got) != recorded.Load() {
			b.Fatalf("%d events are listed, %d were recorded", got, recorded.Load())
		}
	}},
	{"Check finds a store that works", func(b *bench) {
		b.source("a")
		b.endpoint("a")
		b.must(b.Store.Check(b.Context()))
	}},
}
