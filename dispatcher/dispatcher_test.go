package dispatcher

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/egress"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

func TestEventReachesEveryEndpointAndSettles(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.endpoint(2)
		m := w.publish()
		w.wantState(m, 1, store.DeliveryDelivered)
		w.wantState(m, 2, store.DeliveryDelivered)
		w.wantAcked(m, true)
		if events, queued, finished, _ := w.store.Counts(); events != 1 || queued != 0 || finished != 2 {
			t.Errorf("%d events, %d queued, %d finished; want 1, 0, 2", events, queued, finished)
		}
	})
}

func TestUnmatchedEventIsRecordedAndSettles(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		m := w.publish()
		w.wantAcked(m, true)
		if events, _, _, _ := w.store.Counts(); events != 1 {
			t.Errorf("%d events recorded, want 1", events)
		}
	})
}

func TestFailedAttemptIsQueuedAndTriedAgain(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.sender.set(1, answer(500))
		m := w.publish()
		w.wantState(m, 1, store.DeliveryQueued)
		w.wantAcked(m, true)
		w.sender.set(1, answer(200))
		time.Sleep(12 * time.Second)
		w.wantState(m, 1, store.DeliveryDelivered)
		got := w.sender.to(1)
		if len(got) != 2 || got[1].number != 2 {
			t.Fatalf("arrivals %v, want two, the second with number 2", got)
		}
		if wait := got[1].at.Sub(got[0].at); wait < 5*time.Second || wait > 11*time.Second {
			t.Errorf("second attempt came after %v, want 5 s to 10 s and at most a second for the due loop", wait)
		}
		o, _ := w.store.Outcome(store.DeliveryID{Event: m.event.ID, Endpoint: 1})
		if o.Attempts != 2 || len(w.store.Attempts(o.ID)) != 1 {
			t.Errorf("%d attempts with %d failed ones kept, want 2 and 1", o.Attempts, len(w.store.Attempts(o.ID)))
		}
	})
}

func TestRetriesEndAfterMaxAgeWithOneLastAttempt(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1, func(e *store.Endpoint) { e.Retry.MaxAge = 6 * time.Hour })
		w.sender.set(1, answer(400))
		m := w.publish()
		time.Sleep(6*time.Hour - time.Minute)
		w.wantState(m, 1, store.DeliveryQueued)
		time.Sleep(2 * time.Minute)
		w.wantState(m, 1, store.DeliveryDead)
		o, _ := w.store.Outcome(store.DeliveryID{Event: m.event.ID, Endpoint: 1})
		if o.Reason != store.ReasonExhausted || o.Attempts < 7 || o.Attempts > 11 {
			t.Errorf("dead with reason %s after %d attempts, want exhausted after 7 to 11", o.Reason, o.Attempts)
		}
	})
}

func TestSilentEndpointHoldsEventForMaxHoldOnly(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.sender.set(1, hang)
		m := w.publish()
		time.Sleep(5*time.Second - 1)
		w.wantAcked(m, false)
		time.Sleep(time.Nanosecond)
		w.wantAcked(m, true)
		w.wantState(m, 1, store.DeliveryQueued)
		q, _ := w.store.Queued(store.DeliveryID{Event: m.event.ID, Endpoint: 1})
		if q.Attempt != 1 || q.HeldUntil.Sub(m.event.Time).Round(time.Second) != 45*time.Second {
			t.Errorf("held with attempt %d until %v after acceptance, want 1 and 45 s", q.Attempt, q.HeldUntil.Sub(m.event.Time))
		}
	})
}

func TestOutcomeOfHeldAttemptIsRecorded(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.sender.set(1, after(8*time.Second, answer(200)))
		m := w.publish()
		time.Sleep(9 * time.Second)
		w.wantState(m, 1, store.DeliveryDelivered)
		time.Sleep(time.Minute)
		if got := w.sender.to(1); len(got) != 1 {
			t.Errorf("%d attempts, want 1", len(got))
		}
	})
}

func TestHeldAttemptThatFailsIsTriedAgainOnItsSchedule(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.sender.set(1, after(8*time.Second, answer(500)))
		m := w.publish()
		time.Sleep(9 * time.Second)
		w.sender.set(1, answer(200))
		time.Sleep(12 * time.Second)
		w.wantState(m, 1, store.DeliveryDelivered)
		if got := w.sender.to(1); len(got) != 2 {
			t.Errorf("%d attempts, want 2", len(got))
		}
	})
}

