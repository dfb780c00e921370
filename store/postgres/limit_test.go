package postgres

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/test/pgtest"
)

const (
	waitingSessions = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
	openSessions    = `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
		AND xact_start IS NOT NULL AND application_name = 'sluice'`
)

// awaitCount waits until a query of the server's sessions counts so many.
func awaitCount(t *testing.T, s *Store, query string, want int) {
	t.Helper()
	eventually(t, func(ctx context.Context) error {
		var n int
		if err := s.people.QueryRow(ctx, query).Scan(&n); err != nil {
			return err
		}
		if n != want {
			return fmt.Errorf("%d sessions, want %d: %s", n, want, query)
		}
		return nil
	})
}

// awaitWaiting waits until a session waits for a lock.
func awaitWaiting(t *testing.T, s *Store) {
	t.Helper()
	awaitCount(t, s, waitingSessions, 1)
}

// locked takes a lock until the function it returns is called.
func locked(t *testing.T, url, lock string) (release func()) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(ctx) })
	if _, err := conn.Exec(ctx, "BEGIN; "+lock); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := conn.Exec(ctx, "COMMIT"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestServerEndsTheStatementsOfAProcessThatIsCutOff(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		table string
		call  func(ctx context.Context, s *Store) error
	}{
		"a batch":       {"queue", func(ctx context.Context, s *Store) error { return s.Record(ctx, delivered(1)) }},
		"a look-up":     {"claims", func(ctx context.Context, s *Store) error { return s.claimed(ctx) }},
		"a transaction": {"queue", func(ctx context.Context, s *Store) error { return s.ended(ctx) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, proxy, direct := behindProxy(t, pgtest.Shared(t))
			beside := open(t, direct, store.GenerateKey())
			if err := c.call(t.Context(), s); err != nil { // so that all is known that it asks for first
				t.Fatal(err)
			}
			release := locked(t, direct, "LOCK TABLE "+c.table+" IN ACCESS EXCLUSIVE MODE")
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			result := make(chan error, 1)
			go func() { result <- c.call(ctx, s) }()
			awaitWaiting(t, beside)
			proxy.Silence() // what would cancel the statement does not arrive either
			if err := <-result; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the call = %v, want the deadline", err)
			}
			awaitCount(t, beside, waitingSessions, 0)
			release()
			awaitCount(t, beside, openSessions, 0)
		})
	}
}

// claimed is a pipeline that needs the claims.
func (s *Store) claimed(ctx context.Context) error {
	now := time.Now()
	_, err := s.Seen(ctx, []store.SeenQuery{{ID: event.NewID(now), Claim: [16]byte{1}, Until: now.Add(time.Hour)}})
	return err
}

// ended is a transaction that needs the queue.
func (s *Store) ended(ctx context.Context) error {
	_, err := s.Finish(ctx, store.FinishQuery{Endpoint: 77, Now: time.Now(), State: store.DeliveryCanceled, Reason: store.ReasonDeleted, Limit: 10})
	return err
}

func TestServerEndsTransactionsThatAreLeftOpen(t *testing.T) {
	t.Parallel()
	s, proxy, direct := behindProxy(t, pgtest.Shared(t))
	beside := open(t, direct, store.GenerateKey())
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	err := s.write(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `UPDATE counters SET value = value + 1 WHERE name = 'configuration'`); err != nil {
			return err
		}
		proxy.Silence()
		_, err := tx.Exec(ctx, `SELECT 1`)
		return err
	})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("write = %v, want the deadline", err)
	}
	awaitCount(t, beside, openSessions, 1)
	began := time.Now()
	awaitCount(t, beside, openSessions, 0)
	if took := time.Since(began); took > idleLimit+2*time.Second {
		t.Errorf("the transaction stayed open for %v, want %v", took, idleLimit)
	}
	if _, err := beside.CreateEndpoint(t.Context(), anEndpoint("billing")); err != nil {
		t.Errorf("CreateEndpoint afterwards: %v", err)
	}
}

func TestRollbackOnADeadNetworkIsGivenUp(t *testing.T) {
	t.Parallel()
	s, proxy, _ := behindProxy(t, pgtest.Shared(t))
	refused := errors.New("refused")
	result := make(chan error, 1)
	go func() {
		result <- s.write(t.Context(), func(tx pgx.Tx) error {
			proxy.Silence()
			return refused
		})
	}()
	select {
	case err := <-result:
		if !errors.Is(err, refused) {
			t.Errorf("write = %v, want %v", err, refused)
		}
	case <-time.After(patience):
		proxy.Heal()
		t.Errorf("write still waits for the rollback; it ended with %v when the network was back", <-result)
	}
}

func TestLimitsEndWithTheirTransaction(t *testing.T) {
	t.Parallel()
	url := pgtest.Shared(t).Database(t)
	s := opened(t, url, url+"&pool_max_conns=1")
	const settings = `SELECT current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout'),
		current_setting('tcp_keepalives_idle'), current_setting('enable_seqscan')`
	read := func() (v [4]string) {
		t.Helper()
		if err := s.dispatch.QueryRow(t.Context(), settings).Scan(&v[0], &v[1], &v[2], &v[3]); err != nil {
			t.Fatal(err)
		}
		return v
	}
	before := read()
	if err := s.Record(t.Context(), delivered(1)); err != nil {
		t.Fatal(err)
	}
	if err := s.ended(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := read(); after != before {
		t.Errorf("settings %v became %v: a pooler hands them to others", before, after)
	}
}

func TestStatementsMayTakeAsLongAsTheirCallerWaits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		waits time.Duration
		want  time.Duration
	}{
		{"a moment", 10 * time.Millisecond, time.Second},
		{"a second and a half", 1500 * time.Millisecond, 2 * time.Second},
		{"an hour", time.Hour, statementLimit},
		{"not any more", -time.Second, time.Second},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), c.waits)
		if got := limitOf(ctx); got != c.want {
			t.Errorf("caller who waits for %s: %v, want %v", c.name, got, c.want)
		}
		cancel()
	}
	if got := limitOf(t.Context()); got != statementLimit {
		t.Errorf("caller without a deadline: %v, want %v", got, statementLimit)
	}
}
