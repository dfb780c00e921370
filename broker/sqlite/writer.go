package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/pkg/telemetry"
)

// call is one call of Publish.
type call struct {
	msgs   []*broker.Message
	topics []*topic // of msgs
	bytes  int64
	done   chan error // the outcome, once; with room, so that the writer never waits
	few    [2]*topic  // room for topics of small calls

	taken bool // by the writer; its lock guards it
}

// request is something else to do in a transaction of its own.
type request struct {
	fn   func(ctx context.Context, c *conn) error // nil: only what is due
	then func()                                   // once that is committed; may be nil
	done chan error                               // with room
}

// writer owns the connection that writes. Everything that changes the file goes through its goroutine.
type writer struct {
	broker       *Broker
	file         *file
	checkpointer *checkpointer
	log          *zap.Logger

	wake    chan struct{}
	settled atomic.Bool // committed positions moved since they were last saved
	hurry   atomic.Bool // save them with the next transaction

	mu       sync.Mutex
	calls    []*call
	requests []*request
	closing  bool

	// The goroutine's own.
	space    spaceGuard
	turn     uint64    // counts commits
	touched  []*stream // have messages in the commit being made
	buffer   []byte
	saved    time.Time // when committed positions were last written
	undo     []func()  // takes back what a transaction that failed did in memory
	trimming bool      // there may be rows below a floor
	failing  fault     // what the last transaction failed with
	lost     bool      // handles are not trusted
	reopened time.Time // when that was last tried
}

const (
	maxCommitBytes = 4 << 20 // calls of more than that share no commit
	retryEvery     = 100 * time.Millisecond
)

// submit queues a call. It reports false once the broker is closing.
func (w *writer) submit(c *call) bool {
	w.mu.Lock()
	open := !w.closing
	if open {
		w.calls = append(w.calls, c)
	}
	w.mu.Unlock()
	if open {
		w.signal()
	}
	return open
}

// withdraw takes a call out of the queue. It reports false when it is being written or was.
func (w *writer) withdraw(c *call) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.taken {
		return false
	}
	for i := range w.calls {
		if w.calls[i] == c {
			w.calls = append(w.calls[:i], w.calls[i+1:]...)
			break
		}
	}
	return true
}

// do has the writer's goroutine run fn in a transaction and then, once that is committed. It waits for the outcome, or
// until ctx ends; they may still run then.
func (w *writer) do(ctx context.Context, fn func(ctx context.Context, c *conn) error, then func()) error {
	r := &request{fn: fn, then: then, done: make(chan error, 1)}
	w.mu.Lock()
	if w.closing {
		w.mu.Unlock()
		return broker.ErrClosed
	}
	w.requests = append(w.requests, r)
	w.mu.Unlock()
	w.signal()
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", broker.ErrUnavailable, ctx.Err())
	}
}

func (w *writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// flush saves committed positions without waiting for CommitEvery.
func (w *writer) flush(ctx context.Context) error {
	w.hurry.Store(true)
	return w.do(ctx, nil, nil)
}

// noteSettled says that a committed position moved.
func (w *writer) noteSettled() {
	if !w.settled.Load() && w.settled.CompareAndSwap(false, true) {
		w.signal() // to set its timer
	}
}

// close has run return after what is queued was written.
func (w *writer) close() {
	w.mu.Lock()
	w.closing = true
	w.mu.Unlock()
	w.signal()
}

// run writes until close. Ctx must not end: a transaction cannot be left half done.
func (w *writer) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		// Publishers that were just answered publish again: let them, or this commit takes the first and leaves the
		// others to the next, and commits stay half as large as they could be.
		runtime.Gosched()
		calls, requests, closing := w.take()
		if wait := w.runOnce(ctx, calls, requests, closing); len(calls)+len(requests) == 0 {
			if closing {
				return
			}
			timer.Reset(wait)
			select {
			case <-w.wake:
			case <-timer.C:
			}
		}
	}
}

