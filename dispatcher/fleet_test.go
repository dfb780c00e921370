package dispatcher

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"github.com/sluicehq/sluice/store"
)

// second starts another dispatcher on the same store, with its own stream.
func (w *world) second(cfg Config) *world {
	other := &world{t: w.t, store: w.store, sender: w.sender, config: w.config, feed: newFeed()}
	other.d = New(cfg, Deps{
		Node: "node-2", Consumer: other.feed, Store: w.store, Sender: w.sender, Configuration: w.config,
		Bodies: semaphore.NewWeighted(cfg.BodyBytes), Log: zap.NewNop(), Metrics: prometheus.NewRegistry(),
	})
	ctx, stop := context.WithCancel(context.Background())
	other.stop, other.ended = stop, make(chan error, 1)
	go func() { other.ended <- other.d.Run(ctx) }()
	synctest.Wait()
	return other
}

func TestShardsAreSharedWithoutADuplicate(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		for i := range 16 {
			id := store.EndpointID(i + 1)
			w.endpoint(id, func(e *store.Endpoint) { e.MaxInFlight = 4 })
			w.sender.set(id, after(7*time.Second, answer(200)))
		}
		var ms []*message
		publish := func(n int) {
			for range n {
				ms = append(ms, w.publish())
				time.Sleep(500 * time.Millisecond)
			}
		}
		publish(20)
		other := w.second(Defaults())
		publish(40)
		if mine, theirs := len(w.d.shards.Owned(time.Now())), len(other.d.shards.Owned(time.Now())); mine != 32 || theirs != 32 {
			t.Errorf("shards are shared %d to %d, want 32 to 32", mine, theirs)
		}
		other.end()
		publish(20)
		time.Sleep(10 * time.Minute)
		for _, m := range ms {
			for i := range 16 {
				w.wantState(m, store.EndpointID(i+1), store.DeliveryDelivered)
			}
		}
		if got, want := len(w.sender.arrivals), 16*len(ms); got != want {
			t.Errorf("%d attempts, want %d: one each through join and leave", got, want)
		}
	})
}

func TestOneProbeForTheWholeFleet(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1)
		other := w.second(Defaults())
		time.Sleep(20 * time.Second) // shards are shared
		w.sender.set(1, answer(500))
		for range 40 {
			w.publish()
			other.publish()
			time.Sleep(time.Second)
		}
		before := len(w.sender.to(1))
		for range 600 {
			w.publish()
			other.publish()
			time.Sleep(time.Second)
		}
		if probes := len(w.sender.to(1)) - before; probes > 7 {
			t.Errorf("%d attempts in ten minutes behind a gate that two dispatchers share, want at most 7", probes)
		}
		other.end()
	})
}

func TestExpiredOwnershipIsTakenOver(t *testing.T) {
	inWorld(t, Defaults(), func(w *world) {
		w.endpoint(1, func(e *store.Endpoint) { e.MaxInFlight = 4 })
		w.end() // node-1 left in order; node-3 dies with everything
		if _, err := w.store.RenewShards(context.Background(), "node-3"); err != nil {
			t.Fatal(err)
		}
		other := w.second(Defaults())
		m := other.publish()
		time.Sleep(14 * time.Second)
		if n := len(other.sender.to(1)); n != 0 {
			t.Errorf("%d attempts while another node owns the shard, want none", n)
		}
		time.Sleep(10 * time.Second)
		other.wantState(m, 1, store.DeliveryDelivered)
		other.end()
	})
}
