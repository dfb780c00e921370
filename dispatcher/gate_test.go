package dispatcher

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/egress"
	"github.com/sluicehq/sluice/store"
)

// publishEvery publishes n events, one each d.
func (w *world) publishEvery(n int, d time.Duration) []*message {
	var ms []*message
	for range n {
		ms = append(ms, w.publish())
		time.Sleep(d)
	}
	return ms
}

func TestDeadEndpointCostsOneProbeEachOpenPeriod(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.sender.set(1, answer(500))
		w.publishEvery(30, time.Second)
		if g := w.store.Gate(1); g.State != store.GateClosed || g.FailingSince.IsZero() {
			t.Fatalf("gate %+v after 30 s of failures, want it closed and failing", g)
		}
		before := len(w.sender.to(1))
		w.publishEvery(1200, time.Second)
		if probes := len(w.sender.to(1)) - before; probes < 4 || probes > 10 {
			t.Errorf("%d attempts in 20 minutes behind the gate, want 4 to 10", probes)
		}
	})
}

func TestRecoveredEndpointIsRampedUpAndNothingIsLost(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.sender.set(1, answer(500))
		ms := w.publishEvery(2000, 100*time.Millisecond)
		w.sender.set(1, after(20*time.Millisecond, answer(200)))
		healed := time.Now()
		time.Sleep(30 * time.Minute)
		for _, m := range ms {
			w.wantState(m, 1, store.DeliveryDelivered)
		}
		if g := w.store.Gate(1); g.State != store.GateOpen || g.Opens != 0 || !g.FailingSince.IsZero() {
			t.Errorf("gate %+v after recovery, want it open without a memory", g)
		}
		wantRamp(t, w.sender.to(1), healed)
	})
}

// wantRamp wants each arrival after healed to stay within twice the rate of the 10 s before, and 1/s.
func wantRamp(t *testing.T, arrivals []arrival, healed time.Time) {
	t.Helper()
	for i, a := range arrivals {
		if a.at.Before(healed) {
			continue
		}
		second, before := 0, 0
		for j := i; j >= 0 && a.at.Sub(arrivals[j].at) < 11*time.Second; j-- {
			if a.at.Sub(arrivals[j].at) < time.Second {
				second++
			} else {
				before++
			}
		}
		if limit := max(1, 2*before/10); second > limit+1 {
			t.Fatalf("%d attempts within a second after %d in the 10 s before, want at most %d", second, before, limit)
		}
	}
}

func TestThrottledEndpointIsLeftAloneForAsLongAsItAsked(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.sender.set(1, func(context.Context, *egress.Attempt) egress.Result {
			return egress.Result{Outcome: egress.OutcomeThrottled, Status: 429, RetryAfter: time.Minute, Error: "429"}
		})
		first := w.publish()
		w.sender.set(1, answer(200))
		time.Sleep(30 * time.Second)
		second := w.publish()
		time.Sleep(29 * time.Second)
		if got := w.sender.to(1); len(got) != 1 {
			t.Errorf("%d attempts within the minute it asked for, want 1", len(got))
		}
		time.Sleep(10 * time.Second)
		w.wantState(first, 1, store.DeliveryDelivered)
		w.wantState(second, 1, store.DeliveryDelivered)
		if g := w.store.Gate(1); g.Opens != 0 || !g.FailingSince.IsZero() {
			t.Errorf("gate %+v, want no failure counted", g)
		}
	})
}

func TestRateLimitHolds(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1, func(e *store.Endpoint) { e.RateLimit = store.RateLimit{PerSecond: 5, Burst: 5} })
		for range 100 {
			w.publish()
		}
		time.Sleep(time.Minute)
		got := w.sender.to(1)
		if len(got) != 100 {
			t.Fatalf("%d attempts, want 100", len(got))
		}
		if took := got[99].at.Sub(got[0].at); took < 18*time.Second || took > 22*time.Second {
			t.Errorf("100 attempts at 5/s took %v, want about 20 s", took)
		}
	})
}

func TestMaxInFlightHolds(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1, func(e *store.Endpoint) { e.MaxInFlight = 3 })
		w.sender.set(1, after(500*time.Millisecond, answer(200)))
		for range 60 {
			w.publish()
		}
		time.Sleep(time.Minute)
		if got := w.sender.to(1); len(got) != 60 {
			t.Errorf("%d attempts, want 60", len(got))
		}
		if w.sender.most[1] != 3 {
			t.Errorf("%d attempts at once, want 3 reached and kept", w.sender.most[1])
		}
	})
}

