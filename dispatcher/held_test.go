package dispatcher

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluicehq/sluice/store"
)

// mostAtOnce returns how many attempts to an endpoint ran at once in the whole fleet, and counts anew.
func (s *sender) mostAtOnce(id store.EndpointID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	most := s.most[id]
	s.most[id] = s.running[id]
	return most
}

// Sixteen endpoints lie in so many shards that a node that joins or leaves always moves some.
const several = 16

func TestAnEndpointsLimitHoldsThroughHandOvers(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		const limit = 3
		for id := range store.EndpointID(several) {
			w.endpoint(id+1, func(e *store.Endpoint) { e.MaxInFlight = limit })
			w.sender.set(id+1, after(11*time.Second, answer(200)))
		}
		var ms []*message
		for range 60 {
			ms = append(ms, w.publish())
		}
		time.Sleep(20 * time.Second)
		other := w.second(Defaults())
		time.Sleep(30 * time.Second)
		if n := len(other.d.shards.Owned(time.Now())); n != store.Shards/2 {
			t.Errorf("the other node has %d shards, want %d", n, store.Shards/2)
		}
		other.end()
		time.Sleep(10 * time.Minute)
		for id := range store.EndpointID(several) {
			if most := w.sender.mostAtOnce(id + 1); most != limit {
				t.Errorf("%d attempts at once to endpoint %d, want %d", most, id+1, limit)
			}
			for _, m := range ms {
				w.wantState(m, id+1, store.DeliveryDelivered)
			}
		}
		if got, want := len(w.sender.arrivals), several*len(ms); got != want {
			t.Errorf("%d attempts, want %d: one each", got, want)
		}
		w.d.mu.Lock()
		defer w.d.mu.Unlock()
		if len(w.d.held) > 0 {
			t.Errorf("%v still count as held, want none", w.d.held)
		}
	})
}

func TestProbeOfTheLastOwnerIsWaitedFor(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		for id := range store.EndpointID(several) {
			w.endpoint(id+1, func(e *store.Endpoint) { e.Timeout = time.Minute })
			w.sender.set(id+1, answer(500))
		}
		for range 20 {
			w.publish()
			time.Sleep(time.Second)
		}
		for id := range store.EndpointID(several) {
			if w.store.Gate(id+1).State != store.GateClosed {
				t.Fatalf("gate %d is open after 20 failures", id+1)
			}
			w.sender.set(id+1, after(50*time.Second, answer(500)))
		}
		time.Sleep(15 * time.Second) // probes run now
		probing := 0
		for id := range store.EndpointID(several) {
			probing += w.sender.mostAtOnce(id + 1)
		}
		other := w.second(Defaults())
		time.Sleep(40 * time.Second)
		for id := range store.EndpointID(several) {
			if most := w.sender.mostAtOnce(id + 1); most > 1 {
				t.Errorf("%d probes at once to endpoint %d, want one", most, id+1)
			}
		}
		if probing < several/2 {
			t.Errorf("%d probes ran when the other node joined, the test is of no use", probing)
		}
		other.end()
	})
}

// silent is a store that does not say what is held.
type silent struct {
	Store
	on atomic.Bool
}

func (s *silent) Held(ctx context.Context, endpoints []store.EndpointID, now time.Time) ([]store.DeliveryID, error) {
	if s.on.Load() {
		return nil, errors.New("down")
	}
	return s.Store.Held(ctx, endpoints, now)
}

func TestNothingStartsBeforeItIsKnownWhatRunsElsewhere(t *testing.T) {
	s := &silent{}
	s.on.Store(true)
	inWorldWith(t, Defaults(), func(way Store) Store { s.Store = way; return s }, func(w *world) {
		w.endpoint(1, func(e *store.Endpoint) { e.MaxInFlight = 1 })
		time.Sleep(store.ShardRenewal) // it was not there at the first renewal
		elsewhere := newMessage()
		until := time.Now().Add(20 * time.Second).Truncate(time.Millisecond)
		err := w.store.Record(t.Context(), &store.Batch{
			Events: []store.EventRow{{Event: elsewhere.event, Matched: 1}},
			Holds:  []store.Queued{{ID: store.DeliveryID{Event: elsewhere.event.ID, Endpoint: 1}, Attempt: 1, NextAt: until, HeldUntil: until, Reason: store.ReasonHold}},
		})
		if err != nil {
			t.Fatal(err)
		}
		w.end()
		w.start(Defaults()) // the next process
		w.publish()
		time.Sleep(10 * time.Second)
		if n := len(w.sender.to(1)); n != 0 || len(w.d.shards.Owned(time.Now())) != 0 {
			t.Errorf("%d attempts before the store said what is held, want none", n)
		}
		s.on.Store(false)
		time.Sleep(5 * time.Second)
		if n := len(w.sender.to(1)); n != 0 {
			t.Errorf("%d attempts while the last owner's may run, want none", n)
		}
		time.Sleep(10 * time.Second)
		if n := len(w.sender.to(1)); n != 2 {
			t.Errorf("%d attempts once it cannot run any more, want both", n)
		}
	})
}

func TestAttemptOfTheLastOwnerThatEndsEarlyIsNotWaitedFor(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1, func(e *store.Endpoint) { e.MaxInFlight = 1 })
		held := newMessage()
		id := store.DeliveryID{Event: held.event.ID, Endpoint: 1}
		until := time.Now().Add(time.Minute).Truncate(time.Millisecond)
		record := func(b *store.Batch) {
			t.Helper()
			if err := w.store.Record(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		record(&store.Batch{
			Events: []store.EventRow{{Event: held.event, Matched: 1}},
			Holds:  []store.Queued{{ID: id, Attempt: 1, NextAt: until, HeldUntil: until, Reason: store.ReasonHold}},
		})
		w.end()
		w.start(Defaults())
		w.publish()
		time.Sleep(10 * time.Second)
		if n := len(w.sender.to(1)); n != 0 {
			t.Errorf("%d attempts while the last owner's may run, want none", n)
		}
		record(&store.Batch{Outcomes: []store.Outcome{{ID: id, State: store.DeliveryDelivered, Attempts: 1, FinishedAt: time.Now().UTC()}}})
		time.Sleep(2 * time.Second)
		if n := len(w.sender.to(1)); n != 1 {
			t.Errorf("%d attempts two seconds after it ended, want one", n)
		}
	})
}
