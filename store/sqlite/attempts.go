package sqlite

import (
	"context"
	"fmt"

	"github.com/sluicehq/sluice/store"
)

const (
	// insertAttempt uses the key; the first write stays.
	insertAttempt = `INSERT INTO attempts (event, endpoint, replay, number, started, duration, status, error, excerpt)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`
	// selectAttempts reads a stretch of the key.
	selectAttempts = `SELECT number, started, duration, status, error, excerpt FROM attempts
		WHERE event = ? AND endpoint = ? AND replay = ? ORDER BY number`
)

func putAttempt(c *conn, a *store.Attempt) error {
	st := c.prepare(insertAttempt).blob(a.ID.Event[:]).int(int64(a.ID.Endpoint)).int(int64(a.ID.Replay)).int(int64(a.Number))
	st.time(a.Started).duration(a.Duration).optional(int64(a.Status)).text(a.Error)
	if len(a.Excerpt) > 0 {
		return st.blob(a.Excerpt).run()
	}
	return st.null().run()
}

// ListAttempts returns a delivery's failed attempts, first to last.
func (s *Store) ListAttempts(ctx context.Context, id store.DeliveryID) (attempts []store.Attempt, err error) {
	err = s.read(ctx, func(c *conn) error {
		attempts = nil
		st := c.prepare(selectAttempts).blob(id.Event[:]).int(int64(id.Endpoint)).int(int64(id.Replay))
		for st.next() {
			attempts = append(attempts, store.Attempt{
				ID: id, Number: int(st.readInt()), Started: st.readTime(), Duration: st.readDuration(),
				Status: int(st.readInt()), Error: st.readText(), Excerpt: st.readBlob(),
			})
		}
		return st.end()
	})
	if err != nil {
		return nil, fmt.Errorf("attempts of %s: %w", id, err)
	}
	return attempts, nil
}