// take takes what is queued, up to maxCommitBytes of calls.
func (w *writer) take() (calls []*call, requests []*request, closing bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, bytes := 0, int64(0)
	for ; n < len(w.calls); n++ {
		if bytes += w.calls[n].bytes; n > 0 && bytes > maxCommitBytes {
			break
		}
		w.calls[n].taken = true
	}
	calls = append(calls, w.calls[:n]...)
	w.calls = append(w.calls[:0], w.calls[n:]...)
	clear(w.calls[len(w.calls):cap(w.calls)])
	requests, w.requests = w.requests, nil
	return calls, requests, w.closing
}

// runOnce does what there is to do and returns how long to wait when there is nothing more.
func (w *writer) runOnce(ctx context.Context, calls []*call, requests []*request, closing bool) time.Duration {
	if closing {
		w.hurry.Store(true)
	}
	if w.lost && (time.Since(w.reopened) < retryEvery || !w.reopen(ctx)) {
		w.refuse(calls, requests, fmt.Errorf("%w: being opened anew after an I/O error", broker.ErrUnavailable))
		return retryEvery
	}
	for i, r := range requests {
		err := w.serve(ctx, r)
		if w.note(err); err == nil && r.then != nil {
			r.then()
		}
		r.done <- w.refusal(err)
		if w.lost {
			w.refuse(calls, requests[i+1:], w.refusal(err))
			return retryEvery
		}
	}
	if len(calls) > 0 {
		w.commit(ctx, calls)
	} else if w.maintenanceDue() {
		w.maintain(ctx)
	}
	if !w.lost && w.checkpointer.due() {
		w.checkpoint(ctx)
	}
	return w.wait()
}

// serve runs a request. Nothing else shares its transaction: a group that is being made does not hold its messages yet.
func (w *writer) serve(ctx context.Context, r *request) error {
	if r.fn == nil {
		return w.transact(ctx, 0, nil)
	}
	w.checkpointer.wrote(logBytes(0, 1))
	return w.file.writer.transact(ctx, func() error { return r.fn(ctx, w.file.writer) })
}

// wait returns how long nothing has to be done unless somebody asks.
func (w *writer) wait() time.Duration {
	switch {
	case w.failing != faultNone && (w.lost || w.trimming || w.settled.Load()):
		return retryEvery
	case w.trimming:
		return 0
	case w.settled.Load():
		return max(0, w.broker.cfg.CommitEvery-time.Since(w.saved))
	default:
		return time.Hour
	}
}

// refuse answers without trying.
func (w *writer) refuse(calls []*call, requests []*request, err error) {
	for _, c := range calls {
		c.done <- err
	}
	for _, r := range requests {
		r.done <- err
	}
}

// note keeps track of whether the file works, and says so when that changes.
func (w *writer) note(err error) {
	now := classify(err)
	if now == faultIO {
		w.lost = true
	}
	if now == w.failing {
		return
	}
	was := w.failing
	w.failing = now
	switch {
	case now != faultNone:
		w.log.Error("the broker cannot write", telemetry.Error(explain(w.file.path, err)))
	case was != faultNone:
		w.log.Info("the broker writes again")
	}
}

// refusal is err as those get it whose messages are not in the file, or who have none.
func (w *writer) refusal(err error) error {
	var own *ownError
	if err == nil || errors.Is(err, broker.ErrUnavailable) || errors.As(err, &own) {
		return err
	}
	return fmt.Errorf("%w: %w", broker.ErrUnavailable, explain(w.file.path, err))
}

// reopen opens the file anew and takes over what it says. It reports whether that succeeded.
func (w *writer) reopen(ctx context.Context) bool {
	s, err := w.file.reopen(ctx)
	w.reopened = time.Now()
	if err != nil {
		w.note(err)
		return false
	}
	w.lost = false
	w.checkpointer.length = 0
	w.broker.adopt(s)
	w.note(nil)
	return true
}
