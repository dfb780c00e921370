package postgres

import (
	"bytes"
	"context"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

const (
	// claim takes a digest that is free, has run out, or was held by an event that went to quarantine. Who comes at the
	// same moment waits here for the end of the other's transaction.
	claim = `INSERT INTO claims (digest, event, until) SELECT * FROM unnest($1, $2, $3)
		ON CONFLICT (digest) DO UPDATE SET event = excluded.event, until = excluded.until
		WHERE claims.until <= ` + dbNow + ` + $4 OR EXISTS (SELECT FROM released r WHERE r.event = claims.event)`
	// unrelease: an event that claims again is no longer released. The table is nearly always empty.
	unrelease = `DELETE FROM released WHERE event = ANY ($1)`
	// holders reads what claim left, in a snapshot of its own: what claim waited for is committed.
	holders = `SELECT digest, event FROM claims WHERE digest = ANY ($1)`
	// recorded asks partitions' keys; new events are beyond their last rows, in pages that are always cached.
	recorded = `SELECT id FROM events WHERE id = ANY ($1)`
	known    = `SELECT event, endpoint, replay FROM deliveries WHERE event = ANY ($1)
		UNION SELECT event, endpoint, replay FROM queue WHERE event = ANY ($1)`
)

// unsynced has a transaction not wait for the disk: claims count from the next Record on, whose commit makes everything
// before it durable too.
var unsynced = statement{text: `SELECT set_config('synchronous_commit', 'off', true)`}

// Seen looks events up and claims for them in one round trip, and asks for the deliveries of those that are recorded,
// which are few, in another.
func (s *Store) Seen(ctx context.Context, queries []store.SeenQuery) ([]store.Seen, error) {
	if len(queries) == 0 {
		return nil, nil
	}
	statements, claiming := s.seenStatements(queries)
	last := len(statements) - 1
	var held map[[16]byte]event.ID
	var have map[event.ID]bool
	err := s.pipeline(ctx, s.dispatch, statements, func(n int, rows *pgconn.ResultReader) {
		switch {
		case n == last:
			have = map[event.ID]bool{}
			for rows.NextRow() {
				have[event.ID(rows.Values()[0])] = true
			}
		case n == last-1 && claiming:
			held = map[[16]byte]event.ID{}
			for rows.NextRow() {
				v := rows.Values()
				held[[16]byte(v[0])] = event.ID(v[1])
			}
		}
	})
	if err != nil {
		return nil, s.describe("look up events", err)
	}
	deliveries, err := s.known(ctx, have)
	if err != nil {
		return nil, s.describe("look up deliveries", err)
	}
	answers := make([]store.Seen, len(queries))
	for i := range queries {
		q := &queries[i]
		answers[i] = store.Seen{Holder: held[q.Claim], Recorded: have[q.ID], Known: deliveries[q.ID]}
	}
	return answers, nil
}

func (s *Store) seenStatements(queries []store.SeenQuery) (out []statement, claiming bool) {
	claims := make([]*store.SeenQuery, 0, len(queries))
	ids := uuids(len(queries))
	for i := range queries {
		ids.id(queries[i].ID)
		if queries[i].Claim != [16]byte{} {
			claims = append(claims, &queries[i])
		}
	}
	// By digest, so that two processes do not deadlock; the first of equals holds it.
	slices.SortStableFunc(claims, func(a, b *store.SeenQuery) int { return bytes.Compare(a.Claim[:], b.Claim[:]) })
	claims = slices.CompactFunc(claims, func(a, b *store.SeenQuery) bool { return a.Claim == b.Claim })
	out = append(out, byIndex)
	if len(claims) > 0 {
		n := len(claims)
		digests, events, untils := uuids(n), uuids(n), int8s(n)
		for _, q := range claims {
			digests.id(q.Claim)
			events.id(q.ID)
			untils.int(q.Until.UnixMilli())
		}
		out = append(out, unsynced, over(claim, digests, events, untils).int8(s.skewMillis()), over(unrelease, events), over(holders, digests))
	}
	return append(out, over(recorded, ids)), len(claims) > 0
}

// known returns the deliveries of events that are recorded.
func (s *Store) known(ctx context.Context, events map[event.ID]bool) (map[event.ID][]store.DeliveryID, error) {
	if len(events) == 0 {
		return nil, nil
	}
	ids := uuids(len(events))
	for id := range events {
		ids.id(id)
	}
	var out map[event.ID][]store.DeliveryID
	err := s.pipeline(ctx, s.dispatch, []statement{byIndex, over(known, ids)}, func(n int, rows *pgconn.ResultReader) {
		if n == 0 {
			return
		}
		out = map[event.ID][]store.DeliveryID{}
		for rows.NextRow() {
			id := readDeliveryID(rows.Values())
			out[id.Event] = append(out[id.Event], id)
		}
	})
	return out, err
}
