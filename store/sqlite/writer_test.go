package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/store"
)

// block has the writer wait until release is called, so that jobs gather behind it.
func block(t *testing.T, s *Store) (release func()) {
	t.Helper()
	held, let, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		s.writer.between(func(*conn) {
			close(held)
			<-let
		})
	}()
	<-held
	return func() {
		close(let)
		<-done
	}
}

// waitFor waits until n jobs wait for the writer.
func waitFor(t *testing.T, s *Store, n int) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for tick := time.NewTicker(time.Millisecond); s.writer.waiting() != n; {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%d jobs wait, want %d", s.writer.waiting(), n)
		}
	}
}

// submit writes in a goroutine of its own, once all jobs before it wait.
func submit(ctx context.Context, t *testing.T, s *Store, durable bool, run func(*conn) error) <-chan error {
	t.Helper()
	n, result := s.writer.waiting(), make(chan error, 1)
	go func() { result <- s.write(ctx, durable, 1, run) }()
	waitFor(t, s, n+1)
	return result
}

func pragma(c *conn, name string) (value int64, err error) {
	_, err = c.prepare("PRAGMA " + name).one(func(st *stmt) { value = st.readInt() })
	return value, err
}

func TestOnlyGroupsThatNeedItCallFsync(t *testing.T) {
	t.Parallel()
	s := reopen(t, migrated(t), store.GenerateKey())
	const normal, full = 1, 2
	for _, group := range [][]bool{{volatile}, {durable}, {volatile, volatile}, {volatile, durable, volatile}, {volatile}} {
		want := int64(normal)
		for _, d := range group {
			if d {
				want = full
			}
		}
		release := block(t, s)
		var results []<-chan error
		for _, d := range group {
			results = append(results, submit(t.Context(), t, s, d, func(c *conn) error {
				if got, err := pragma(c, "synchronous"); err != nil || got != want {
					return fmt.Errorf("group %v: synchronous = %d, %w, want %d", group, got, err, want)
				}
				return probe(c, s.now())
			}))
		}
		release()
		for _, r := range results {
			if err := <-r; err != nil {
				t.Error(err)
			}
		}
	}
}

func TestJobsThatWaitShareOneTransaction(t *testing.T) {
	t.Parallel()
	s := reopen(t, migrated(t), store.GenerateKey())
	release := block(t, s)
	begun := make(chan int64, 3)
	next := int64(0)
	var results []<-chan error
	for range 3 {
		results = append(results, submit(t.Context(), t, s, durable, func(c *conn) error {
			begun <- c.totalChanges()
			next++
			return c.prepare(raiseTombstones).int(next).run()
		}))
	}
	before := s.writer.conn.pagesWritten()
	release()
	for _, r := range results {
		if err := <-r; err != nil {
			t.Error(err)
		}
	}
	if first, second, third := <-begun, <-begun, <-begun; second != first+1 || third != second+1 {
		t.Errorf("jobs began after %d, %d and %d changes", first, second, third)
	}
	if pages := s.writer.conn.pagesWritten() - before; pages != 1 {
		t.Errorf("three writes of one page put %d pages into the log, want 1", pages)
	}
}

