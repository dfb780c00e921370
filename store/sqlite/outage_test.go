package sqlite

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/store"
)

// diskEnv has a copy of this test binary be the process whose disk is full: the path of its store.
const diskEnv = "SLUICE_TEST_FULL_DISK"

func TestFullDiskIsAnOutageThatEnds(t *testing.T) {
	t.Parallel()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFullDiskChild$")
	child.Env = append(os.Environ(), diskEnv+"="+migrated(t))
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestFullDiskChild lets files grow to 1 MiB, so that every further write fails, then as far as they like.
func TestFullDiskChild(t *testing.T) {
	path := os.Getenv(diskEnv)
	if path == "" {
		t.Skip("only run by TestFullDiskIsAnOutageThatEnds")
	}
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	setLimit := func(bytes uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: limit.Max}); err != nil {
			t.Fatal(err)
		}
	}
	s := reopen(t, path, store.GenerateKey())
	setLimit(1 << 20)
	queries, b := commonEvents(10)
	if _, err := s.Seen(t.Context(), queries); err != nil {
		t.Fatal(err)
	}
	var failed error
	written := []*store.Batch{}
	for range 1000 {
		if failed = s.Record(t.Context(), b); failed != nil {
			break
		}
		written = append(written, b)
		_, b = commonEvents(10)
	}
	if failed == nil || errors.Is(failed, store.ErrData) {
		t.Fatalf("Record on a full disk = %v, want an outage", failed)
	}
	if _, err := s.Seen(t.Context(), queries); err != nil {
		t.Errorf("Seen on a full disk = %v: reading needs no room", err)
	}
	setLimit(1 << 12) // not even a page fits
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot be written") {
		t.Errorf("Check on a full disk = %v", err)
	}
	setLimit(limit.Cur)
	if err := s.Record(t.Context(), b); err != nil {
		t.Fatalf("Record once there is room again = %v", err)
	}
	for _, batch := range append(written, b) {
		for _, row := range batch.Events {
			if _, err := s.GetEvent(t.Context(), row.Event.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	wantSound(t, s)
}

func TestAnotherProcessMayWriteMeanwhile(t *testing.T) {
	t.Parallel()
	path, key := migrated(t), store.GenerateKey()
	running, beside := reopen(t, path, key), reopen(t, path, key)
	done := make(chan error)
	go func() {
		for range 100 {
			_, b := commonEvents(5)
			if err := running.Record(t.Context(), b); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for i := range 20 {
		if _, err := beside.CreateKey(t.Context(), store.Key{Name: "ci", Scope: store.ScopeAdmin, Hash: [32]byte{byte(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if err := beside.Close(); err != nil {
		t.Fatal(err)
	}
	if ch, err := running.Changes(t.Context(), 0); err != nil || len(ch.Keys) != 20 {
		t.Errorf("%d keys are seen, %v, want 20", len(ch.Keys), err)
	}
}

func TestSecretsOfAnotherKeyAreNamed(t *testing.T) {
	t.Parallel()
	path := migrated(t)
	older, newer := store.GenerateKey(), store.GenerateKey()
	s := reopen(t, path, older)
	made, err := s.CreateSource(t.Context(), store.Source{Tenant: "default", Name: "github", Secrets: []store.Secret{"hunter2hunter2"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	other := reopen(t, path, newer)
	if _, err := other.GetSource(t.Context(), made.ID); !errors.Is(err, store.ErrSealed) || !strings.Contains(err.Error(), "SLUICE_ENCRYPTION_KEY") {
		t.Errorf("GetSource = %v, want %v and what to do", err, store.ErrSealed)
	}
	if err := other.Check(t.Context()); !errors.Is(err, store.ErrSealed) {
		t.Errorf("Check = %v, want %v", err, store.ErrSealed)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	rotated := reopen(t, path, newer+","+older)
	if src, err := rotated.GetSource(t.Context(), made.ID); err != nil || src.Secrets[0].Reveal() != "hunter2hunter2" {
		t.Errorf("GetSource with both keys = %v", err)
	}
}

func TestSecretsMovedBetweenRowsDoNotOpen(t *testing.T) {
	t.Parallel()
	path, key := migrated(t), store.GenerateKey()
	s := reopen(t, path, key)
	for _, name := range []string{"one", "two"} {
		if _, err := s.CreateEndpoint(t.Context(), store.Endpoint{Tenant: "default", Name: name, URL: "https://example.com/" + name}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	change(t, path, "UPDATE endpoints SET sealed = (SELECT sealed FROM endpoints WHERE id = 2) WHERE id = 1")
	if _, err := reopen(t, path, key).GetEndpoint(t.Context(), 1); !errors.Is(err, store.ErrSealed) {
		t.Errorf("GetEndpoint = %v, want %v", err, store.ErrSealed)
	}
}

func TestContextEndsALongRead(t *testing.T) {
	t.Parallel()
	s := reopen(t, migrated(t), store.GenerateKey())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := s.read(ctx, func(c *conn) error {
		return c.prepare("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n").run()
	})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 10*time.Second {
		t.Errorf("after %v: %v, want %v", time.Since(start), err, context.DeadlineExceeded)
	}
	for range 2 * defaultReaders { // whoever reads next is not interrupted
		if _, err := s.Depths(t.Context(), nil); err != nil {
			t.Error(err)
		}
	}
}

func TestReadersWaitNoLongerThanTheirContext(t *testing.T) {
	t.Parallel()
	sealer, err := store.ParseKeys(store.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	s := openWith(t, Config{Path: migrated(t), Sealer: sealer, Readers: 1})
	busy := <-s.readers
	defer func() { s.readers <- busy }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.Depths(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Depths = %v, want %v", err, context.DeadlineExceeded)
	}
}

func TestLogStartsAgainOnceItWasMoved(t *testing.T) {
	t.Parallel()
	path := migrated(t)
	s := reopen(t, path, store.GenerateKey())
	log := func() int64 {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	for range 4 {
		for range 10 {
			_, b := commonEvents(20)
			if err := s.Record(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		if !s.writer.checkpoints.move() {
			t.Fatal("the log was not moved")
		}
	}
	first := log()
	for range 10 {
		_, b := commonEvents(20)
		if err := s.Record(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if again := log(); again > first+first/2 {
		t.Errorf("the log grew from %d to %d bytes although it was moved", first, again)
	}
	if total, moved, err := s.writer.conn.checkpoint(0); err != nil || total != moved {
		t.Errorf("%d of %d pages moved, %v", moved, total, err)
	}
	if files, err := filepath.Glob(path + "*"); err != nil || len(files) != 3 {
		t.Errorf("files %v, %v, want the database, its log and the log's index", files, err)
	}
}

func TestLogIsMovedWhileItGrows(t *testing.T) {
	t.Parallel()
	path := migrated(t)
	s := reopen(t, path, store.GenerateKey())
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for ctx.Err() == nil {
				_, b := commonEvents(10)
				if err := s.Record(t.Context(), b); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var before, last, most int32 // pages written until two moves ago, until the last, and most within two
	for range 30 {
		if !s.writer.checkpoints.move() {
			t.Error("the log was not moved")
		}
		s.writer.between(func(c *conn) {
			now := c.pagesWritten()
			before, last, most = last, now, max(most, now-before)
		})
	}
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() > int64(most+100)*(pageSize+24) {
		t.Errorf("the log has %d bytes, %v, although it was moved after every %d pages at most: it does not start again", info.Size(), err, most)
	}
	cancel()
	wg.Wait()
}

func TestMetricsAreThereFromTheStart(t *testing.T) {
	t.Parallel()
	sealer, err := store.ParseKeys(store.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewPedanticRegistry()
	s, err := Open(Config{Path: migrated(t), Sealer: sealer}, zap.NewNop(), reg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	families, err := reg.Gather()
	if err != nil || len(families) != 7 {
		t.Errorf("Gather = %d families, %v, want 7", len(families), err)
	}
}
