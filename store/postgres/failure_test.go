package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/pkg/wait"
	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/test/pgtest"
)

// patience is how long a test waits for what comes.
const patience = 30 * time.Second

// opened migrates a database at its own address, and opens it through another one, such as a proxy's.
func opened(t testing.TB, direct, through string) *Store {
	t.Helper()
	if _, err := Migrate(t.Context(), direct, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	return open(t, through, store.GenerateKey())
}

// behindProxy is a store on a new database, with a proxy between them.
func behindProxy(t testing.TB, server *pgtest.Server) (s *Store, proxy *pgtest.Proxy, direct string) {
	t.Helper()
	direct = server.Database(t)
	proxy = pgtest.NewProxy(t, server.Addr())
	return opened(t, direct, pgtest.At(proxy.Addr(), direct)), proxy, direct
}

// queuedEndpoint is the one that delivered queues for.
const queuedEndpoint store.EndpointID = 3

// delivered is a batch of events, each with one delivery that succeeded, one that failed, and one that is queued.
func delivered(events int) *store.Batch {
	now := time.Now().UTC().Truncate(time.Millisecond)
	b := &store.Batch{}
	for range events {
		e := &event.Event{ID: event.NewID(now), Tenant: event.DefaultTenant, Source: "github", Type: "push", Time: now, Body: []byte("{}")}
		id := func(endpoint store.EndpointID) store.DeliveryID {
			return store.DeliveryID{Event: e.ID, Endpoint: endpoint}
		}
		b.Events = append(b.Events, store.EventRow{Event: e, Matched: 3})
		b.Outcomes = append(b.Outcomes,
			store.Outcome{ID: id(1), State: store.DeliveryDelivered, Attempts: 1, FirstAttempt: now, FinishedAt: now, LastStatus: 200},
			store.Outcome{ID: id(2), State: store.DeliveryDead, Reason: store.ReasonExhausted, Attempts: 1, FirstAttempt: now, FinishedAt: now})
		b.Attempts = append(b.Attempts, store.Attempt{ID: id(2), Number: 1, Started: now, Status: 500})
		b.Queue = append(b.Queue, store.Queued{ID: id(queuedEndpoint), Size: 2, NextAt: now, QueuedAt: now, Reason: store.ReasonGate})
	}
	return b
}

// wantExactly checks that a database has these events and what belongs to them once, and nothing else.
func wantExactly(t *testing.T, s *Store, events int) {
	t.Helper()
	for table, want := range map[string]int{"events": events, "bodies": events, "deliveries": 2 * events, "attempts": events, "queue": events} {
		var got int
		eventually(t, func(ctx context.Context) error { // an idle connection may be broken, and not know it yet
			return s.people.QueryRow(ctx, `SELECT count(*) FROM `+table).Scan(&got)
		})
		if got != want {
			t.Errorf("%d rows of %s, want %d", got, table, want)
		}
	}
}

// eventually repeats f until it succeeds.
func eventually(t *testing.T, f func(ctx context.Context) error) {
	t.Helper()
	over, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		ctx, stop := context.WithTimeout(over, 2*time.Second)
		err := f(ctx)
		stop()
		if err == nil {
			return
		}
		if errors.Is(err, store.ErrData) || !wait.For(over, 20*time.Millisecond) {
			t.Fatalf("after %v still: %v", patience, err)
		}
	}
}

func TestBatchesRepeatedOverCrashesAreExact(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	url := server.Database(t)
	s := opened(t, url, url)
	const writers, events = 3, 20
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	var mu sync.Mutex
	recorded, failed := 0, 0
	progress := make(chan struct{}, 1)
	for range writers {
		working.Go(func() {
			for ctx.Err() == nil {
				batch := delivered(events)
				eventually(t, func(ctx context.Context) error {
					err := s.Record(ctx, batch)
					mu.Lock()
					defer mu.Unlock()
					if err != nil {
						failed++
						return err
					}
					recorded += events
					return nil
				})
				select {
				case progress <- struct{}{}:
				default:
				}
			}
		})
	}
	for range 2 {
		for range 20 {
			<-progress
		}
		server.Restart(t, pgtest.Immediate)
	}
	<-progress
	stop()
	working.Wait()
	if failed == 0 {
		t.Error("no batch failed: nothing was tested")
	}
	t.Logf("%d events recorded, %d calls failed", recorded, failed)
	wantExactly(t, s, recorded)
}

// fill has a pool make all its connections.
func fill(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	for range pool.Config().MaxConns {
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Release()
	}
}