func TestMessageThatComesAgain(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		m := w.publish()
		w.wantAcked(m, true)
		again := m.again()
		w.feed.push(again)
		w.wantAcked(again, true)
		if got := w.sender.to(1); len(got) != 1 {
			t.Errorf("%d attempts for a message that came twice, want 1", len(got))
		}
	})
}

func TestCopyOfAnEventInFlightIsJoined(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.sender.set(1, after(2*time.Second, answer(200)))
		m := w.publish()
		again := m.again()
		w.feed.push(again)
		w.wantAcked(again, false)
		time.Sleep(3 * time.Second)
		w.wantAcked(m, true)
		w.wantAcked(again, true)
		if got := w.sender.to(1); len(got) != 1 {
			t.Errorf("%d attempts, want 1", len(got))
		}
	})
}

func TestDuplicateIsDroppedAndCounted(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		given := func(e *event.Event) { e.GivenID = "evt-1" }
		first, second := w.publish(given), w.publish(given)
		other := w.publish(given, func(e *event.Event) { e.Body = []byte("another body is another event") })
		w.wantAcked(second, true)
		w.wantState(other, 1, store.DeliveryDelivered)
		if got := w.sender.to(1); len(got) != 2 {
			t.Errorf("%d attempts, want 2: the duplicate's none", len(got))
		}
		if n := w.store.Duplicates(first.event.ID); n != 1 {
			t.Errorf("%d duplicates counted, want 1", n)
		}
	})
}

func TestSourceWithoutDedupeKeepsCopies(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.config.update(func() { w.config.sources["github"] = &store.Source{Name: "github", Dedupe: false} })
		w.endpoint(1)
		given := func(e *event.Event) { e.GivenID = "evt-1" }
		w.publish(given)
		w.publish(given)
		if got := w.sender.to(1); len(got) != 2 {
			t.Errorf("%d attempts, want 2", len(got))
		}
	})
}

func TestUndecodableMessageGoesToQuarantine(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		m := newMessage()
		m.raw = &broker.Message{Topic: "sluice.events", Body: []byte("not an event")}
		w.feed.push(m)
		w.wantAcked(m, true)
		if _, _, _, quarantined := w.store.Counts(); quarantined != 1 {
			t.Errorf("%d quarantined, want 1", quarantined)
		}
	})
}

func TestRefusedByPolicyIsDeadAtOnce(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.sender.set(1, func(context.Context, *egress.Attempt) egress.Result {
			return egress.Result{Outcome: egress.OutcomeRefused, Error: "address denied"}
		})
		m := w.publish()
		w.wantState(m, 1, store.DeliveryDead)
		w.wantAcked(m, true)
	})
}

func TestStoreOutageLosesAndRepeatsNothing(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.sender.set(1, after(time.Second, answer(200)))
		before := w.publish()
		w.store.SetDown(true)
		during := w.publish()
		time.Sleep(20 * time.Second)
		w.wantAcked(before, false)
		w.wantAcked(during, false)
		w.store.SetDown(false)
		time.Sleep(5 * time.Second)
		w.wantState(before, 1, store.DeliveryDelivered)
		w.wantState(during, 1, store.DeliveryDelivered)
		w.wantAcked(before, true)
		w.wantAcked(during, true)
		if got := w.sender.to(1); len(got) != 2 {
			t.Errorf("%d attempts, want 2", len(got))
		}
	})
}

func TestUnconfirmedSnapshotMatchesNothing(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.config.mu.Lock()
		w.config.stale = time.Now()
		w.config.mu.Unlock()
		time.Sleep(3 * time.Second)
		m := w.publish()
		if got := w.sender.to(1); len(got) != 0 {
			t.Errorf("%d attempts by a snapshot 3 s old, want none", len(got))
		}
		w.config.mu.Lock()
		w.config.stale = time.Time{}
		w.config.mu.Unlock()
		time.Sleep(time.Second)
		w.wantState(m, 1, store.DeliveryDelivered)
	})
}

