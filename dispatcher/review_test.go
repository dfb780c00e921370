package dispatcher

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/egress"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// lease gives a message a stream and a context of its own.
func (m *message) lease(stream string) (lose context.CancelFunc) {
	m.stream = stream
	m.ctx, lose = context.WithCancel(context.Background())
	return lose
}

// settled wants each endpoint's delivery recorded, finished or queued, if the message is acked, and it to be acked.
func (w *world) wantSettled(m *message, endpoints int) {
	w.t.Helper()
	w.wantAcked(m, true)
	for i := range endpoints {
		id := store.DeliveryID{Event: m.event.ID, Endpoint: store.EndpointID(i + 1)}
		_, finished := w.store.Outcome(id)
		if _, queued := w.store.Queued(id); !finished && !queued {
			w.t.Errorf("lost: the delivery to endpoint %d is neither finished nor queued", i+1)
			return
		}
	}
}

func TestCopyOfAnotherStreamOutlivesTheLeaseItJoined(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.store.SetDown(true)
		first := newMessage()
		lose := first.lease("0")
		go w.d.Handle([]broker.Lease{first})
		synctest.Wait()
		second := first.again()
		second.lease("1")
		w.d.Handle([]broker.Lease{second})
		lose()
		time.Sleep(time.Second)
		w.store.SetDown(false)
		time.Sleep(10 * time.Second)
		w.wantSettled(second, 1)
	})
}

func TestMessageOutlivesTheLeaseOfAnotherInItsBatch(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.store.SetDown(true)
		first, second := newMessage(), newMessage()
		lose := first.lease("0")
		second.lease("0")
		go w.d.Handle([]broker.Lease{first, second})
		synctest.Wait()
		lose()
		time.Sleep(time.Second)
		w.store.SetDown(false)
		time.Sleep(10 * time.Second)
		w.wantSettled(second, 1)
	})
}

func TestFanOutCutShortByALostLeaseDoesNotSettleItsCopy(t *testing.T) {
	cfg := Defaults()
	cfg.OpenLimit = fanOutSlice
	inWorld(t, cfg, func(w *world) {
		const n = fanOutSlice + 20
		w.endpoints(n)
		for i := range n {
			w.sender.set(store.EndpointID(i+1), after(2*time.Second, answer(200)))
		}
		first := newMessage()
		lose := first.lease("0")
		go w.d.Handle([]broker.Lease{first})
		synctest.Wait() // the first slice runs, the second waits for room
		second := first.again()
		second.lease("1")
		w.d.Handle([]broker.Lease{second})
		lose()
		time.Sleep(time.Minute)
		w.wantSettled(second, n)
	})
}

// endpoints adds n endpoints at once.
func (w *world) endpoints(n int) {
	w.config.update(func() {
		for i := range n {
			e := store.Endpoint{
				ID: store.EndpointID(i + 1), Tenant: event.DefaultTenant, Subscriptions: []store.Subscription{{}}, State: store.EndpointActive,
				MaxQueued: store.DefaultMaxQueued, Timeout: store.DefaultTimeout, Retry: store.DefaultRetry(),
			}
			w.config.endpoints[e.ID] = &e
			w.store.PutEndpoint(e)
		}
	})
	synctest.Wait()
}

func TestFanOutLargerThanTheRoomForOpenDeliveries(t *testing.T) {
	cfg := Defaults()
	cfg.OpenLimit = 3
	inWorld(t, cfg, func(w *world) {
		w.endpoints(10)
		m := w.publish()
		time.Sleep(time.Second)
		w.wantSettled(m, 10)
	})
}

func TestEndpointPausedBetweenMatchAndOfferIsLeftAlone(t *testing.T) {
	cfg := Defaults()
	cfg.OpenLimit = 1
	inWorld(t, cfg, func(w *world) {
		w.endpoint(1, func(e *store.Endpoint) { e.Subscriptions = []store.Subscription{{Types: []string{"a"}}} })
		e := *w.endpoint(2, func(e *store.Endpoint) { e.Subscriptions = []store.Subscription{{Types: []string{"b"}}} })
		w.sender.set(1, after(3*time.Second, answer(200)))
		w.publish(func(e *event.Event) { e.Type = "a" })
		m := w.publish(func(e *event.Event) { e.Type = "b" }) // matched, and waits for room
		w.setState(&e, store.EndpointPaused)
		time.Sleep(time.Minute)
		if got := w.sender.to(2); len(got) != 0 {
			t.Errorf("%d attempts to an endpoint that was paused before the first, want none", len(got))
		}
		w.wantState(m, 2, store.DeliveryQueued)
	})
}

func TestEndpointPausedWhileItsDueRowsAreLoadedIsLeftAlone(t *testing.T) {
	loads := &countingStore{}
	inWorldWith(t, Defaults(), func(s Store) Store { loads.Store = s; return loads }, func(w *world) {
		paused := *w.endpoint(1, func(e *store.Endpoint) { e.MaxInFlight = 2 })
		paused.State = store.EndpointPaused
		loads.during = func() {
			w.config.put(&paused)
			time.Sleep(time.Millisecond)
		}
		w.publish()
		time.Sleep(time.Minute)
		if loads.loaded.Load() == 0 {
			t.Fatal("nothing was loaded")
		}
		if got := w.sender.to(1); len(got) != 0 {
			t.Errorf("%d attempts while paused, want none", len(got))
		}
	})
}

