package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/sluicehq/sluice/broker"
)

const insertRow = `INSERT INTO messages (id, time, data) VALUES (?, ?, ?)`

// commit makes the calls' messages durable, with whatever maintenance is due, in one transaction, and answers the calls.
func (w *writer) commit(ctx context.Context, calls []*call) {
	started := time.Now()
	w.turn++
	bytes, n := w.gather(calls)
	ms := started.UnixMilli()
	err := w.space.check(ctx, w.file, bytes, started)
	if err == nil {
		err = w.transact(ctx, bytes, func() error { return w.insert(ctx, ms) })
	}
	if w.note(err); err == nil {
		w.broker.metrics.ObserveCommit(n, time.Since(started))
		w.checkpointer.wrote(bytes)
		w.publishStreams(ms)
	} else {
		w.forgetStreams()
		if ambiguous(err) {
			err = fmt.Errorf("publish: %w: %w", broker.ErrAmbiguous, explain(w.file.path, err))
		} else {
			err = fmt.Errorf("publish: %w", w.refusal(err))
		}
	}
	for _, c := range calls {
		c.done <- err
	}
}

// gather sorts the messages into their streams.
func (w *writer) gather(calls []*call) (bytes int64, n int) {
	for _, c := range calls {
		bytes += c.bytes
		n += len(c.msgs)
		for i, m := range c.msgs {
			s := c.topics[i].streamOf(m, w.turn)
			if len(s.batch) == 0 {
				w.touched = append(w.touched, s)
			}
			s.batch = append(s.batch, m)
		}
	}
	return bytes, n
}

func (w *writer) insert(ctx context.Context, ms int64) error {
	for _, s := range w.touched {
		if s.next > maxPosition-int64(len(s.batch)) {
			return &ownError{fmt.Errorf("stream %s of topic %s has no positions left: use another topic", s.name, s.topic.name)}
		}
		id := rowID(s.id, s.next) // only the writer changes next
		for rest := s.batch; len(rest) > 0; {
			n := rowMessages(rest)
			w.buffer = appendRow(w.buffer[:0], id, ms, rest[:n])
			if err := w.file.writer.exec(ctx, insertRow, id, ms, w.buffer); err != nil {
				return err
			}
			id += int64(n)
			rest = rest[n:]
		}
	}
	if cap(w.buffer) > 2*maxRowBytes {
		w.buffer = nil
	}
	return nil
}

// rowMessages returns how many of msgs go into one row.
func rowMessages(msgs []*broker.Message) int {
	bytes := 0
	for i, m := range msgs {
		if bytes += recordSize(m); i > 0 && bytes > maxRowBytes {
			return i
		}
	}
	return len(msgs)
}

// publishStreams shows what was committed to consumers.
func (w *writer) publishStreams(ms int64) {
	accepted := time.UnixMilli(ms).UTC()
	for _, s := range w.touched {
		var msgs []*stored
		if s.watched() {
			msgs = make([]*stored, len(s.batch))
			for i, m := range s.batch {
				msgs[i] = &stored{message: *m, position: s.next + int64(i), size: m.Size()}
				msgs[i].message.Time = accepted
			}
		}
		s.grow(msgs, s.next+int64(len(s.batch)))
	}
	w.forgetStreams()
}

func (w *writer) forgetStreams() {
	for _, s := range w.touched {
		clear(s.batch)
		s.batch = s.batch[:0]
	}
	clear(w.touched)
	w.touched = w.touched[:0]
}

// spaceGuard keeps some of the disk free. Without it, a disk that the broker itself filled could never be emptied: to
// settle and delete, the log needs room.
type spaceGuard struct {
	minFree int64
	looked  time.Time
	free    int64 // when last looked, less what was written since
}

// errReserve says that what is free is needed to settle and delete.
var errReserve = errors.New("not enough free space")

// check reports whether bytes more may be written: there is enough room on the disk, or in the file itself.
func (g *spaceGuard) check(ctx context.Context, f *file, bytes int64, now time.Time) error {
	if g.minFree == 0 {
		return nil
	}
	need := 2 * bytes // in the log, and in the file
	if g.free-need < g.minFree || now.Sub(g.looked) > 100*time.Millisecond {
		free, err := freeSpace(filepath.Dir(f.path))
		if err != nil {
			return nil //nolint:nilerr // a system that cannot tell has no guard; the disk says itself when it is full
		}
		g.free, g.looked = free, now
	}
	if g.free-need >= g.minFree {
		g.free -= need
		return nil
	}
	pages, err := f.writer.number(ctx, "PRAGMA freelist_count")
	if err != nil {
		return err
	}
	if pages*pageSize >= need+64*pageSize {
		return nil
	}
	return fmt.Errorf("%w: %d bytes are free, %d are kept for what is stored already; consuming that helps, too", errReserve, g.free, g.minFree)
}