func TestRestartCostsAtMostOneCallWithConnectionsFromBefore(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{NoSync: true})
	url := server.Database(t)
	s := opened(t, url, url)
	if err := s.Record(t.Context(), delivered(1)); err != nil {
		t.Fatal(err)
	}
	for _, pool := range []*pgxpool.Pool{s.dispatch, s.people} {
		fill(t, pool)
	}
	server.Restart(t, pgtest.Fast)
	if _, err := s.CreateEndpoint(t.Context(), anEndpoint("billing")); err != nil {
		t.Errorf("a change on a connection from before the restart: %v", err)
	}
	batch := delivered(1)
	for call := 1; ; call++ {
		err := s.Record(t.Context(), batch)
		if err == nil {
			break
		}
		if call == 2 {
			t.Fatalf("the second call after the restart: %v", err)
		}
	}
	wantExactly(t, s, 2)
}

func anEndpoint(name string) store.Endpoint {
	return store.Endpoint{
		Tenant: event.DefaultTenant, Name: name, URL: "https://example.com/" + name, MaxQueued: store.DefaultMaxQueued,
		Timeout: store.DefaultTimeout, Retry: store.DefaultRetry(), ManagedBy: store.ManagedByAPI,
	}
}

// calls are one of each kind of call of a store.
func calls(s *Store) map[string]func(ctx context.Context) error {
	batch := delivered(1)
	return map[string]func(ctx context.Context) error{
		"Record": func(ctx context.Context) error { return s.Record(ctx, batch) },
		"Seen":   s.claimed,
		"Due": func(ctx context.Context) error {
			_, err := s.Due(ctx, store.DueQuery{Shards: []store.Shard{queuedEndpoint.Shard()}, Now: time.Now(), Room: 1, Limit: 1})
			return err
		},
		"Depths": func(ctx context.Context) error {
			_, err := s.Depths(ctx, []store.Shard{queuedEndpoint.Shard()})
			return err
		},
		"LoadEvents": func(ctx context.Context) error {
			_, err := s.LoadEvents(ctx, []event.ID{batch.Events[0].Event.ID})
			return err
		},
		"Finish": s.ended,
		"RenewShards": func(ctx context.Context) error {
			_, err := s.RenewShards(ctx, "node")
			return err
		},
		"ListGates": func(ctx context.Context) error {
			_, err := s.ListGates(ctx, time.Time{})
			return err
		},
		"Changes": func(ctx context.Context) error {
			_, err := s.Changes(ctx, 0)
			return err
		},
		"ListEvents": func(ctx context.Context) error {
			_, err := s.ListEvents(ctx, store.EventQuery{Limit: 1})
			return err
		},
		"CreateEndpoint": func(ctx context.Context) error {
			_, err := s.CreateEndpoint(ctx, anEndpoint(fmt.Sprint("made", time.Now().UnixNano())))
			return err
		},
		"Expire": func(ctx context.Context) error {
			now := time.Now()
			_, err := s.Expire(ctx, now.Add(-keepLong), now.Add(-keepLong), now, 10)
			return err
		},
	}
}

func TestSilentNetworkEndsEachCallByItsContext(t *testing.T) {
	t.Parallel()
	s, proxy, _ := behindProxy(t, pgtest.Shared(t))
	all := calls(s)
	for name, call := range all {
		if err := call(t.Context()); err != nil {
			t.Fatalf("%s before the cut: %v", name, err)
		}
	}
	proxy.Silence()
	const limit = 300 * time.Millisecond
	var working sync.WaitGroup
	for name, call := range all {
		working.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			began := time.Now()
			err := call(ctx)
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s = %v, want the deadline", name, err)
			}
			if took := time.Since(began); took > limit+lookAfter+rollbackTime {
				t.Errorf("%s took %v, its caller waits for %v", name, took, limit)
			}
		})
	}
	working.Wait()
	proxy.Heal()
	for _, call := range all {
		eventually(t, call)
	}
}

func TestCutNetworkIsAnErrorAndRecovers(t *testing.T) {
	t.Parallel()
	s, proxy, _ := behindProxy(t, pgtest.Shared(t))
	all := calls(s)
	for range 2 {
		proxy.Cut()
		for name, call := range all {
			if err := call(t.Context()); err == nil || errors.Is(err, store.ErrData) || errors.Is(err, store.ErrNotFound) {
				t.Errorf("%s without a network = %v, want an outage", name, err)
			}
		}
		proxy.Heal()
		for name, call := range all {
			if err := call(t.Context()); err != nil {
				t.Errorf("%s after the cut: %v", name, err)
			}
		}
	}
}

func TestPoolThatIsInUseSaysSo(t *testing.T) {
	t.Parallel()
	url := pgtest.Shared(t).Database(t)
	s := opened(t, url, url+"&pool_max_conns=2")
	for range 2 {
		conn, err := s.people.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Release()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.GetEndpoint(ctx, 1)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "all 2 connections are in use") {
		t.Errorf("GetEndpoint = %v, want the deadline, and that all connections are in use", err)
	}
	if err := s.Record(t.Context(), delivered(1)); err != nil {
		t.Errorf("Record while people use all of theirs: %v", err)
	}
}
