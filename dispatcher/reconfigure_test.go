package dispatcher

import (
	"context"
	"testing"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

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

// The row of the gate that a resume closed comes with the next poll, before the probe has failed or after.
func TestAResumeSendsOneProbe(t *testing.T) {
	for _, takes := range []time.Duration{10 * time.Millisecond, 700 * time.Millisecond, 3 * time.Second} {
		inWorld(t, Defaults(), func(w *world) {
			e := w.endpoint(1)
			w.sender.set(1, answer(500))
			for range 20 {
				w.publish()
				time.Sleep(time.Second)
			}
			w.sender.set(1, after(takes, answer(500)))
			time.Sleep(300 * time.Millisecond) // between two polls
			w.setState(e, store.EndpointPaused)
			time.Sleep(time.Minute)
			before := len(w.sender.to(1))
			moved, err := w.store.SetEndpointState(context.Background(), 1, store.EndpointActive, "")
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(200 * time.Millisecond) // for the snapshot
			w.config.put(&moved)
			time.Sleep(10 * time.Second)
			if n := len(w.sender.to(1)) - before; n != 1 {
				t.Errorf("probes take %v: %d within ten seconds of a resume, want one", takes, n)
			}
			if g := w.store.Gate(1); g.State != store.GateClosed || g.Opens != 1 || !g.NotBefore.After(time.Now()) {
				t.Errorf("probes take %v: the gate is %+v, want it closed for the first time", takes, g)
			}
		})
	}
}
