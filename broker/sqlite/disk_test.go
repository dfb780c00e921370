//go:build linux

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/pkg/wait"
)

// smallDisk mounts a disk of size bytes, or skips the test where that is not permitted.
func smallDisk(t *testing.T, size int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("cannot mount a small disk (needs root): %v", err)
	}
	t.Cleanup(func() {
		// Lazily: a loop device on it lets go only some time after its own file system was unmounted.
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fill publishes calls of 3 messages until the broker refuses, and returns the ids that are stored.
func fill(t *testing.T, b *Broker, next *uint64) (stored []uint64) {
	t.Helper()
	for range 100_000 {
		ids := []uint64{*next, *next + 1, *next + 2}
		*next += 3
		started := time.Now()
		err := b.Publisher().Publish(t.Context(), keyed(ids[0]), keyed(ids[1]), keyed(ids[2]))
		if err == nil {
			stored = append(stored, ids...)
			continue
		}
		if !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrAmbiguous) || !strings.Contains(err.Error(), "disk full") {
			t.Fatalf("Publish on a full disk = %v, want ErrUnavailable that says so", err)
		}
		if took := time.Since(started); took > time.Second {
			t.Fatalf("the refusal took %v", took)
		}
		return stored
	}
	t.Fatal("the disk does not fill")
	return nil
}

// TestDiskThatTheBrokerFilledEmptiesAgain: what is kept free lets a full disk be consumed, and publishing goes on in the
// room that deleting leaves inside the file.
func TestDiskThatTheBrokerFilledEmptiesAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.Path = filepath.Join(smallDisk(t, 8<<20), "broker.db")
	r.cfg.MinFree = 2 << 20
	b := r.open(t)
	next := uint64(1)
	for range 3 {
		stored := fill(t, b, &next)
		if len(stored) < 300 {
			t.Fatalf("only %d messages fit", len(stored))
		}
		s := b.directory.Load().topics["damage"].streamOf(keyed(0), 0)
		want := map[string][]byte{}
		for i, id := range stored {
			want[fmt.Sprintf("%s %d", s.name, s.end()-int64(len(stored))+int64(i))] = sealed(id)
		}
		got, err := readAll(t, b, "g", want)
		if err != nil || len(got.gone) > 0 || len(got.bodies) != len(want) {
			t.Fatalf("%d of %d messages came: %v, gone %d", len(got.bodies), len(want), err, len(got.gone))
		}
		for where, body := range want {
			if string(got.bodies[where]) != string(body) {
				t.Fatalf("at %s came something else", where)
			}
		}
		publishUntil(t, b, keyed(next)) // once it is deleted
		want = map[string][]byte{fmt.Sprintf("%s %d", s.name, s.end()-1): nil}
		next++
		if _, err := readAll(t, b, "g", want); err != nil {
			t.Fatal(err)
		}
		until(t, "everything to be deleted", func() bool { return count(t, b, "SELECT count(*) FROM messages") == 0 })
	}
}

// TestFullDiskHealsWhenSpaceReturns has somebody else fill the disk to the last byte.
func TestFullDiskHealsWhenSpaceReturns(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, 8<<20)
	r := newRig(t)
	r.cfg.Path = filepath.Join(dir, "broker.db")
	b := r.open(t)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	next := uint64(1)
	stored := fill(t, b, &next)
	stored = append(stored, fill(t, b, &next)...) // still full
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	publishUntil(t, b, keyed(next))
	wantIDs(t, b, append(stored, next), nil)
}

func init() { roles["limited"] = publishWithLimit }