func TestStopDoesNotRepeatWhatItsDueRowsStillSend(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		for i := range 8 {
			id := store.EndpointID(i + 1)
			w.endpoint(id, func(e *store.Endpoint) { e.MaxInFlight, e.Timeout = 4, time.Minute })
			w.sender.set(id, after(22*time.Second, answer(200)))
		}
		other := w.second(Defaults())
		time.Sleep(30 * time.Second) // shards are shared
		m := w.publish()
		time.Sleep(3 * time.Second) // all run
		other.end()
		time.Sleep(3 * time.Minute)
		w.wantSettled(m, 8)
		if got := len(w.sender.arrivals); got != 8 {
			t.Errorf("%d attempts for 8 deliveries through a stop, want 8", got)
		}
	})
}

func TestResumedEndpointIsOpenInTheWholeFleet(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		e := *w.endpoint(1)
		other := w.second(Defaults())
		time.Sleep(30 * time.Second) // shards are shared
		w.publish()
		other.publish()
		w.setState(&e, store.EndpointPaused)
		w.publish() // for the probe
		time.Sleep(10 * time.Second)
		w.setState(&e, store.EndpointActive)
		time.Sleep(10 * time.Second)
		if g := w.store.Gate(1); g.State != store.GateOpen {
			t.Fatalf("gate %+v 10 s after the resume, want it open", g)
		}
		for _, p := range []*world{w, other} {
			p.d.mu.Lock()
			if l := p.d.endpoints[1]; l != nil && l.lane.Closed() {
				t.Errorf("a lane is closed 10 s after its gate opened")
			}
			p.d.mu.Unlock()
		}
		other.end()
	})
}

func TestRampIsNotEndedByWhoeverLostTheShard(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.sender.set(1, answer(500))
		w.publishEvery(500, 100*time.Millisecond)
		w.sender.set(1, after(20*time.Millisecond, answer(200)))
		for before := len(w.sender.to(1)); len(w.sender.to(1)) < before+5; { // the ramp has begun
			time.Sleep(time.Second)
		}
		w.steal(1)
		for range 20 {
			time.Sleep(3 * time.Second)
			if _, err := w.store.RenewShards(context.Background(), "node-9"); err != nil {
				t.Fatal(err)
			}
		}
		if g := w.store.Gate(1); g.State != store.GateClosed {
			_, queued, _, _ := w.store.Counts()
			t.Errorf("gate %s although %d deliveries wait, want closed: the shard is another's", g.State, queued)
		}
	})
}

// steal gives an endpoint's shard to a node that is not there.
func (w *world) steal(id store.EndpointID) {
	shards := []store.Shard{id.Shard()}
	ctx := context.Background()
	if err := w.store.ReleaseShards(ctx, "node-1", shards); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.store.RenewShards(ctx, "node-9"); err != nil {
		w.t.Fatal(err)
	}
}

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

func TestDeletedEndpointsLeaveMemory(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.endpoint(2)
		w.publish()
		w.config.remove(1)
		time.Sleep(time.Minute)
		w.d.mu.Lock()
		defer w.d.mu.Unlock()
		if _, ok := w.d.endpoints[1]; ok {
			t.Error("a deleted endpoint is still in memory after a minute")
		}
	})
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

func TestRowsOfAShardThatWasAnothersMeanwhileAreReadAnew(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1, func(e *store.Endpoint) { e.MaxInFlight = 1 })
		w.sender.set(1, after(50*time.Second, answer(200)))
		w.config.update(func() {
			e := *w.config.endpoints[1]
			e.Timeout = time.Minute
			w.config.endpoints[1] = &e
		})
		w.publish()
		time.Sleep(3 * time.Second)
		m := w.publish() // waits in the lane behind the first
		time.Sleep(3 * time.Second)
		ctx, shards := context.Background(), []store.Shard{store.EndpointID(1).Shard()}
		if err := w.store.ReleaseShards(ctx, "node-1", shards); err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.RenewShards(ctx, "node-9"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(8 * time.Second) // node-9 delivers it
		id := store.DeliveryID{Event: m.event.ID, Endpoint: 1}
		if err := w.store.Record(ctx, &store.Batch{Outcomes: []store.Outcome{{ID: id, State: store.DeliveryDelivered}}}); err != nil {
			t.Fatal(err)
		}
		if err := w.store.LeaveShards(ctx, "node-9"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		if got := w.sender.to(1); len(got) != 1 {
			t.Errorf("%d attempts, want 1: another owner delivered the second", len(got))
		}
	})
}

func TestCopyThatJoinsAfterTheHoldIsHeldToo(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1, func(e *store.Endpoint) { e.Timeout = time.Minute })
		w.sender.set(1, hang)
		m := newMessage()
		lose := m.lease("0")
		w.feed.push(m)
		synctest.Wait()
		lose()
		time.Sleep(6 * time.Second) // the hold has passed: nobody's lease is live
		again := m.again()
		w.feed.push(again)
		time.Sleep(6 * time.Second)
		w.wantSettled(again, 1)
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

func TestQueueIsCountedAndSweptWhileItGrows(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		e := *w.endpoint(1)
		w.setState(&e, store.EndpointPaused)
		w.publish()
		w.store.SetLatency(time.Millisecond)
		for range 200 {
			w.publish()
			time.Sleep(time.Second)
		}
		w.wantDepth(1, 201)
	})
}

func (w *world) wantDepth(id store.EndpointID, atLeast int64) {
	w.t.Helper()
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	if got := w.d.depths[id].Rows; got < atLeast {
		w.t.Errorf("%d rows counted, want %d or more", got, atLeast)
	}
}
