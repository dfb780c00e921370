package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

const (
	// holderOf finds who holds a digest now, by the key. Events in released have lost their claims.
	holderOf = `SELECT event FROM claims WHERE digest = ? AND until > ?
		AND NOT EXISTS (SELECT 1 FROM released WHERE event = claims.event)`
	// isRecorded asks by the key; a new event is beyond the last row, in a page that is always cached.
	isRecorded = `SELECT 1 FROM events WHERE id = ?`
	// knownDeliveries uses the key of deliveries and queue_event.
	knownDeliveries = `SELECT endpoint, replay FROM deliveries WHERE event = ?1
		UNION SELECT endpoint, replay FROM queue INDEXED BY queue_event WHERE event = ?1`
)

// Seen looks events up and claims for them. It reads only: claims wait in memory for the next Record (see claims).
func (s *Store) Seen(ctx context.Context, queries []store.SeenQuery) ([]store.Seen, error) {
	if s.claims.len()+len(queries) > maxPendingClaims {
		// Nothing was recorded for a long time: the store is down, or this waits for it.
		if err := s.write(ctx, volatile, 1, func(*conn) error { return nil }); err != nil {
			return nil, fmt.Errorf("look up events: %w", err)
		}
	}
	answers := make([]store.Seen, len(queries))
	// Who has this connection is the only one that claims. A claim that is neither pending now nor in the table as read
	// below, which begins later, is nobody's: claims go from here to the table, and there before they are gone here.
	err := readWith(ctx, s.seeing, func(c *conn) error {
		now := s.now()
		held := s.claims.find(digests(queries))
		var taken []pendingClaim
		for i := range queries {
			q, a := &queries[i], &answers[i]
			if err := look(c, q, a); err != nil {
				return err
			}
			if q.Claim == [16]byte{} {
				continue
			}
			if had, ok := held[q.Claim]; ok && had.until.After(now) {
				a.Holder = had.holder
				continue
			}
			if found, err := holder(c, q.Claim, now, a); found || err != nil {
				if err != nil {
					return err
				}
				continue
			}
			a.Holder = q.ID
			held[q.Claim] = claim{q.ID, q.Until}
			taken = append(taken, pendingClaim{q.Claim, held[q.Claim]})
		}
		s.claims.add(taken)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look up events: %w", err)
	}
	return answers, nil
}

func digests(queries []store.SeenQuery) [][16]byte {
	out := make([][16]byte, 0, len(queries))
	for i := range queries {
		if queries[i].Claim != [16]byte{} {
			out = append(out, queries[i].Claim)
		}
	}
	return out
}

// look says what the history and the queue know of an event.
func look(c *conn, q *store.SeenQuery, a *store.Seen) (err error) {
	if a.Recorded, err = c.prepare(isRecorded).blob(q.ID[:]).one(func(*stmt) {}); err != nil || !a.Recorded {
		return err
	}
	row := c.prepare(knownDeliveries).blob(q.ID[:])
	for row.next() {
		a.Known = append(a.Known, store.DeliveryID{Event: q.ID, Endpoint: store.EndpointID(row.readInt()), Replay: uint32(row.readInt())})
	}
	return row.end()
}

// holder looks a digest up in the table.
func holder(c *conn, digest [16]byte, now time.Time, a *store.Seen) (bool, error) {
	return c.prepare(holderOf).blob(digest[:]).time(now).one(func(row *stmt) { a.Holder = event.ID(row.read16()) })
}
