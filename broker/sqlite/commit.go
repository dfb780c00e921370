package sqlite

import (
	"context"
	"fmt"
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
	adds := logBytes(bytes, len(w.touched))
	err := w.space.check(ctx, w.file, adds, started)
	if err == nil {
		err = w.transact(ctx, bytes, func() error { return w.insert(ctx, ms) })
	}
	if w.note(err); err == nil {
		w.broker.metrics.ObserveCommit(n, time.Since(started))
		w.checkpointer.wrote(adds)
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
