package dispatcher

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/egress"
	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/storetest"
)

// BenchmarkEvent is what one event with one delivery costs the dispatcher itself: store and endpoint cost nothing.
func BenchmarkEvent(b *testing.B) {
	const batch = 64
	config := newConfig()
	w := &world{store: storetest.NewMemory(), config: config}
	config.put(&store.Endpoint{
		ID: 1, Tenant: "default", Subscriptions: []store.Subscription{{}}, MaxQueued: 1 << 20, Timeout: store.DefaultTimeout,
		Retry: store.DefaultRetry(), State: store.EndpointActive,
	})
	done := &counter{target: batch, full: make(chan struct{}, 1)}
	cfg := Defaults()
	d := New(cfg, Deps{
		Node: "n", Consumer: idle{}, Store: &freeStore{w.store}, Sender: freeSender{}, Configuration: config,
		Bodies: semaphore.NewWeighted(cfg.BodyBytes), Log: zap.NewNop(), Metrics: prometheus.NewRegistry(),
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- d.Run(ctx) }()
	ls := make([]broker.Lease, batch)
	b.ReportAllocs()
	for b.Loop() {
		for i := range ls {
			m := newMessage()
			m.raw = m.Message()
			ls[i] = &countedLease{message: m, done: done}
		}
		d.Handle(ls)
		<-done.full
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/batch, "ns/event")
	stop()
	if err := <-ended; err != nil {
		b.Error(err)
	}
}

type counter struct {
	n, target int64
	full      chan struct{}
}

type countedLease struct {
	*message
	done *counter
}

func (l *countedLease) Ack() {
	if atomic.AddInt64(&l.done.n, 1)%l.done.target == 0 {
		l.done.full <- struct{}{}
	}
}

type idle struct{}

func (idle) Run(ctx context.Context, _ broker.Handler) error { <-ctx.Done(); return nil }
func (idle) Lag(context.Context) ([]broker.Lag, error)       { return nil, nil }

type freeSender struct{}

func (freeSender) Send(context.Context, *egress.Attempt) egress.Result {
	return egress.Result{Outcome: egress.OutcomeDelivered, Status: 200}
}

type freeStore struct{ *storetest.Memory }

func (freeStore) Seen(_ context.Context, q []store.SeenQuery) ([]store.Seen, error) {
	return make([]store.Seen, len(q)), nil
}
func (freeStore) Record(context.Context, *store.Batch) error { return nil }
