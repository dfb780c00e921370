package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	lib "modernc.org/sqlite/lib"

	"github.com/sluicehq/sluice/broker"
)

// keyed is a message of one stream.
func keyed(id uint64) *broker.Message {
	return &broker.Message{Topic: "damage", Key: []byte("k"), Body: sealed(id)}
}

// publishUntil repeats a publish until it succeeds.
func publishUntil(t *testing.T, b *Broker, m *broker.Message) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		err := b.Publisher().Publish(ctx, m)
		if err == nil {
			return
		}
		if !errors.Is(err, broker.ErrUnavailable) || ctx.Err() != nil {
			t.Fatalf("Publish = %v, want it to be unavailable for a while at most", err)
		}
	}
}

// wantIDs consumes everything and fails unless the ids come in this order, those of maybe or not.
func wantIDs(t *testing.T, b *Broker, ids []uint64, maybe map[uint64]bool) {
	t.Helper()
	s := b.directory.Load().topics["damage"].streamOf(keyed(0), 0)
	want := map[string][]byte{}
	for p := range s.end() {
		want[fmt.Sprintf("%s %d", s.name, p)] = nil
	}
	got, err := readAll(t, b, "g", want)
	if err != nil || len(got.gone) > 0 {
		t.Fatalf("consuming: %v, gone %v", err, got.gone)
	}
	var came []uint64
	for p := range s.end() {
		id, err := unseal(got.bodies[fmt.Sprintf("%s %d", s.name, p)])
		if err != nil {
			t.Fatal(err)
		}
		came = append(came, id)
	}
	rest := came
	for _, id := range ids {
		if maybe[id] && (len(rest) == 0 || rest[0] != id) {
			continue
		}
		if len(rest) == 0 || rest[0] != id {
			t.Fatalf("%v came, want %v (of which %v may be missing)", came, ids, maybe)
		}
		rest = rest[1:]
	}
	if len(rest) > 0 {
		t.Fatalf("%v came, want %v", came, ids)
	}
}

// TestFailedSyncIsAmbiguousAndOpensTheFileAnew has the sync of a commit fail, with the commit in the file and without.
func TestFailedSyncIsAmbiguousAndOpensTheFileAnew(t *testing.T) {
	t.Parallel()
	for name, inFile := range map[string]bool{"and the commit is in the file": true, "and the commit is not in the file": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			b := r.open(t)
			publishUntil(t, b, keyed(1))
			var mu sync.Mutex
			var connects, checkpoints int
			failed := false
			fail := func(sql string) error {
				mu.Lock()
				defer mu.Unlock()
				if sql == "COMMIT" && !failed {
					failed = true
					return sqliteError(lib.SQLITE_IOERR_FSYNC)
				}
				return nil
			}
			watch := func(sql string) error {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case sql == "connect" && failed:
					connects++
				case sql == "PRAGMA wal_checkpoint(TRUNCATE)":
					if checkpoints++; checkpoints < 3 {
						return sqliteError(lib.SQLITE_IOERR_WRITE)
					}
				case sql == insertRow && failed && checkpoints < 3:
					t.Error("something was published before the log was copied and synced")
				}
				return nil
			}
			if inFile {
				r.faults.set(watch, fail)
			} else {
				r.faults.set(func(sql string) error { return errors.Join(watch(sql), fail(sql)) }, nil)
			}
			if err := b.Publisher().Publish(t.Context(), keyed(2)); !errors.Is(err, broker.ErrAmbiguous) {
				t.Fatalf("Publish = %v, want ErrAmbiguous", err)
			}
			started := time.Now()
			if err := b.Publisher().Publish(t.Context(), keyed(3)); !errors.Is(err, broker.ErrUnavailable) || time.Since(started) > time.Second {
				t.Fatalf("Publish while the file cannot be trusted = %v after %v, want ErrUnavailable at once", err, time.Since(started))
			}
			publishUntil(t, b, keyed(4))
			mu.Lock()
			if connects == 0 || checkpoints != 3 {
				t.Errorf("%d connections and %d checkpoints after the failure, want new ones and 3", connects, checkpoints)
			}
			mu.Unlock()
			wantIDs(t, b, []uint64{1, 2, 4}, map[uint64]bool{2: !inFile})
		})
	}
}

