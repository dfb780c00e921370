package sqlite

import (
	"context"
	"database/sql/driver"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/pkg/telemetry"
)

const (
	// selectRows starts with the row that a position lies in, which begins at or before it.
	selectRows = `SELECT id, time, data FROM messages
		WHERE id >= coalesce((SELECT max(id) FROM messages WHERE id BETWEEN ?1 AND ?2), ?2) AND id < ?3 ORDER BY id`
	keepDamaged = `INSERT OR IGNORE INTO damaged (id, time, found, data) VALUES (?, ?, ?, ?)`
)

// read fills items from the file with messages below upto, about takeBytes of them.
func (p *pump) read(ctx context.Context, upto int64) error {
	if err := p.acquire(ctx, takeBytes); err != nil {
		return err
	}
	taken := int64(takeBytes)
	defer func() { p.release(taken) }()

	r := rowReader{pump: p, position: p.position, upto: upto}
	if err := r.read(ctx); err != nil {
		return err
	}
	// Before any of them counts as passed, and while nothing of the file is lent: the writer may be about to reopen it.
	if err := p.keepDamaged(ctx, r.damaged); err != nil {
		return err
	}
	if more := r.bytes - taken; more > 0 {
		if err := p.acquire(ctx, more); err != nil {
			return err
		}
		taken += more
	}
	taken -= r.bytes // they belong to the items now
	p.items = append(p.items, r.items...)
	p.stream.moveTo(p, r.position)
	return nil
}

// rowReader turns rows into items without holes: what is missing between them is a gap.
type rowReader struct {
	pump     *pump
	position int64 // of the next item
	upto     int64
	items    []item
	bytes    int64  // of the items
	stored   int    // bytes of the rows they come from
	full     bool   // there may be more rows
	reason   string // why what comes next may be missing
	damaged  []damagedData
}

// damagedData is a row to keep for people to look at.
type damagedData struct {
	id, ms int64
	data   []byte
}

func (r *rowReader) read(ctx context.Context) error {
	r.reason = telemetry.LostGap
	base := rowID(r.pump.stream.id, 0)
	err := r.pump.broker.file.read(ctx, func(c *conn) error {
		return c.query(context.WithoutCancel(ctx), selectRows, r.row, base, base+r.position, base+r.upto)
	})
	if err == nil && !r.full {
		r.missing(r.upto)
	}
	return err
}

func (r *rowReader) row(row []driver.Value) error {
	id, ms, data, err := messageRow(row)
	if err != nil {
		return err
	}
	if r.stored > 0 && r.stored+len(data) > takeBytes { // what is held must not wait for more of the budget
		r.full = true
		return errStop
	}
	r.stored += len(data)
	first := id - rowID(r.pump.stream.id, 0)
	r.missing(first)
	damaged := decodeRow(id, ms, data, int(max(r.position-first, 0)), r.pump.names, func(i int, m *broker.Message, err error) {
		if err != nil {
			r.reason = telemetry.LostDamaged
			r.missing(first + int64(i) + 1)
			r.reason = telemetry.LostGap
			r.damaged = append(r.damaged, damagedData{id, ms, data})
			return
		}
		m.Topic = r.pump.stream.topic.name
		s := &stored{message: *m, position: first + int64(i), size: m.Size()}
		r.items = append(r.items, item{stored: s})
		r.bytes += int64(s.size)
		r.position = s.position + 1
	})
	if damaged != nil { // up to the next row
		r.reason = telemetry.LostDamaged
		r.damaged = append(r.damaged, damagedData{id, ms, data})
	} else {
		r.reason = telemetry.LostGap
	}
	return nil
}

// messageRow takes a row of messages apart: id, time, data.
func messageRow(row []driver.Value) (id, ms int64, data []byte, err error) {
	n, err := integers(row[:2])
	if err != nil {
		return 0, 0, nil, err
	}
	data, err = blob(row[2])
	return n[0], n[1], data, err
}

// missing notes that what is before position to is not there.
func (r *rowReader) missing(to int64) {
	if to <= r.position {
		return
	}
	if n := len(r.items); n > 0 && r.items[n-1].stored == nil && r.items[n-1].reason == r.reason {
		r.items[n-1].to = to
	} else {
		r.items = append(r.items, item{from: r.position, to: to, reason: r.reason})
	}
	r.position = to
}

// keepDamaged copies damaged rows to where they stay when the originals are deleted.
func (p *pump) keepDamaged(ctx context.Context, rows []damagedData) error {
	if len(rows) == 0 {
		return nil
	}
	return p.broker.writer.do(ctx, func(ctx context.Context, c *conn) error {
		for _, d := range rows {
			if err := c.exec(ctx, keepDamaged, d.id, d.ms, time.Now().UnixMilli(), d.data); err != nil {
				return err
			}
		}
		return nil
	}, nil)
}
