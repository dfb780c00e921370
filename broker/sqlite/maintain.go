package sqlite

import (
	"context"
	"database/sql/driver"
	"time"
)

const (
	upsertPosition = `INSERT INTO positions ("group", stream, position, sum) VALUES (?, ?, ?, ?)
		ON CONFLICT ("group", stream) DO UPDATE SET position = excluded.position, sum = excluded.sum`
	updateStream = `UPDATE streams SET first = ?, next = ?, sum = ? WHERE id = ?`

	// selectTrim steps over the rows that start at or below a floor: a row ends where the next one starts, so all but the
	// last are below it. length(data) does not read the data.
	selectTrim = `SELECT id, length(data) FROM messages WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?`
	deleteRows = `DELETE FROM messages WHERE id >= ? AND id < ?`
)

// How much one transaction deletes, beside twice what it inserts: 1 MiB takes about 1 ms.
const (
	trimBytes = 1 << 20
	trimRows  = 512
)

// transact runs fn, if any, and whatever maintenance is due, in one transaction: committed positions and deletions then
// need no fsync of their own.
func (w *writer) transact(ctx context.Context, bytes int64, fn func() error) error {
	c := w.file.writer
	err := c.transact(ctx, func() error {
		if fn != nil {
			if err := fn(); err != nil {
				return err
			}
		}
		if w.saveDue() {
			if err := w.savePositions(ctx, c); err != nil {
				return err
			}
		}
		if w.trimming {
			return w.trim(ctx, c, trimBytes+2*bytes)
		}
		return nil
	})
	if err != nil {
		for i := len(w.undo) - 1; i >= 0; i-- {
			w.undo[i]()
		}
	}
	clear(w.undo)
	w.undo = w.undo[:0]
	return err
}

func (w *writer) saveDue() bool {
	return w.settled.Load() && (w.hurry.Load() || time.Since(w.saved) >= w.broker.cfg.CommitEvery)
}

func (w *writer) maintenanceDue() bool { return w.trimming || w.saveDue() }

func (w *writer) maintain(ctx context.Context) {
	w.checkpointer.wrote(logBytes(0, 1))
	w.note(w.transact(ctx, 0, nil))
}

// savePositions writes the committed positions that moved, and raises the floors of their streams.
func (w *writer) savePositions(ctx context.Context, c *conn) error {
	w.hurry.Store(false)
	w.settled.Store(false) // what moves from here on is for the next time
	saved := w.saved
	w.saved = time.Now()
	w.undo = append(w.undo, func() {
		w.saved = saved
		w.settled.Store(true)
	})
	for _, g := range w.broker.directory.Load().groups {
		if err := w.saveGroup(ctx, c, g); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) saveGroup(ctx context.Context, c *conn, g *group) error {
	for i, s := range g.topic.streams {
		old, position := g.unsaved(i)
		if old == position {
			continue
		}
		if err := c.exec(ctx, upsertPosition, g.id, s.id, position, positionSum(g.id, s.id, position)); err != nil {
			return err
		}
		g.setSaved(i, position)
		floor := w.raiseFloor(s)
		w.undo = append(w.undo, func() {
			g.setSaved(i, old)
			s.floor = floor
		})
	}
	return nil
}

// raiseFloor sets the stream's floor to what all groups have passed, and returns what it was.
func (w *writer) raiseFloor(s *stream) (old int64) {
	old = s.floor
	if len(s.topic.groups) == 0 {
		return old
	}
	floor := int64(maxPosition)
	for _, g := range s.topic.groups {
		floor = min(floor, g.savedPosition(s.number))
	}
	if floor > old {
		s.floor = floor
		w.trimming = true
	}
	return old
}

// trim deletes rows below their streams' floors, at most about budget bytes of them.
func (w *writer) trim(ctx context.Context, c *conn, budget int64) error {
	w.trimming = false
	w.undo = append(w.undo, func() { w.trimming = true })
	for _, s := range w.broker.directory.Load().streams {
		for s.halted < s.floor {
			if budget <= 0 {
				w.trimming = true
				return nil
			}
			bytes, err := w.trimStream(ctx, c, s, budget)
			if err != nil {
				return err
			}
			budget -= max(bytes, pageSize)
		}
	}
	return nil
}

// trimStream deletes one step, of about budget bytes, a row counting as a page at least.
func (w *writer) trimStream(ctx context.Context, c *conn, s *stream, budget int64) (bytes int64, err error) {
	base := rowID(s.id, 0)
	rows, size, to, whole := 0, int64(0), s.first, true
	err = c.query(ctx, selectTrim, func(row []driver.Value) error {
		n, err := integers(row)
		if err != nil {
			return err
		}
		rows++
		bytes += size // of the row before, which ends where this one starts
		size, to = max(n[1], pageSize), n[0]-base
		if rows > 1 && (bytes >= budget || rows > trimRows) {
			whole = false
			return errStop
		}
		return nil
	}, base+s.first, base+s.floor, int64(trimRows+1))
	if err != nil {
		return 0, err
	}
	first, halted := s.first, s.halted
	if whole {
		s.halted = s.floor
		if rows == 0 || s.floor == s.next { // the last row does not reach beyond the floor
			to = s.floor
		}
	}
	s.first = to
	w.undo = append(w.undo, func() { s.first, s.halted = first, halted })
	if to == first {
		return bytes, nil
	}
	if err := c.exec(ctx, deleteRows, base+first, base+to); err != nil {
		return 0, err
	}
	sum := streamSum(s.id, s.topic.id, int64(s.number), to, s.next)
	return bytes, c.exec(ctx, updateStream, to, s.next, sum, s.id)
}
