package dispatcher

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/egress"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

func TestRowsOfDeadEndpointsLeaveRoomForOthers(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		const dead = 150
		w.endpoints(dead)
		w.config.update(func() {
			for id, e := range w.config.endpoints {
				e := *e
				e.MaxInFlight = 4
				w.config.endpoints[id] = &e
				w.sender.behave[id] = after(1100*time.Millisecond, answer(500))
			}
		})
		synctest.Wait()
		for range 24 {
			w.publish()
		}
		time.Sleep(time.Minute)
		w.d.mu.Lock()
		loaded := w.d.loaded
		w.d.mu.Unlock()
		if loaded > loadedLimit/4 {
			t.Errorf("%d rows in memory a minute after %d endpoints died, want few: their gates are closed", loaded, dead)
		}
		for id := range w.config.endpoints {
			w.sender.set(id, answer(200))
		}
	})
}

func TestRowLargerThanTheMemoryForBodiesHoldsUpNobody(t *testing.T) {
	cfg := Defaults()
	cfg.BodyBytes = 1 << 20
	inWorld(t, cfg, func(w *world) {
		w.endpoint(1, func(e *store.Endpoint) { e.MaxInFlight = 2 })
		w.endpoint(2, func(e *store.Endpoint) { e.MaxInFlight = 2 })
		large := w.publish(func(e *event.Event) { e.Body = make([]byte, 1<<20+1) })
		small := w.publish()
		time.Sleep(time.Minute)
		w.wantState(large, 1, store.DeliveryDelivered)
		w.wantState(small, 1, store.DeliveryDelivered)
		w.wantState(small, 2, store.DeliveryDelivered)
	})
}

func TestQueueGetsItsTurnAtTheMemoryForBodies(t *testing.T) {
	cfg := Defaults()
	cfg.BodyBytes = 1 << 20
	inWorld(t, cfg, func(w *world) {
		w.endpoint(1, func(e *store.Endpoint) { e.MaxInFlight = 2 })
		ctx, stop := context.WithCancel(context.Background())
		for range 2 { // two fetchers want all of it, all the time
			go func() {
				for w.d.deps.Bodies.Acquire(ctx, cfg.BodyBytes) == nil {
					time.Sleep(10 * time.Millisecond)
					w.d.deps.Bodies.Release(cfg.BodyBytes)
				}
			}()
		}
		m := w.publish()
		time.Sleep(10 * time.Second)
		w.wantState(m, 1, store.DeliveryDelivered)
		stop()
		time.Sleep(time.Second)
	})
}

func TestLargeRowsAreNotLoadedOverAndOver(t *testing.T) {
	loads := &countingStore{}
	inWorldWith(t, Defaults(), func(s Store) Store { loads.Store = s; return loads }, func(w *world) {
		w.endpoint(1, func(e *store.Endpoint) { e.MaxInFlight, e.Timeout = 1, time.Minute })
		w.sender.set(1, after(20*time.Second, answer(200)))
		for range 20 {
			w.publish(func(e *event.Event) { e.Body = make([]byte, 600<<10) })
		}
		time.Sleep(2 * time.Minute)
		if n := loads.loaded.Load(); n > 200 {
			t.Errorf("%d bodies loaded for 6 attempts, want few", n)
		}
	})
}

func TestEventsThatCannotBeLoadedAreNotAskedForInAHurry(t *testing.T) {
	loads := &countingStore{}
	inWorldWith(t, Defaults(), func(s Store) Store { loads.Store = s; return loads }, func(w *world) {
		w.endpoint(1, func(e *store.Endpoint) { e.MaxInFlight = 1 })
		loads.fail.Store(true)
		m := w.publish()
		time.Sleep(time.Minute)
		if n := loads.loaded.Load(); n > 1500 {
			t.Errorf("%d look-ups in a minute, want at most one every 50 ms", n)
		}
		loads.fail.Store(false)
		time.Sleep(2 * time.Second)
		w.wantState(m, 1, store.DeliveryDelivered)
	})
}

// countingStore counts the events it loads, or fails to.
type countingStore struct {
	Store
	loaded atomic.Int64
	fail   atomic.Bool
	during func() // called while events are being loaded; nil: nothing
}

func (c *countingStore) LoadEvents(ctx context.Context, ids []event.ID) (map[event.ID]*event.Event, error) {
	c.loaded.Add(int64(len(ids)))
	if c.during != nil {
		c.during()
	}
	if c.fail.Load() {
		return nil, errors.New("no such partition")
	}
	return c.Store.LoadEvents(ctx, ids)
}

func TestDeliveryWhoseRowIsRefusedForGoodIsQuarantined(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.sender.set(1, answer(500))
		w.store.Refuse(func(b *store.Batch) bool { return len(b.Queue) > 0 })
		m := w.publish()
		w.wantAcked(m, true)
		if _, _, _, quarantined := w.store.Counts(); quarantined != 1 {
			t.Errorf("%d in quarantine for an event whose delivery could be neither queued nor finished, want 1", quarantined)
		}
	})
}

func TestAbortedAttemptIsNotTheFirst(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1, func(e *store.Endpoint) { e.Retry.MaxAge = time.Hour })
		w.sender.set(1, func(context.Context, *egress.Attempt) egress.Result {
			return egress.Result{Outcome: egress.OutcomeAborted, Error: "no route"}
		})
		m := w.publish()
		time.Sleep(2 * time.Hour)
		w.wantState(m, 1, store.DeliveryQueued)
		w.sender.set(1, answer(200))
		time.Sleep(time.Minute)
		w.wantState(m, 1, store.DeliveryDelivered)
	})
}

func TestCountOfTheQueueStaysTheSweeps(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		e := *w.endpoint(1)
		w.setState(&e, store.EndpointPaused)
		depths := map[store.EndpointID]store.Depth{1: {Rows: 7}}
		w.d.counted(depths) // the sweep goes through them meanwhile, without our lock
		w.publish()
		w.d.mu.Lock()
		defer w.d.mu.Unlock()
		if depths[1].Rows != 7 || w.d.depths[1].Rows != 8 {
			t.Errorf("the sweep has %d rows and the dispatcher %d, want 7 and 8", depths[1].Rows, w.d.depths[1].Rows)
		}
	})
}
