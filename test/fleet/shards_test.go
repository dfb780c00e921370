package fleet

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/pkg/wait"
	"github.com/sluicehq/sluice/store"
)

const (
	severalEndpoints = 16
	ownLimit         = 3                      // attempts at once to each of them
	answerTime       = 150 * time.Millisecond // of each
	feedEvery        = 100 * time.Millisecond
	lookBack         = 3 * time.Second // what a killed process had not recorded began no earlier
)

// feeding queues events for endpoints until it is stopped.
type feeding struct {
	stop   context.CancelFunc
	ended  chan error
	events []event.ID // once ended
}

func (d *database) feed(endpoints []store.Endpoint) *feeding {
	ctx, stop := context.WithCancel(context.WithoutCancel(d.t.Context()))
	f := &feeding{stop: stop, ended: make(chan error, 1)}
	go func() {
		for wait.For(ctx, feedEvery) {
			id, err := d.queue(context.WithoutCancel(ctx), endpoints)
			if err != nil {
				f.ended <- err
				return
			}
			f.events = append(f.events, id)
		}
		f.ended <- nil
	}()
	d.t.Cleanup(func() { f.end(d.t) })
	return f
}

func (f *feeding) end(t *testing.T) {
	t.Helper()
	f.stop()
	if err := <-f.ended; err != nil {
		t.Error(err)
	}
	f.ended <- nil // for whoever ends it again
}

// fleetWithWork is a database with endpoints that have limits of their own, so that only owners of shards send to them,
// and rows for them that keep coming.
func fleetWithWork(t *testing.T) (d *database, r *receiver, f *feeding) {
	t.Helper()
	d, r = newDatabase(t), startReceiver(t, answerTime)
	var endpoints []store.Endpoint
	for i := range severalEndpoints {
		endpoints = append(endpoints, d.endpoint(r, fmt.Sprint("e", i), "queue.only", func(e *store.Endpoint) { e.MaxInFlight = ownLimit }))
	}
	return d, r, d.feed(endpoints)
}

// awaitWork waits until so many more deliveries have come.
func (r *receiver) awaitWork(t *testing.T, n int) {
	t.Helper()
	want := r.came("") + n
	await(t, time.Minute, func() bool { return r.came("") >= want }, func() string { return fmt.Sprintf("%d deliveries came, want %d", r.came(""), want) })
}

// wantEach ends the feed, waits until everything is delivered, and wants each delivery once: twice only if the first
// came since killed, which is zero if nothing was.
func wantEach(t *testing.T, d *database, r *receiver, f *feeding, killed time.Time) {
	t.Helper()
	f.end(t)
	await(t, 2*time.Minute, func() bool { return d.number("SELECT count(*) FROM queue") == 0 },
		func() string {
			return fmt.Sprintf("%d deliveries still queued", d.number("SELECT count(*) FROM queue"))
		})
	total := severalEndpoints * len(f.events)
	if n := d.number("SELECT count(*) FROM deliveries WHERE state = 3"); n != total {
		t.Errorf("%d deliveries recorded as delivered, want %d", n, total)
	}
	got, twice := r.accepted(), 0
	for i := range severalEndpoints {
		for _, id := range f.events {
			came := got[[2]string{fmt.Sprint("e", i), id.String()}]
			switch {
			case len(came) == 0:
				t.Errorf("%s did not come to e%d", id, i)
			case len(came) == 1:
			case killed.IsZero() || came[0].at.Before(killed.Add(-lookBack)) || came[0].at.After(killed) || len(came) > 2:
				t.Errorf("%s came %d times to e%d, first at %v", id, len(came), i, came[0].at)
			default:
				twice++
			}
		}
	}
	if most := r.mostAtOnce(); most > ownLimit {
		t.Errorf("an endpoint got %d requests at once, want %d at most", most, ownLimit)
	}
	t.Logf("%d deliveries, %d of them twice, at most %d at once", total, twice, r.mostAtOnce())
}

func TestShardsMoveOnJoinAndLeaveWithoutADuplicate(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T, settings) node{"in one process": startInside, "in processes": startProcess} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, r, f := fleetWithWork(t)
			start(t, d.node("a"))
			d.awaitShards(map[string]int{"a": 64})
			r.awaitWork(t, 100)
			b := start(t, d.node("b"))
			d.awaitShards(map[string]int{"a": 32, "b": 32})
			r.awaitWork(t, 300)
			b.stop(t)
			d.awaitShards(map[string]int{"a": 64})
			r.awaitWork(t, 100)
			wantEach(t, d, r, f, time.Time{})
		})
	}
}

func TestShardsOfAKilledProcessAreTakenOver(t *testing.T) {
	t.Parallel()
	d, r, f := fleetWithWork(t)
	startProcess(t, d.node("a"))
	b := launch(t, d.node("b"))
	d.awaitShards(map[string]int{"a": 32, "b": 32})
	r.awaitWork(t, 300)
	b.kill()
	killed := time.Now()
	d.awaitShards(map[string]int{"a": 64})
	if took := time.Since(killed); took > store.ShardTTL+2*store.ShardRenewal {
		t.Errorf("its shards were taken over after %v, want %v at most", took, store.ShardTTL+2*store.ShardRenewal)
	}
	wantEach(t, d, r, f, killed)
}
