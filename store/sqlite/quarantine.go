package sqlite

import (
	"context"
	"fmt"
	"math"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/atrest"
)

const (
	// insertQuarantined finds a message that lies here already by quarantine_position.
	insertQuarantined = `INSERT INTO quarantine (topic, stream, position, reason, at, key, headers, body, event)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (topic, stream, position) DO NOTHING`
	// releaseClaims has Seen pass over the claims of an event. Those that were pending are in the table by now: each
	// transaction begins with them.
	releaseClaims = `INSERT INTO released (event) VALUES (?) ON CONFLICT DO NOTHING`
	// selectQuarantine goes down the key.
	selectQuarantine = `SELECT number, topic, stream, position, reason, at, key, headers, body, event FROM quarantine
		WHERE number < ? ORDER BY number DESC LIMIT ?`
)

func putQuarantined(c *conn, q *store.Quarantined) error {
	st := c.prepare(insertQuarantined).string(q.Topic).string(q.Stream).string(q.Position).text(q.Reason).int(q.At.UnixMilli())
	for _, b := range [][]byte{q.Key, atrest.EncodeHeaders(q.Headers), q.Body} {
		if b == nil {
			st.null()
		} else {
			st.blob(b)
		}
	}
	if q.Event.IsZero() {
		return st.null().run()
	}
	if err := st.blob(q.Event[:]).run(); err != nil {
		return err
	}
	return c.prepare(releaseClaims).blob(q.Event[:]).run()
}

// ListQuarantine returns quarantined messages, newest first.
func (s *Store) ListQuarantine(ctx context.Context, before int64, limit int) (rows []store.NumberedQuarantined, err error) {
	if before == 0 {
		before = math.MaxInt64
	}
	err = s.read(ctx, func(c *conn) error {
		rows = nil
		st := c.prepare(selectQuarantine).int(before).int(int64(max(limit, 0)))
		for st.next() {
			q := store.NumberedQuarantined{Number: st.readInt()}
			q.Topic, q.Stream, q.Position, q.Reason, q.At = st.readText(), st.readText(), st.readText(), st.readText(), st.readTime()
			q.Key = st.readBlob()
			headers, err := atrest.DecodeHeaders(st.peek())
			if err != nil {
				st.err = err
				break
			}
			q.Headers, q.Body, q.Event = headers, st.readBlob(), event.ID(st.read16())
			rows = append(rows, q)
		}
		return st.end()
	})
	if err != nil {
		return nil, fmt.Errorf("list quarantine: %w", err)
	}
	return rows, nil
}
