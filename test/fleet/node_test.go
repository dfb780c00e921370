package fleet

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/sluicehq/sluice/broker"
	brokersqlite "github.com/sluicehq/sluice/broker/sqlite"
	"github.com/sluicehq/sluice/dispatcher"
	"github.com/sluicehq/sluice/egress"
	"github.com/sluicehq/sluice/pkg/dialguard"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/postgres"
	"github.com/sluicehq/sluice/store/snapshot"
)

const (
	topic   = "sluice.events"
	history = 30 * 24 * time.Hour
)

// node is one dispatcher of the fleet, with a broker of its own.
type node interface {
	publish(t *testing.T, n int) // n events of type gate.test, accepted by this node
	stop(t *testing.T)           // in order, and waits for the end
}

// settings are what a node is made of.
type settings struct {
	URL  string       `json:"url"`
	Key  store.Secret `json:"-"`
	Dir  string       `json:"dir"`
	Name string       `json:"name"`
}

// run runs a dispatcher until ctx ends. It calls ready with what publishes at its broker.
func (s settings) run(ctx context.Context, log *zap.Logger, ready func(publish func(n int) error)) (err error) {
	sealer, err := store.ParseKeys(s.Key)
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	st, err := postgres.Open(ctx, postgres.Config{URL: s.URL, Sealer: sealer, History: history}, log, reg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	watcher := snapshot.New(snapshot.Config{}, st, sealer, log, reg)
	if err := watcher.Load(ctx); err != nil {
		return err
	}
	cfg := dispatcher.Defaults()
	bodies := semaphore.NewWeighted(cfg.BodyBytes)
	b, err := s.openBroker(ctx, bodies, log, reg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close(context.WithoutCancel(ctx))) }()
	guard, err := dialguard.New(dialguard.Config{Allow: []string{"127.0.0.0/8"}, AllowHTTP: true})
	if err != nil {
		return err
	}
	sender := egress.New(egress.Defaults(), guard, log, reg, noop.NewTracerProvider().Tracer(""))
	defer sender.Close()
	d := dispatcher.New(cfg, dispatcher.Deps{
		Node: s.Name, Consumer: b.Consumer(topic, "fleet"), Store: st, Sender: sender, Configuration: watched{watcher},
		Bodies: bodies, Log: log, Metrics: reg,
	})
	ready(func(n int) error { return publish(ctx, b.Publisher(), n) })
	beside, end := context.WithCancel(context.WithoutCancel(ctx)) // the dispatcher needs it while it stops
	parts := errgroup.Group{}
	parts.Go(func() error { return watcher.Run(beside) })
	err = d.Run(ctx)
	end()
	return errors.Join(err, parts.Wait())
}

func (s settings) openBroker(ctx context.Context, bodies *semaphore.Weighted, log *zap.Logger, reg prometheus.Registerer) (broker.Broker, error) {
	cfg, err := brokersqlite.Parse("sqlite:", s.Dir)
	if err != nil {
		return nil, err
	}
	cfg.Bodies = bodies
	return brokersqlite.Open(ctx, cfg, log, reg)
}

// watched is the snapshot as the dispatcher sees it.
type watched struct{ *snapshot.Watcher }

func (w watched) Current() dispatcher.Snapshot { return w.Watcher.Current() }

func publish(ctx context.Context, to broker.Publisher, n int) error {
	msgs := make([]*broker.Message, n)
	for i := range msgs {
		e := newEvent("gate.test")
		msgs[i] = &broker.Message{Topic: topic, Headers: event.Encode(e), Body: e.Body}
	}
	return to.Publish(ctx, msgs...)
}

func newEvent(kind string) *event.Event {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return &event.Event{
		ID: event.NewID(now), Tenant: event.DefaultTenant, Source: "api", Type: kind, Time: now, ContentType: "application/json", Body: []byte(`{"n":1}`),
	}
}

// inside is a node in the test's own process.
type inside struct {
	cancel func()
	ended  chan error
	send   func(n int) error
}

func startInside(t *testing.T, s settings) node {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	n := &inside{cancel: cancel, ended: make(chan error, 1)}
	ready := make(chan func(int) error, 1)
	go func() { n.ended <- s.run(ctx, zap.NewNop(), func(send func(int) error) { ready <- send }) }()
	t.Cleanup(func() { n.stop(t) })
	select {
	case n.send = <-ready:
	case err := <-n.ended:
		n.ended <- err
		t.Fatalf("node %s: %v", s.Name, err)
	}
	return n
}

func (n *inside) publish(t *testing.T, count int) {
	t.Helper()
	if err := n.send(count); err != nil {
		t.Fatal(err)
	}
}

func (n *inside) stop(t *testing.T) {
	t.Helper()
	n.cancel()
	err := <-n.ended
	n.ended <- nil // for whoever stops it again
	if err != nil {
		t.Error(fmt.Errorf("a node ended: %w", err))
	}
}
