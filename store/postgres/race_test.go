package postgres

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/test/pgtest"
)

// setCounter is a row that transactions of these tests race for.
const setCounter = `UPDATE counters SET value = value + 1 WHERE name = $1`

// wantCounters checks how often each counter was set.
func wantCounters(t *testing.T, s *Store, want int64) {
	t.Helper()
	for _, name := range []string{"a", "b"} {
		var got int64
		if err := s.people.QueryRow(t.Context(), `SELECT value FROM counters WHERE name = $1`, name).Scan(&got); err != nil || got != want {
			t.Errorf("counter %s is %d, %v, want %d", name, got, err, want)
		}
	}
}

func withCounters(t *testing.T, s *Store) {
	t.Helper()
	if _, err := s.people.Exec(t.Context(), `INSERT INTO counters (name, value) VALUES ('a', 0), ('b', 0)`); err != nil {
		t.Fatal(err)
	}
}

// meeting lets both sides go on once both have arrived; later calls do not wait.
type meeting struct {
	arrived atomic.Int32
	both    chan struct{}
}

func (m *meeting) meet(ctx context.Context) {
	if m.arrived.Add(1) == 2 {
		close(m.both)
	}
	select {
	case <-m.both:
	case <-ctx.Done():
	}
}

func TestDeadlockIsRepeated(t *testing.T) {
	t.Parallel()
	url := pgtest.Shared(t).Database(t)
	s := opened(t, url, url)
	withCounters(t, s)
	var tries atomic.Int32
	m := &meeting{both: make(chan struct{})}
	g, ctx := errgroup.WithContext(t.Context())
	for _, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
		g.Go(func() error {
			return s.write(ctx, func(tx pgx.Tx) error {
				tries.Add(1)
				if _, err := tx.Exec(ctx, setCounter, order[0]); err != nil {
					return err
				}
				m.meet(ctx)
				_, err := tx.Exec(ctx, setCounter, order[1])
				return err
			})
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if tries.Load() < 3 {
		t.Errorf("%d tries of two transactions: there was no deadlock", tries.Load())
	}
	wantCounters(t, s, 2)
}

func TestSerializationFailureIsRepeated(t *testing.T) {
	t.Parallel()
	url := pgtest.Shared(t).Database(t)
	s := opened(t, url, url)
	withCounters(t, s)
	var tries atomic.Int32
	m := &meeting{both: make(chan struct{})}
	g, ctx := errgroup.WithContext(t.Context())
	for range 2 {
		g.Go(func() error {
			return s.transact(ctx, s.people, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
				tries.Add(1)
				var seen int64
				if err := tx.QueryRow(ctx, `SELECT sum(value) FROM counters`).Scan(&seen); err != nil {
					return err
				}
				m.meet(ctx) // both have their snapshots
				for _, name := range []string{"a", "b"} {
					if _, err := tx.Exec(ctx, setCounter, name); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if tries.Load() < 3 {
		t.Errorf("%d tries of two transactions: there was no conflict", tries.Load())
	}
	wantCounters(t, s, 2)
}

func TestRaceThatIsLostEveryTimeIsGivenUp(t *testing.T) {
	t.Parallel()
	url := pgtest.Shared(t).Database(t)
	s := opened(t, url, url)
	tries := 0
	err := s.write(t.Context(), func(tx pgx.Tx) error {
		tries++
		_, err := tx.Exec(t.Context(), `DO $$ BEGIN RAISE SQLSTATE '40001'; END $$`)
		return err
	})
	if tries != raceTries || !hasCode(err, serializationFailure) {
		t.Errorf("%d tries, then %v, want %d and the reason", tries, err, raceTries)
	}
}

// A batch meets a transaction that holds one of its rows and wants the other: the database ends the batch, as only its
// side looks for deadlocks.
func TestBatchEndedByADeadlockIsRepeated(t *testing.T) {
	t.Parallel()
	url := pgtest.Shared(t).Database(t)
	s := opened(t, url, url)
	batch := delivered(2)
	if err := s.Record(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	retries := &store.Batch{}
	for _, q := range batch.Queue {
		retries.Retries = append(retries.Retries, store.Retry{ID: q.ID, Attempt: 1, FirstAttempt: q.QueuedAt, NextAt: q.NextAt, Reason: store.ReasonRetry})
	}
	first, second := batch.Queue[0].ID, batch.Queue[1].ID
	if compareDeliveries(&first, &second) > 0 {
		first, second = second, first
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	const lock = `SELECT FROM queue WHERE event = $1 FOR UPDATE`
	exec := func(text string, args ...any) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), text, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`SET deadlock_timeout = '1h'`)
	exec(`BEGIN`)
	exec(lock, [16]byte(second.Event))
	recorded := make(chan error, 1)
	go func() { recorded <- s.Record(t.Context(), retries) }()
	awaitWaiting(t, s) // it has locked the first, and waits for the second
	exec(lock, [16]byte(first.Event))
	exec(`COMMIT`)
	if err := <-recorded; err != nil {
		t.Fatalf("Record = %v, want it repeated", err)
	}
	eventually(t, func(ctx context.Context) error {
		var deadlocks int
		err := s.people.QueryRow(ctx, `SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()`).Scan(&deadlocks)
		if err == nil && deadlocks == 0 {
			err = errors.New("there was no deadlock")
		}
		return err
	})
}