func TestRefusedJobIsUndoneAndTheOthersAreNot(t *testing.T) {
	t.Parallel()
	s := reopen(t, migrated(t), store.GenerateKey())
	refused := errors.New("refused")
	insert := func(name string, err error) func(*conn) error {
		return func(c *conn) error {
			if err := c.prepare(insertTenant).string(name).run(); err != nil {
				return err
			}
			return err
		}
	}
	release := block(t, s)
	results := []<-chan error{
		submit(t.Context(), t, s, durable, insert("one", nil)), submit(t.Context(), t, s, durable, insert("two", refused)),
		submit(t.Context(), t, s, durable, insert("one", nil)), submit(t.Context(), t, s, durable, insert("four", nil)),
	}
	release()
	for i, want := range []error{nil, refused, store.ErrData, nil} {
		if err := <-results[i]; !errors.Is(err, want) {
			t.Errorf("job %d: %v, want %v", i, err, want)
		}
	}
	err := s.read(t.Context(), func(c *conn) error {
		for name, want := range map[string]bool{"one": true, "two": false, "four": true} {
			if found, err := c.prepare(tenantNumber).string(name).one(func(*stmt) {}); found != want || err != nil {
				t.Errorf("tenant %s is there: %v, %v, want %v", name, found, err, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTenantOfAnUndoneTransactionIsForgotten(t *testing.T) {
	t.Parallel()
	path, key := migrated(t), store.GenerateKey()
	s := reopen(t, path, key)
	_, b := commonEvents(1)
	b.Events[0].Event.Tenant = "acme"
	bad := *b
	bad.Outcomes = []store.Outcome{{ID: b.Outcomes[0].ID, State: store.DeliveryQueued}}
	if err := s.Record(t.Context(), &bad); !errors.Is(err, store.ErrData) {
		t.Fatalf("Record = %v, want %v", err, store.ErrData)
	}
	if err := s.write(t.Context(), volatile, 1, func(c *conn) error { return c.prepare(insertTenant).string("other").run() }); err != nil {
		t.Fatal(err)
	}
	if err := s.Record(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err := reopen(t, path, key).GetEvent(t.Context(), b.Events[0].Event.ID); err != nil || r.Event.Tenant != "acme" {
		t.Errorf("the event is of tenant %q, %v, want acme", r.Event.Tenant, err)
	}
}

func TestClaimTakenDuringACommitIsKept(t *testing.T) {
	t.Parallel()
	s := reopen(t, migrated(t), store.GenerateKey())
	queries, _ := commonEvents(2)
	queries[1].Claim = queries[0].Claim
	err := s.write(t.Context(), durable, 1, func(*conn) error { // pending claims of before are written by now
		_, err := s.Seen(t.Context(), queries[:1])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if answers, err := s.Seen(t.Context(), queries[1:]); err != nil || answers[0].Holder != queries[0].ID {
		t.Errorf("the claim is held by %s, %v, want %s", answers[0].Holder, err, queries[0].ID)
	}
}

func TestContextEndsAWaitButNotAWrite(t *testing.T) {
	t.Parallel()
	s := reopen(t, migrated(t), store.GenerateKey())
	ctx, cancel := context.WithCancel(t.Context())
	release := block(t, s)
	waiting := submit(ctx, t, s, durable, func(c *conn) error { return c.prepare(insertTenant).string("left").run() })
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("a job that waits = %v, want %v", err, context.Canceled)
	}
	release()
	ctx, cancel = context.WithCancel(t.Context())
	if err := s.write(ctx, durable, 1, func(c *conn) error {
		cancel()
		return c.prepare(insertTenant).string("begun").run()
	}); err != nil {
		t.Errorf("a job that has begun = %v, want its result", err)
	}
	err := s.read(t.Context(), func(c *conn) error {
		for name, want := range map[string]bool{"left": false, "begun": true} {
			if found, err := c.prepare(tenantNumber).string(name).one(func(*stmt) {}); found != want || err != nil {
				t.Errorf("%s is written: %v, %v, want %v", name, found, err, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestWaitingJobsAreBounded(t *testing.T) {
	t.Parallel()
	s := reopen(t, migrated(t), store.GenerateKey())
	release := block(t, s)
	var wg sync.WaitGroup
	for range maxWaiting {
		wg.Go(func() {
			if err := s.write(t.Context(), volatile, 1, func(*conn) error { return nil }); err != nil {
				t.Error(err)
			}
		})
	}
	waitFor(t, s, maxWaiting)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.write(ctx, volatile, 1, func(*conn) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("one more = %v, want %v", err, context.DeadlineExceeded)
	}
	release()
	wg.Wait()
}

func TestCloseWritesWhatWaitsAndRefusesTheRest(t *testing.T) {
	t.Parallel()
	path, key := migrated(t), store.GenerateKey()
	s := reopen(t, path, key)
	release := block(t, s)
	waiting := submit(t.Context(), t, s, durable, func(c *conn) error { return c.prepare(insertTenant).string("waiting").run() })
	closed := make(chan error, 1)
	go func() { closed <- s.Close() }()
	<-s.writer.closing
	release()
	if err := <-waiting; err != nil {
		t.Errorf("a job that waited = %v", err)
	}
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if err := s.Record(t.Context(), &store.Batch{}); !errors.Is(err, errClosed) {
		t.Errorf("Record after Close = %v, want %v", err, errClosed)
	}
	if _, err := s.Depths(t.Context(), nil); !errors.Is(err, errClosed) {
		t.Errorf("Depths after Close = %v, want %v", err, errClosed)
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second Close = %v", err)
	}
	again := reopen(t, path, key)
	if err := again.read(t.Context(), func(c *conn) error {
		if found, err := c.prepare(tenantNumber).string("waiting").one(func(*stmt) {}); !found || err != nil {
			t.Errorf("what waited is there: %v, %v", found, err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
