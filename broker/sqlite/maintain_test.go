package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/semaphore"
	lib "modernc.org/sqlite/lib"

	"github.com/sluicehq/sluice/broker"
)

// until waits for cond, asking again and again.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(15 * time.Second)
	for !cond() {
		select {
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// count runs a statement that returns a number.
func count(t *testing.T, b *Broker, sql string) (n int64) {
	t.Helper()
	err := b.file.read(t.Context(), func(c *conn) (err error) {
		n, err = c.number(context.WithoutCancel(t.Context()), sql)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func sizeOfFile(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// run consumes with h until the test ends or stop is called.
func run(t *testing.T, b *Broker, topic, group string, h broker.Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Consumer(topic, group).Run(ctx, h) }()
	stopped := false
	stop = func() {
		if !stopped {
			stopped = true
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run = %v", err)
			}
		}
	}
	t.Cleanup(stop)
	return stop
}

func TestFileStaysSmallUnderSteadyLoad(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.MinFree = 1 << 20 // makes for a log of 256 KiB
	b := r.open(t)
	got := newReading()
	run(t, b, "load", "g", got)
	const messages, size = 300, 50 << 10 // 15 MB
	for i := range messages {
		if err := b.Publisher().Publish(t.Context(), &broker.Message{Topic: "load", Body: make([]byte, size)}); err != nil {
			t.Fatal(err)
		}
		if i%100 == 99 { // as fast as they are consumed, in the long run
			until(t, "the consumer to catch up", func() bool {
				got.mu.Lock()
				defer got.mu.Unlock()
				return len(got.bodies) == i+1
			})
		}
	}
	until(t, "everything to be deleted", func() bool { return count(t, b, "SELECT count(*) FROM messages") == 0 })
	file, log := sizeOfFile(t, r.cfg.Path), sizeOfFile(t, r.cfg.Path+"-wal")
	t.Logf("after %d MB: file %d KiB, log %d KiB", messages*size/1_000_000, file>>10, log>>10)
	if file > 8<<20 || log > 1<<20 {
		t.Errorf("after %d MB the file has %d bytes and the log %d, want 8 and 1 MiB at most", messages*size/1_000_000, file, log)
	}
	if free := count(t, b, "PRAGMA freelist_count"); free*pageSize < file/2 {
		t.Errorf("%d of %d pages are free, want nearly all", free, file/pageSize)
	}
}

func TestOnlyWhatEveryKnownGroupHasPassedIsDeleted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.open(t)
	for i := range 30 {
		publishUntil(t, b, keyed(uint64(i)))
		if err := b.Publisher().Publish(t.Context(), &broker.Message{Topic: "untouched", Body: sealed(uint64(i))}); err != nil {
			t.Fatal(err)
		}
	}
	all := map[string][]byte{}
	s := b.directory.Load().topics["damage"].streamOf(keyed(0), 0)
	for p := range s.end() {
		all[fmt.Sprintf("%s %d", s.name, p)] = nil
	}
	if _, err := b.groupNamed(t.Context(), "damage", "slow"); err != nil {
		t.Fatal(err)
	}
	if _, err := readAll(t, b, "quick", all); err != nil {
		t.Fatal(err)
	}
	// The positions are in the file now, and what could be deleted is.
	until(t, "deleting to end", func() bool {
		return b.writer.do(t.Context(), nil, nil) == nil && count(t, b, "SELECT count(*) FROM messages") == 60
	})

	// A crash and a new process later the slow group is still known.
	r.kill(t, b)
	b = r.open(t)
	if got, err := readAll(t, b, "slow", all); err != nil || len(got.gone) > 0 {
		t.Fatalf("the slow group: %v, gone %v", err, got.gone)
	}
	until(t, "what both have passed to be deleted", func() bool { return count(t, b, "SELECT count(*) FROM messages") == 30 })
	if first := count(t, b, "SELECT sum(first) FROM streams"); first != 30 {
		t.Errorf("positions below %d are deleted, want 30", first)
	}
	publishUntil(t, b, keyed(31)) // positions go on although no row is left
	if end := b.directory.Load().topics["damage"].streamOf(keyed(0), 0).end(); end != 31 {
		t.Errorf("the next position is %d, want 31", end)
	}
}

func TestPositionsGoOnAfterEverythingWasDeletedAndTheFileReopened(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.open(t)
	for i := range 10 {
		publishUntil(t, b, keyed(uint64(i)))
	}
	wantIDs(t, b, []uint64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, nil)
	until(t, "everything to be deleted", func() bool { return count(t, b, "SELECT count(*) FROM messages") == 0 })
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b = r.open(t)
	publishUntil(t, b, keyed(10))
	s := b.directory.Load().topics["damage"].streamOf(keyed(0), 0)
	got, err := readAll(t, b, "g", map[string][]byte{s.name + " 10": nil})
	if err != nil || len(got.gone) > 0 || len(got.bodies) != 1 {
		t.Fatalf("%d messages came, gone %v, %v; want the new one at position 10", len(got.bodies), got.gone, err)
	}
}

func TestIdleBrokerRunsNoStatement(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.open(t)
	got := newReading()
	run(t, b, "damage", "g", got)
	publishUntil(t, b, keyed(1))
	until(t, "everything to be settled and deleted", func() bool { return count(t, b, "SELECT count(*) FROM messages") == 0 })
	var statements atomic.Int64
	r.faults.set(func(string) error { statements.Add(1); return nil }, nil)
	<-time.After(10 * r.cfg.CommitEvery)
	if n := statements.Load(); n > 0 {
		t.Errorf("%d statements ran while nothing was to do", n)
	}
}

func TestByteBudgetBoundsWhatIsUnsettledAndIsGivenBack(t *testing.T) {
	t.Parallel()
	const budget, size = 2 << 20, 50 << 10
	r := newRig(t)
	r.cfg.WindowBytes = 64 << 20
	r.cfg.Bodies = semaphore.NewWeighted(budget)
	b := r.open(t)
	for range 100 { // 5 MB
		if err := b.Publisher().Publish(t.Context(), &broker.Message{Topic: "load", Body: make([]byte, size)}); err != nil {
			t.Fatal(err)
		}
	}
	held := newKeeper()
	stop := run(t, b, "load", "g", held)
	until(t, "the budget to be used up", func() bool { return held.bytes() > budget-takeBytes-4*size })
	<-time.After(50 * time.Millisecond)
	if bytes := held.bytes(); bytes > budget {
		t.Errorf("%d bytes are handed out, want at most %d", bytes, budget)
	}
	until(t, "everything", func() bool { return held.settleAll() == 100 })
	publish := func() {
		if err := b.Publisher().Publish(t.Context(), &broker.Message{Topic: "load", Body: make([]byte, size)}); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 { // by way of memory
		publish()
	}
	until(t, "the rest", func() bool { return held.settleAll() == 120 })
	for range 5 {
		publish() // stays unsettled
	}
	until(t, "what stays", func() bool { return held.bytes() == 5*size })
	stop()
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !r.cfg.Bodies.TryAcquire(budget) {
		t.Error("after Close some of the budget is still taken")
	}
}

// keeper keeps leases until settleAll.
type keeper struct {
	mu      chan struct{}
	leases  []broker.Lease
	settled int
}

func newKeeper() *keeper { return &keeper{mu: make(chan struct{}, 1)} }

func (h *keeper) Handle(ls []broker.Lease) {
	h.mu <- struct{}{}
	h.leases = append(h.leases, ls...)
	<-h.mu
}
func (h *keeper) Revoke(context.Context, []string) {}
func (h *keeper) Gap(string, string, string)       { panic("gap") }

func (h *keeper) bytes() (n int) {
	h.mu <- struct{}{}
	defer func() { <-h.mu }()
	for _, l := range h.leases {
		n += l.Message().Size()
	}
	return n
}

// settleAll settles what it has and returns how many that were in all.
func (h *keeper) settleAll() int {
	h.mu <- struct{}{}
	defer func() { <-h.mu }()
	for _, l := range h.leases {
		l.Ack()
	}
	h.settled += len(h.leases)
	h.leases = nil
	return h.settled
}

func TestCheck(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.open(t)
	publishUntil(t, b, keyed(1))
	if err := b.Check(t.Context()); err != nil {
		t.Errorf("Check of a healthy broker = %v", err)
	}
	if _, err := b.groupNamed(t.Context(), "damage", "forgotten"); err != nil {
		t.Fatal(err)
	}
	alterTime := func(ctx context.Context, c *conn) error {
		return c.exec(ctx, "UPDATE messages SET time = 1000000000000")
	}
	if err := b.writer.do(t.Context(), alterTime, nil); err != nil {
		t.Fatal(err)
	}
	err := b.Check(t.Context())
	if err == nil || !contains(err.Error(), "group forgotten of topic damage", "keeps 1 messages", "2001-09-09", "DELETE FROM groups WHERE id = 1") {
		t.Errorf("Check with a group that is gone = %v", err)
	}
	b.cfg.MinFree = 1 << 60
	if err := b.Check(t.Context()); err == nil || !contains(err.Error(), "bytes free") {
		t.Errorf("Check with a full disk = %v", err)
	}
}

// TestNewGroupKeepsWhatItIsToStartWith makes groups while another group's messages are being deleted.
func TestNewGroupKeepsWhatItIsToStartWith(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.CommitEvery = time.Millisecond
	b := r.open(t)
	run(t, b, "damage", "g", newReading())
	for i := range 60 {
		publishUntil(t, b, keyed(uint64(i)))
		name := fmt.Sprintf("new-%d", i)
		if _, err := b.groupNamed(t.Context(), "damage", name); err != nil {
			t.Fatal(err)
		}
		if n := count(t, b, "SELECT count(*) FROM positions JOIN streams ON streams.id = stream WHERE position < first AND \"group\" = (SELECT max(id) FROM groups)"); n > 0 {
			t.Fatalf("a group is to start with messages that were deleted while it was made")
		}
		// Forget it, so that deleting goes on.
		err := b.writer.do(t.Context(), func(context.Context, *conn) error { return nil }, func() {
			topic := b.directory.Load().topics["damage"]
			topic.groups = topic.groups[:1]
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestCommitsAreSynced(t *testing.T) {
	t.Parallel()
	b := newRig(t).open(t)
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "auto_vacuum": "0", "page_size": "4096", "wal_autocheckpoint": "0"} {
		got := ""
		err := b.writer.do(t.Context(), func(ctx context.Context, c *conn) error {
			return c.query(ctx, "PRAGMA "+pragma, func(row []driver.Value) error {
				got = fmt.Sprint(row[0])
				return nil
			})
		}, nil)
		if err != nil || got != want {
			t.Errorf("PRAGMA %s of the connection that writes = %s, %v; want %s", pragma, got, err, want)
		}
	}
}

// TestPositionsThatCouldNotBeSavedAreSavedLater fills the disk while everything is settled.
func TestPositionsThatCouldNotBeSavedAreSavedLater(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.open(t)
	for i := range 10 {
		publishUntil(t, b, keyed(uint64(i)))
	}
	var refused atomic.Int64
	r.faults.set(func(sql string) error {
		if sql == "COMMIT" && len(b.directory.Load().groups) > 0 { // not the making of the group
			refused.Add(1)
			return sqliteError(lib.SQLITE_FULL)
		}
		return nil
	}, nil)
	run(t, b, "damage", "g", newReading())
	until(t, "saving to fail twice", func() bool { return refused.Load() >= 2 })
	if n := count(t, b, "SELECT max(position) FROM positions"); n != 0 {
		t.Fatalf("the committed position is %d though no commit succeeded", n)
	}
	r.faults.heal()
	until(t, "the position to be saved", func() bool { return count(t, b, "SELECT max(position) FROM positions") == 10 })
	until(t, "what is passed to be deleted", func() bool { return count(t, b, "SELECT count(*) FROM messages") == 0 })
}
