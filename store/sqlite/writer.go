package sqlite

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	lib "modernc.org/sqlite/lib"

	"github.com/sluicehq/sluice/pkg/telemetry"
)

const (
	maxWaiting   = 256  // jobs handed over and not begun; beyond it callers wait
	maxGroupRows = 8192 // a group takes no further job beyond it: about 0.2 s of work
)

// Whether a job is done only when it survives a power cut. What is not durable survives a crash of the process.
const (
	durable  = true
	volatile = false
)

var errClosed = errors.New("store closed")

// writer is the one that writes. All jobs that wait share a transaction and its fsync; while it runs the next gather.
type writer struct {
	store       *Store
	conn        *conn
	checkpoints *checkpoints
	jobs        chan *job
	chores      chan func(*conn) // see between
	closing     chan struct{}    // closed by close: no job comes any more
	stopped     chan struct{}    // closed when run has returned
	once        sync.Once
	synced      bool // PRAGMA synchronous is FULL
}

// job is something to write. run may run twice: again by itself, when another job of its group was refused for its data.
type job struct {
	run     func(*conn) error
	durable bool
	rows    int
	state   atomic.Int32 // jobWaiting, then jobTaken by the writer or jobLeft by the caller
	done    chan struct{}
	err     error // once done is closed
}

const (
	jobWaiting = iota
	jobTaken
	jobLeft
)

func newWriter(s *Store, writing, moving *conn) *writer {
	w := &writer{
		store: s, conn: writing, jobs: make(chan *job, maxWaiting), chores: make(chan func(*conn)),
		closing: make(chan struct{}), stopped: make(chan struct{}), synced: true,
	}
	w.checkpoints = newCheckpoints(w, moving)
	return w
}

func (w *writer) waiting() int { return len(w.jobs) }

// write has run write something, in a transaction with others, and returns once it is committed, durably or not. rows
// says how much it is. When ctx ends before the writer has begun, nothing is written; from then on write waits for the
// result, since run reads what the caller owns.
func (s *Store) write(ctx context.Context, durable bool, rows int, run func(*conn) error) error {
	j := &job{run: run, durable: durable, rows: rows, done: make(chan struct{})}
	w := s.writer
	select {
	case <-w.closing: // before the jobs: a select takes either
		return errClosed
	default:
	}
	select {
	case w.jobs <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.closing:
		return errClosed
	}
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
	case <-w.stopped:
	}
	if !j.state.CompareAndSwap(jobWaiting, jobLeft) {
		<-j.done
		return j.err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errClosed
}

// run takes jobs until the store closes, then those that still wait.
func (w *writer) run() {
	defer close(w.stopped)
	for {
		select {
		case j := <-w.jobs:
			w.commit(w.gather(j))
		case chore := <-w.chores:
			chore(w.conn)
		case <-w.closing:
			for len(w.jobs) > 0 {
				w.commit(w.gather(<-w.jobs))
			}
			return
		}
	}
}

// gather takes all jobs that wait, up to a bound on what one transaction does.
func (w *writer) gather(first *job) []*job {
	group, rows := []*job(nil), 0
	for j := first; ; {
		if j.state.CompareAndSwap(jobWaiting, jobTaken) {
			group, rows = append(group, j), rows+j.rows
		}
		if rows >= maxGroupRows {
			return group
		}
		select {
		case j = <-w.jobs:
		default:
			return group
		}
	}
}

// commit runs a group in one transaction and answers its jobs.
func (w *writer) commit(group []*job) {
	if len(group) == 0 {
		return
	}
	start := time.Now()
	spoiled, err := w.try(group)
	if spoiled && len(group) > 1 {
		// One was refused after it had written something. Savepoints would spare the others the second run, but copy
		// every page that any of them touches; this costs only those groups that hold a refused one.
		for _, j := range group {
			w.commit([]*job{j})
		}
		return
	}
	w.store.metrics.GroupJobs.Observe(float64(len(group)))
	w.store.metrics.CommitSeconds.Observe(time.Since(start).Seconds())
	for _, j := range group {
		if err != nil && j.err == nil {
			j.err = err
		}
		w.store.metrics.Jobs.WithLabelValues(result(j.err)).Inc()
		close(j.done)
	}
	w.checkpoints.written(w.conn)
}

// try runs a group in one transaction. It is spoiled when a job failed that had written something: nothing is committed.
func (w *writer) try(group []*job) (spoiled bool, err error) {
	needsSync := false
	for _, j := range group {
		j.err = nil
		needsSync = needsSync || j.durable
	}
	if err := w.syncWith(needsSync); err != nil {
		return false, err
	}
	if err := w.conn.prepare("BEGIN IMMEDIATE").run(); err != nil {
		return false, err
	}
	defer w.conn.rollback() // does nothing after a commit
	tenants := w.store.tenants.learning()
	claims, err := w.store.claims.write(w.conn)
	if err != nil {
		return false, err
	}
	for _, j := range group {
		before := w.conn.totalChanges()
		if j.err = j.run(w.conn); j.err == nil {
			continue
		}
		if !w.conn.inTransaction() || isOutage(j.err) {
			return false, j.err // SQLite gave the transaction up, or cannot go on with it
		}
		if w.conn.totalChanges() != before {
			return true, nil
		}
	}
	if err := w.conn.prepare("COMMIT").run(); err != nil {
		return false, err
	}
	w.store.claims.written(claims)
	tenants.keep()
	return false, nil
}

// syncWith sets whether the next commit calls fsync. Within WAL mode that is all the difference between FULL and NORMAL.
func (w *writer) syncWith(full bool) error {
	if full == w.synced {
		return nil
	}
	pragma := "PRAGMA synchronous = NORMAL"
	if full {
		pragma = "PRAGMA synchronous = FULL"
	}
	if err := w.conn.exec(pragma); err != nil { // takes effect when it is compiled, so it cannot be kept prepared
		return err
	}
	w.synced = full
	return nil
}

// between has the writer do something between two groups, outside any transaction, and waits for it. It does nothing
// once the writer has stopped.
func (w *writer) between(do func(*conn)) {
	done := make(chan struct{})
	select {
	case w.chores <- func(c *conn) { do(c); close(done) }:
		<-done
	case <-w.stopped:
	}
}

// isOutage reports whether SQLite, rather than what is stored, refused.
func isOutage(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code&0xff != lib.SQLITE_CONSTRAINT && e.Code&0xff != lib.SQLITE_TOOBIG && e.Code&0xff != lib.SQLITE_MISMATCH
}

func result(err error) string {
	switch {
	case err == nil:
		return telemetry.StoreOK
	case isOutage(err):
		return telemetry.StoreOutage
	}
	return telemetry.StoreData
}

// close lets no further job in. It reports whether this call was the first.
func (w *writer) close() (first bool) {
	w.once.Do(func() {
		first = true
		close(w.closing)
	})
	return first
}

// end closes the connections, once run has returned. The last connection to the file moves the log into it.
func (w *writer) end() error { return errors.Join(w.checkpoints.conn.close(), w.conn.close()) }
