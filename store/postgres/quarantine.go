package postgres

import (
	"bytes"
	"context"
	"maps"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/atrest"
)

const (
	// addDuplicates adds to rows of their own: they may come before the event's.
	addDuplicates = `INSERT INTO duplicates (event, copies) SELECT * FROM unnest($1, $2)
		ON CONFLICT (event) DO UPDATE SET copies = duplicates.copies + excluded.copies`
	insertQuarantined = `INSERT INTO quarantine (topic, stream, position, reason, at, key, headers, body, event)
		SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`
	insertReleased = `INSERT INTO released (event) SELECT * FROM unnest($1) ON CONFLICT DO NOTHING`
)

func countDuplicates(copies map[event.ID]int64) statement {
	holders, counts := uuids(len(copies)), int8s(len(copies))
	for _, id := range slices.SortedFunc(maps.Keys(copies), func(a, b event.ID) int { return bytes.Compare(a[:], b[:]) }) {
		holders.id(id)
		counts.int(copies[id])
	}
	return over(addDuplicates, holders, counts)
}

func putQuarantined(out []statement, all []store.Quarantined) []statement {
	if len(all) == 0 {
		return out
	}
	n := len(all)
	topics, streams, positions, reasons, ats := byteas(n), byteas(n), byteas(n), texts(n), int8s(n)
	messageKeys, headers, bodies, events, released := byteas(n), byteas(n), byteas(n), uuids(n), uuids(n)
	for i := range all {
		q := &all[i]
		topics.bytes([]byte(q.Topic))
		streams.bytes([]byte(q.Stream))
		positions.bytes([]byte(q.Position))
		reasons.string(plain(q.Reason))
		ats.int(unixMillis(q.At))
		messageKeys.string(string(q.Key))
		headers.string(string(atrest.EncodeHeaders(q.Headers)))
		bodies.string(string(q.Body))
		if q.Event.IsZero() {
			events.nothing()
			continue
		}
		events.id(q.Event)
		released.id(q.Event)
	}
	out = append(out, over(insertQuarantined, topics, streams, positions, reasons, ats, messageKeys, headers, bodies, events))
	if released.n > 0 {
		out = append(out, over(insertReleased, released))
	}
	return out
}

const selectQuarantine = `SELECT number, topic, stream, position, coalesce(reason, ''), at, key, headers, body, event FROM quarantine
	WHERE number < $1 ORDER BY number DESC LIMIT $2`

// ListQuarantine returns quarantined messages, newest first.
func (s *Store) ListQuarantine(ctx context.Context, before int64, limit int) (out []store.NumberedQuarantined, err error) {
	if before == 0 {
		before = math.MaxInt64
	}
	err = s.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, selectQuarantine, before, max(limit, 0))
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, scanQuarantined)
		return err
	})
	return out, s.describe("list quarantine", err)
}

func scanQuarantined(r pgx.CollectableRow) (q store.NumberedQuarantined, err error) {
	var topic, stream, position, headers []byte
	var at int64
	var id *[16]byte
	if err := r.Scan(&q.Number, &topic, &stream, &position, &q.Reason, &at, &q.Key, &headers, &q.Body, &id); err != nil {
		return q, err
	}
	q.Topic, q.Stream, q.Position, q.At = string(topic), string(stream), string(position), millis(at)
	if id != nil {
		q.Event = event.ID(*id)
	}
	q.Headers, err = atrest.DecodeHeaders(headers)
	return q, err
}