func TestStopQueuesWhatWaitsAndHoldsWhatRuns(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1, func(e *store.Endpoint) { e.Timeout = time.Minute })
		w.sender.set(1, hang)
		var ms []*message
		for range 6 { // four run, two wait
			ms = append(ms, w.publish())
		}
		begin := time.Now()
		w.end()
		if took := time.Since(begin); took > 30*time.Second {
			t.Errorf("stop took %v, want 25 s and a little", took)
		}
		for _, m := range ms {
			w.wantAcked(m, true)
			w.wantState(m, 1, store.DeliveryQueued)
		}
	})
}

func TestStopWaitsForAttemptsThatEndInTime(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.sender.set(1, after(4*time.Second, answer(200)))
		m := w.publish()
		w.end()
		w.wantState(m, 1, store.DeliveryDelivered)
		w.wantAcked(m, true)
	})
}

func TestRowThatTheStoreRefusesIsFoundAndBlanked(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.store.Refuse(func(b *store.Batch) bool {
			for _, row := range b.Events {
				if row.Event.Path == "bad" {
					return true
				}
			}
			return false
		})
		w.store.SetLatency(10 * time.Millisecond) // so that the three share a batch
		good, bad := newMessage(), newMessage(func(e *event.Event) { e.Path = "bad" })
		w.feed.push(good, bad, newMessage())
		time.Sleep(time.Second)
		for _, m := range []*message{good, bad} {
			w.wantAcked(m, true)
			w.wantState(m, 1, store.DeliveryDelivered)
		}
		if events, _, _, _ := w.store.Counts(); events != 3 {
			t.Errorf("%d events recorded, want 3", events)
		}
	})
}

func TestLargeFanOutIsMatchedInSlices(t *testing.T) {
	cfg := Defaults()
	cfg.OpenLimit = fanOutSlice
	inWorld(t, cfg, func(w *world) {
		w.config.update(func() {
			for i := range 3 * fanOutSlice {
				e := store.Endpoint{
					ID: store.EndpointID(i + 1), Tenant: event.DefaultTenant, Subscriptions: []store.Subscription{{}}, State: store.EndpointActive,
					MaxQueued: 1, Timeout: time.Second, Retry: store.DefaultRetry(),
				}
				w.config.endpoints[e.ID] = &e
				w.store.PutEndpoint(e)
			}
		})
		synctest.Wait()
		m := w.publish()
		time.Sleep(time.Second)
		w.wantAcked(m, true)
		if _, _, finished, _ := w.store.Counts(); finished != 3*fanOutSlice {
			t.Errorf("%d deliveries finished, want %d", finished, 3*fanOutSlice)
		}
	})
}

func TestLostLeaseIsNotAttemptedNorItsFailureRecorded(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.endpoint(2)
		w.sender.set(1, after(2*time.Second, answer(500)))
		w.sender.set(2, after(2*time.Second, answer(200)))
		m := newMessage()
		ctx, lose := context.WithCancel(context.Background())
		m.ctx = ctx
		w.feed.push(m)
		synctest.Wait()
		lose()
		time.Sleep(3 * time.Second)
		w.wantState(m, 1, "nothing")
		w.wantState(m, 2, store.DeliveryDelivered)
		w.wantAcked(m, true) // harmless: ownership is gone
		again := m.again()
		w.sender.set(1, answer(200))
		w.feed.push(again)
		w.wantState(m, 1, store.DeliveryDelivered)
		if got := w.sender.to(2); len(got) != 1 {
			t.Errorf("%d attempts to the endpoint whose success was recorded, want 1", len(got))
		}
	})
}

func TestMessageOfALostLeaseThatComesBackStartsAnew(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		w.endpoint(2)
		w.sender.set(1, after(3*time.Second, answer(200)))
		w.sender.set(2, after(4*time.Second, answer(200)))
		for range startLimitOfALane {
			w.publish()
		}
		m := newMessage() // waits in the lane of endpoint 1 and of endpoint 2
		ctx, lose := context.WithCancel(context.Background())
		m.ctx = ctx
		w.feed.push(m)
		synctest.Wait()
		lose()
		time.Sleep(3500 * time.Millisecond) // the first lane noticed, the second did not yet
		again := m.again()
		w.feed.push(again)
		time.Sleep(20 * time.Second)
		w.wantState(m, 1, store.DeliveryDelivered)
		w.wantState(m, 2, store.DeliveryDelivered)
		w.wantAcked(again, true)
	})
}

// startLimitOfALane is how many attempts of a new lane run at once.
const startLimitOfALane = 4