func TestPausedEndpointQueuesAndResumes(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		e := *w.endpoint(1, func(e *store.Endpoint) { e.Retry.MaxAge = 10 * time.Hour })
		w.setState(&e, store.EndpointPaused)
		m := w.publish()
		w.wantAcked(m, true)
		time.Sleep(20 * time.Hour)
		w.wantState(m, 1, store.DeliveryQueued)
		if got := w.sender.to(1); len(got) != 0 {
			t.Errorf("%d attempts while paused, want none", len(got))
		}
		w.setState(&e, store.EndpointActive)
		time.Sleep(3 * time.Second)
		w.wantState(m, 1, store.DeliveryDelivered)
	})
}

// setState moves an endpoint in the store and in the configuration.
func (w *world) setState(e *store.Endpoint, state store.EndpointState) {
	w.t.Helper()
	moved, err := w.store.SetEndpointState(context.Background(), e.ID, state, "test")
	if err != nil {
		w.t.Fatal(err)
	}
	w.config.put(&moved)
	synctest.Wait()
}

func TestDeletedEndpointsQueueIsCanceled(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		e := *w.endpoint(1)
		w.sender.set(1, answer(500))
		m := w.publish()
		w.wantState(m, 1, store.DeliveryQueued)
		e.State = store.EndpointDeleted
		w.store.PutEndpoint(e)
		w.config.remove(1)
		time.Sleep(2 * time.Minute)
		w.wantState(m, 1, store.DeliveryCanceled)
	})
}

func TestGoneForTwoEventsDisables(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.sender.set(1, answer(410))
		w.publish()
		time.Sleep(59 * time.Second) // its own retries do not count
		if e := w.store.Endpoint(1); e.State != store.EndpointActive {
			t.Fatalf("endpoint is %s after 410 for one event, want active", e.State)
		}
		time.Sleep(5 * time.Second)
		w.publish()
		if e := w.store.Endpoint(1); e.State != store.EndpointDisabled {
			t.Errorf("endpoint is %s after 410 for two events a minute apart, want disabled", e.State)
		}
	})
}

func TestEndpointThatFailsForFiveDaysIsDisabled(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.sender.set(1, answer(503))
		w.publishEvery(60, 15*time.Second)
		g := w.store.Gate(1)
		g.FailingSince = time.Now().Add(time.Hour - failingFor) // as if it had gone on for days
		if _, err := w.store.SetGate(context.Background(), g); err != nil {
			t.Fatal(err)
		}
		w.publishEvery(50, time.Minute)
		if e := w.store.Endpoint(1); e.State != store.EndpointActive {
			t.Errorf("endpoint is %s after almost 5 days of failures, want active", e.State)
		}
		w.publishEvery(20, time.Minute)
		if e := w.store.Endpoint(1); e.State != store.EndpointDisabled {
			t.Errorf("endpoint is %s after 5 days of failures, want disabled", e.State)
		}
	})
}

func TestOverMaxQueuedIsDead(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		e := *w.endpoint(1, func(e *store.Endpoint) { e.MaxQueued = 10 })
		w.setState(&e, store.EndpointPaused)
		for range 10 {
			w.publish()
		}
		time.Sleep(20 * time.Second) // the queue is counted
		m := w.publish()
		w.wantState(m, 1, store.DeliveryDead)
		o, _ := w.store.Outcome(store.DeliveryID{Event: m.event.ID, Endpoint: 1})
		if o.Reason != store.ReasonOverflow {
			t.Errorf("reason %s, want overflow", o.Reason)
		}
	})
}

func TestHangingEndpointsHoldHealthyOnesUpForASecondAtMost(t *testing.T) {
	cfg := Defaults()
	cfg.InFlight, cfg.SlowInFlight = 16, 32
	inWorld(t, cfg, func(w *world) {
		w.endpoint(1)
		w.publish() // proves it
		for i := range 20 {
			w.endpoint(store.EndpointID(100 + i))
			w.sender.set(store.EndpointID(100+i), hang)
		}
		for range 30 {
			m := w.publish()
			time.Sleep(time.Second)
			w.wantState(m, 1, store.DeliveryDelivered)
		}
	})
}

func TestRowEndedWhileTheDueQueryRanIsNotAttemptedAgain(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.store.SetLatency(40 * time.Millisecond)
		w.endpoint(1, func(e *store.Endpoint) { e.MaxInFlight = 8 })
		w.sender.set(1, after(7*time.Millisecond, answer(200)))
		for range 500 {
			w.publish()
		}
		time.Sleep(2 * time.Minute)
		if got := w.sender.to(1); len(got) != 500 {
			t.Errorf("%d attempts for 500 events, want one each", len(got))
		}
	})
}
