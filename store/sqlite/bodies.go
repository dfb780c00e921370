package sqlite

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

const (
	bodyRandomBits = 20
	maxBodyMillis  = 1<<43 - 2 // the year 2248
	bodyProbes     = 64        // numbers that one body may take: two events a millisecond meet once in a million
)

// bodyNumber returns the first number that an event's body may have: the milliseconds of its id and 20 of its random
// bits. Events of one millisecond with equal bits take the next free one.
func bodyNumber(id event.ID) int64 {
	ms := binary.BigEndian.Uint64(id[:8]) >> 16
	random := binary.BigEndian.Uint32(id[6:10]) >> (32 - bodyRandomBits)
	return int64(min(ms, maxBodyMillis)<<bodyRandomBits | uint64(random))
}

const (
	// insertBody tries a number, by the key, near the last row.
	insertBody = `INSERT INTO bodies (n, event, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`
	// selectBody tries the numbers that a body may have, by the key: nearly always one row.
	selectBody = `SELECT body FROM bodies WHERE n BETWEEN ? AND ? AND event = ?`
	// selectBodySize reads no more of a body than its length.
	selectBodySize = `SELECT length(body) FROM bodies WHERE n BETWEEN ? AND ? AND event = ?`
)

// putBody writes the body of an event that has none.
func putBody(c *conn, id event.ID, body []byte) error {
	first := bodyNumber(id)
	for n := first; n < first+bodyProbes; n++ {
		if err := c.prepare(insertBody).int(n).blob(id[:]).blob(body).run(); err != nil {
			return err
		}
		if c.changes() == 1 {
			return nil
		}
	}
	return fmt.Errorf("too many events with ids that begin alike: %w", store.ErrData)
}

// body reads an event's body; nil if it is no longer kept.
func body(c *conn, id event.ID) (b []byte, err error) {
	_, err = findBody(c, selectBody, id).one(func(s *stmt) { b = s.readBlob() })
	return b, err
}

func findBody(c *conn, sql string, id event.ID) *stmt {
	first := bodyNumber(id)
	return c.prepare(sql).int(first).int(first + bodyProbes - 1).blob(id[:])
}

// GetBody returns an event's body.
func (s *Store) GetBody(ctx context.Context, id event.ID) (b []byte, contentType string, err error) {
	err = s.read(ctx, func(c *conn) error {
		r, found, err := s.event(c, id)
		if err != nil {
			return err
		}
		if !found {
			return store.ErrNotFound
		}
		contentType = r.Event.ContentType
		if b, err = body(c, id); err == nil && b == nil {
			return store.ErrGone
		}
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("body of event %s: %w", id, err)
	}
	return b, contentType, nil
}

// LoadEvents reads events with their bodies, each by its key.
func (s *Store) LoadEvents(ctx context.Context, ids []event.ID) (map[event.ID]*event.Event, error) {
	events := make(map[event.ID]*event.Event, len(ids))
	err := s.read(ctx, func(c *conn) error {
		for _, id := range ids {
			r, found, err := s.event(c, id)
			if err != nil {
				return err
			}
			if !found {
				continue
			}
			if r.Event.Body, err = body(c, id); err != nil {
				return err
			}
			if r.Event.Body != nil {
				events[id] = &r.Event
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load events: %w", err)
	}
	return events, nil
}
