package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// history writes the rows that a delivery needs in PostgreSQL at the least: the event with its body, and how its delivery
// ended, each to be found by its key. One transaction is in flight; while it commits, the rows of the next one come together.
type history struct {
	conn   *pgconn.PgConn
	begun  int64 // tells events of this process from those of another
	in     chan recorded
	failed chan struct{} // closed when nothing is written any more
	err    error         // why, once failed is closed
}

// recorded is a delivered event.
type recorded struct {
	body     []byte
	finished time.Time
}

const (
	historySchema = `CREATE TABLE events (id uuid PRIMARY KEY, received_at bigint NOT NULL, body bytea NOT NULL);
		CREATE TABLE deliveries (event uuid, endpoint integer, attempts integer NOT NULL, finished_at bigint NOT NULL,
			status smallint NOT NULL, PRIMARY KEY (event, endpoint))`
	copyEvents     = "COPY events FROM STDIN (FORMAT binary)"
	copyDeliveries = "COPY deliveries FROM STDIN (FORMAT binary)"
	// mostRecorded bounds what waits, and with it a transaction. Once it is reached, deliveries wait.
	mostRecorded = 4096
)

// openHistory makes its tables in an empty database.
func openHistory(ctx context.Context, database string) (*history, error) {
	conn, err := connect(ctx, database)
	if err != nil {
		return nil, err
	}
	h := &history{
		conn: conn.PgConn(), begun: time.Now().UnixNano(), in: make(chan recorded, mostRecorded), failed: make(chan struct{}),
	}
	if _, err := h.conn.Exec(ctx, historySchema).ReadAll(); err != nil {
		return nil, errors.Join(fmt.Errorf("tables of the limit: %w", err), h.conn.Close(ctx))
	}
	return h, nil
}

// add hands an event over, and waits while too many do. What comes after a failure is dropped.
func (h *history) add(r recorded) {
	select {
	case h.in <- r:
	case <-h.failed:
	}
}

// broken reports whether nothing is written any more.
func (h *history) broken() bool {
	select {
	case <-h.failed:
		return true
	default:
		return false
	}
}

// stop ends run once everything handed over is written.
func (h *history) stop() { close(h.in) }

// run writes until stop, or until it cannot.
func (h *history) run(ctx context.Context) {
	defer close(h.failed)
	var batch []recorded
	for r := range h.in {
		batch = append(batch[:0], r)
		for len(h.in) > 0 && len(batch) < mostRecorded {
			batch = append(batch, <-h.in)
		}
		if h.err = h.write(ctx, batch); h.err != nil {
			break
		}
	}
	if h.err != nil {
		h.err = fmt.Errorf("rows of the limit: %w", h.err)
	}
	h.err = errors.Join(h.err, h.conn.Close(ctx))
}

func (h *history) write(ctx context.Context, batch []recorded) error {
	events, deliveries := newRows(), newRows()
	for i := range batch {
		r := &batch[i]
		seq, due, ok := parseBody(r.body)
		if !ok {
			return errors.New("a body that the generator did not write")
		}
		finished := r.finished.UnixMilli()
		events.row(3).id(h.begun, seq).int8(due / 1e6).bytes(r.body)
		deliveries.row(5).id(h.begun, seq).int4(1).int4(1).int8(finished).int2(200)
	}
	for _, step := range []func() error{
		func() error { return h.execute(ctx, "BEGIN") },
		func() error { return h.copy(ctx, copyEvents, events) },
		func() error { return h.copy(ctx, copyDeliveries, deliveries) },
		func() error { return h.execute(ctx, "COMMIT") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (h *history) execute(ctx context.Context, sql string) error {
	_, err := h.conn.Exec(ctx, sql).ReadAll()
	return err
}

func (h *history) copy(ctx context.Context, sql string, r *rows) error {
	_, err := h.conn.CopyFrom(ctx, bytes.NewReader(append(r.buf, 0xff, 0xff)), sql)
	return err
}

// rows are in the binary form of COPY: the number of columns, then each value behind its length (PostgreSQL's manual, COPY).
type rows struct{ buf []byte }

const copyHeader = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00" // signature, flags, length of the extension

func newRows() *rows { return &rows{[]byte(copyHeader)} }

func (r *rows) row(columns uint16) *rows {
	r.buf = binary.BigEndian.AppendUint16(r.buf, columns)
	return r
}

// id appends a uuid of two numbers. They ascend, as ids that begin with the time do.
func (r *rows) id(high, low int64) *rows {
	r.buf = binary.BigEndian.AppendUint32(r.buf, 16)
	r.buf = binary.BigEndian.AppendUint64(r.buf, uint64(high))
	r.buf = binary.BigEndian.AppendUint64(r.buf, uint64(low))
	return r
}

func (r *rows) int8(v int64) *rows {
	r.buf = binary.BigEndian.AppendUint64(append(r.buf, 0, 0, 0, 8), uint64(v))
	return r
}

func (r *rows) int4(v int32) *rows {
	r.buf = binary.BigEndian.AppendUint32(append(r.buf, 0, 0, 0, 4), uint32(v))
	return r
}

func (r *rows) int2(v int16) *rows {
	r.buf = binary.BigEndian.AppendUint16(append(r.buf, 0, 0, 0, 2), uint16(v))
	return r
}

func (r *rows) bytes(v []byte) *rows {
	r.buf = append(binary.BigEndian.AppendUint32(r.buf, uint32(len(v))), v...)
	return r
}
