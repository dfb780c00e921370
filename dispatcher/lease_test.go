package dispatcher

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluicehq/sluice/broker"
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

// panicking panics in its first look-up.
type panicking struct {
	Store
	once sync.Once
}

func (p *panicking) Seen(ctx context.Context, q []store.SeenQuery) ([]store.Seen, error) {
	p.once.Do(func() { panic("a bug") })
	return p.Store.Seen(ctx, q)
}

func TestMessageComesAgainAfterAPanic(t *testing.T) {
	inWorldWith(t, Defaults(), func(s Store) Store { return &panicking{Store: s} }, func(w *world) {
		w.endpoint(1)
		m := newMessage()
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic did not reach the broker, which then does not lend the message again")
				}
			}()
			w.d.Handle([]broker.Lease{m})
		}()
		again := m.again()
		w.feed.push(again)
		w.wantSettled(again, 1)
	})
}