// publishWithLimit is a process that may not write files beyond a size: its writes fail in the middle of a transaction,
// as those of a dying disk do. It prints what is wrong.
func publishWithLimit(path string) error {
	signal.Ignore(syscall.SIGXFSZ) // write returns an error instead
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cfg := Defaults(path)
	cfg.MinFree = 0
	b, err := Open(ctx, cfg, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
		return err
	}
	limit := unix.Rlimit{Cur: 300_000, Max: old.Max}
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	published, maybe := map[uint64]bool{}, map[uint64]bool{}
	failures := 0
	for id := uint64(1); id < 2000; id++ {
		if failures == 20 { // it has failed for long enough
			if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &old); err != nil {
				return err
			}
		}
		switch err := b.Publisher().Publish(ctx, keyed(id)); {
		case err == nil:
			published[id] = true
		case errors.Is(err, broker.ErrAmbiguous):
			maybe[id] = true
			failures++
		case errors.Is(err, broker.ErrUnavailable) && ctx.Err() == nil:
			failures++
			wait.For(ctx, 5*time.Millisecond)
		default:
			return err
		}
		if failures > 20 && len(published) > 500 {
			break
		}
	}
	if failures < 20 {
		return fmt.Errorf("only %d publishes failed", failures)
	}
	got := newReading()
	running, stop := context.WithCancel(ctx)
	defer stop()
	ran := make(chan error, 1)
	go func() { ran <- b.Consumer("damage", "g").Run(running, got) }()
	seen := map[uint64]bool{}
	for len(published) > 0 {
		select {
		case <-got.moved:
		case <-ctx.Done():
			return fmt.Errorf("%d messages are missing", len(published))
		}
		got.mu.Lock()
		for where, body := range got.bodies {
			id, err := unseal(body)
			if err != nil {
				return err
			}
			if !published[id] && !maybe[id] && !seen[id] {
				return fmt.Errorf("message %d at %s was not stored as far as Publish said", id, where)
			}
			seen[id] = true
			delete(published, id)
		}
		gone := len(got.gone)
		got.mu.Unlock()
		if gone > 0 {
			return fmt.Errorf("%d messages are gone", gone)
		}
	}
	stop()
	return errors.Join(<-ran, b.Close(ctx))
}

func TestWritesThatFailMidwayLoseNothing(t *testing.T) {
	t.Parallel()
	cmd := child(t, "limited", newRig(t).cfg.Path)
	var out strings.Builder
	cmd.Stderr = &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
}

// failingDisk is a file system whose disk can run out of room behind its back: what was written then fails to sync.
// It returns how to take the disk's room away and to give it back.
func failingDisk(t *testing.T) (dir string, fail, heal func()) {
	t.Helper()
	backing := smallDisk(t, 24<<20)
	image := filepath.Join(backing, "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 64<<20); err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for _, command := range [][]string{{"mkfs.ext2", "-q", "-F", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Skipf("cannot make a disk that fails: %v: %v: %s", command, err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	ballast := filepath.Join(backing, "ballast")
	return dir, func() {
			var s unix.Statfs_t
			if err := unix.Statfs(backing, &s); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(ballast, make([]byte, int64(s.Bavail)*s.Bsize), 0o600); err != nil {
				t.Fatal(err)
			}
		}, func() {
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
		}
}

// TestSyncThatReallyFails publishes while the disk below the file system cannot take any more: fdatasync fails, and the
// kernel drops the pages it could not write.
func TestSyncThatReallyFails(t *testing.T) {
	t.Parallel()
	dir, fail, heal := failingDisk(t)
	r := newRig(t)
	r.cfg.Path = filepath.Join(dir, "broker.db")
	b := r.open(t)
	var stored []uint64
	maybe := map[uint64]bool{}
	id := uint64(0)
	publish := func(n int) (failed int) {
		for range n {
			id++
			switch err := b.Publisher().Publish(t.Context(), keyed(id)); {
			case err == nil:
				stored = append(stored, id)
			case errors.Is(err, broker.ErrAmbiguous):
				stored = append(stored, id)
				maybe[id] = true
				failed++
			case errors.Is(err, broker.ErrUnavailable):
				failed++
			default:
				t.Fatal(err)
			}
		}
		return failed
	}
	if publish(50) > 0 {
		t.Fatal("publishing failed on a disk that works")
	}
	fail()
	failed := publish(300)
	if failed == 0 || len(maybe) == 0 {
		t.Fatalf("%d publishes failed, %d of them ambiguous, want some of each", failed, len(maybe))
	}
	heal()
	publishUntil(t, b, keyed(1_000_000))
	stored = append(stored, 1_000_000)
	if publish(50) > 0 {
		t.Error("publishing fails though the disk works again")
	}
	wantIDs(t, b, stored, maybe)
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