// TestErrorThatLeavesNothingIsUnavailable has a statement fail before the commit, or the commit for want of room: without
// its last frame a transaction in the log does not count.
func TestErrorThatLeavesNothingIsUnavailable(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		code int
		sql  string
	}{
		"disk full":           {lib.SQLITE_FULL, insertRow},
		"disk full at commit": {lib.SQLITE_FULL, "COMMIT"},
		"I/O error":           {lib.SQLITE_IOERR_WRITE, insertRow},
		"busy":                {lib.SQLITE_BUSY, "BEGIN IMMEDIATE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			b := r.open(t)
			publishUntil(t, b, keyed(1))
			r.faults.set(func(sql string) error {
				if sql == c.sql {
					return sqliteError(c.code)
				}
				return nil
			}, nil)
			err := b.Publisher().Publish(t.Context(), keyed(2))
			if !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrAmbiguous) || !strings.Contains(err.Error(), r.cfg.Path) {
				t.Fatalf("Publish = %v, want ErrUnavailable that names the file", err)
			}
			r.faults.heal()
			publishUntil(t, b, keyed(3))
			wantIDs(t, b, []uint64{1, 3}, nil)
		})
	}
}

// TestCanceledPublishIsAmbiguousWhileItIsWritten cancels a call whose transaction runs, and one that waits behind it.
func TestCanceledPublishIsAmbiguousWhileItIsWritten(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.open(t)
	publishUntil(t, b, keyed(1))
	writing, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r.faults.set(func(sql string) error {
		if sql == insertRow {
			once.Do(func() {
				close(writing)
				<-goOn
			})
		}
		return nil
	}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	results := make(chan error, 2)
	go func() { results <- b.Publisher().Publish(ctx, keyed(2)) }()
	<-writing
	waiting := make(chan error, 1)
	go func() { waiting <- b.Publisher().Publish(ctx, keyed(3)) }()
	queued := func() bool {
		b.writer.mu.Lock()
		defer b.writer.mu.Unlock()
		return len(b.writer.calls) == 1
	}
	for !queued() {
		select {
		case err := <-waiting:
			t.Fatalf("the second Publish returned %v before it was canceled", err)
		case <-time.After(time.Millisecond):
		}
	}
	cancel()
	if err := <-results; !errors.Is(err, broker.ErrAmbiguous) || !errors.Is(err, context.Canceled) {
		t.Errorf("Publish canceled while it is written = %v, want ErrAmbiguous", err)
	}
	if err := <-waiting; !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrAmbiguous) {
		t.Errorf("Publish canceled while it waits = %v, want ErrUnavailable", err)
	}
	close(goOn)
	publishUntil(t, b, keyed(4))
	wantIDs(t, b, []uint64{1, 2, 4}, nil)
}

// TestPendingBytesAreBounded has Publish wait when too much waits already, until its context ends.
func TestPendingBytesAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.PendingBytes = 1 << 20
	b := r.open(t)
	large := func() *broker.Message {
		return &broker.Message{Topic: "damage", Body: make([]byte, 700<<10)}
	}
	if err := b.Publisher().Publish(t.Context(), large()); err != nil {
		t.Fatal(err)
	}
	writing, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	r.faults.set(func(sql string) error {
		if sql == insertRow {
			once.Do(func() {
				close(writing)
				<-goOn
			})
		}
		return nil
	}, nil)
	first := make(chan error, 1)
	go func() { first <- b.Publisher().Publish(t.Context(), large()) }()
	<-writing
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.Publisher().Publish(ctx, large()); !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrAmbiguous) {
		t.Errorf("Publish beyond the bound = %v, want ErrUnavailable", err)
	}
	close(goOn)
	if err := <-first; err != nil {
		t.Error(err)
	}
	// A call larger than the bound gets through alone.
	if err := b.Publisher().Publish(t.Context(), large(), large()); err != nil {
		t.Errorf("Publish of more than the bound = %v, want nil", err)
	}
}
