package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// eventColumns of e and k, as scanEvent reads them.
const eventColumns = `e.id, k.tenant, k.source, k.type, e.size, e.matched, e.given_id, e.key, e.rest,
	coalesce((SELECT copies FROM duplicates u WHERE u.event = e.id), 0)`

func scanEvent(r pgx.CollectableRow) (out store.RecordedEvent, err error) {
	e := &out.Event
	var id [16]byte
	var source, typ, given, key, rest []byte
	if err := r.Scan(&id, &e.Tenant, &source, &typ, &out.Size, &out.Matched, &given, &key, &rest, &out.Duplicates); err != nil {
		return out, err
	}
	e.ID, e.Source, e.Type, e.GivenID, e.Key = event.ID(id), string(source), string(typ), string(given), string(key)
	return out, decodeRest(rest, e)
}

const (
	selectEvent = `SELECT ` + eventColumns + ` FROM events e JOIN kinds k ON k.id = e.kind WHERE e.id = $1::uuid`
	selectBody  = `SELECT body FROM bodies WHERE event = $1::uuid`
)

func getEvent(ctx context.Context, tx pgx.Tx, id event.ID) (store.RecordedEvent, error) {
	rows, err := tx.Query(ctx, selectEvent, id)
	if err != nil {
		return store.RecordedEvent{}, err
	}
	return pgx.CollectExactlyOneRow(rows, scanEvent)
}

// GetEvent returns one event without its body.
func (s *Store) GetEvent(ctx context.Context, id event.ID) (r store.RecordedEvent, err error) {
	err = s.read(ctx, func(tx pgx.Tx) error {
		r, err = getEvent(ctx, tx, id)
		return err
	})
	return r, s.describe(fmt.Sprintf("event %s", id), err)
}

// GetBody returns an event's body.
func (s *Store) GetBody(ctx context.Context, id event.ID) (body []byte, contentType string, err error) {
	err = s.read(ctx, func(tx pgx.Tx) error {
		r, err := getEvent(ctx, tx, id)
		if err != nil {
			return err
		}
		contentType = r.Event.ContentType
		err = tx.QueryRow(ctx, selectBody, id).Scan(&body)
		if errors.Is(err, pgx.ErrNoRows) {
			return store.ErrGone
		}
		return err
	})
	if err != nil {
		return nil, "", s.describe(fmt.Sprintf("body of event %s", id), err)
	}
	return body, contentType, nil
}

const (
	// These name the partitions when they are planned, which a join would not.
	loadEvents = `SELECT e.id, k.tenant, k.source, k.type, e.given_id, e.key, e.rest FROM events e JOIN kinds k ON k.id = e.kind
		WHERE e.id = ANY ($1)`
	loadBodies = `SELECT event, body FROM bodies WHERE event = ANY ($1)`
)

// LoadEvents reads events with their bodies.
func (s *Store) LoadEvents(ctx context.Context, ids []event.ID) (map[event.ID]*event.Event, error) {
	if len(ids) == 0 {
		return map[event.ID]*event.Event{}, nil
	}
	wanted := uuids(len(ids))
	for _, id := range ids {
		wanted.id(id)
	}
	var events map[event.ID]*event.Event
	var bodies map[event.ID][]byte
	var damaged error
	err := s.pipeline(ctx, s.dispatch, []statement{byIndex, over(loadEvents, wanted), over(loadBodies, wanted)},
		func(n int, rows *pgconn.ResultReader) {
			switch n {
			case 1:
				events, damaged = map[event.ID]*event.Event{}, nil
				for rows.NextRow() {
					e, err := readEvent(rows.Values())
					events[e.ID], damaged = e, errors.Join(damaged, err)
				}
			case 2:
				bodies = map[event.ID][]byte{}
				for rows.NextRow() {
					v := rows.Values()
					bodies[event.ID(v[0])] = append([]byte{}, v[1]...) // the reader's buffer is used again
				}
			}
		})
	if err := errors.Join(err, damaged); err != nil {
		return nil, s.describe("load events", err)
	}
	for id, e := range events {
		if body, kept := bodies[id]; kept {
			e.Body = body
		} else {
			delete(events, id)
		}
	}
	return events, nil
}

// readEvent reads the columns of loadEvents.
func readEvent(v [][]byte) (*event.Event, error) {
	e := &event.Event{
		ID: event.ID(v[0]), Tenant: string(v[1]), Source: string(v[2]), Type: string(v[3]), GivenID: string(v[4]), Key: string(v[5]),
	}
	return e, decodeRest(v[6], e)
}

// maxKindsListed bounds the kinds that a list goes over one by one.
const maxKindsListed = 1000

// ListEvents goes down the key from the newest. A list by tenant, source or type goes over the kinds of events that are
// meant, down events_kind for each; one by key down events_key; one by given id asks events_given block by block. Only
// lists of very many kinds look at events that are not meant.
func (s *Store) ListEvents(ctx context.Context, q store.EventQuery) (out []store.RecordedEvent, err error) {
	if q.Limit <= 0 {
		return nil, nil
	}
	err = s.read(ctx, func(tx pgx.Tx) error {
		kinds, err := kindsOf(ctx, tx, &q)
		if err != nil || kinds != nil && len(kinds) == 0 {
			return err
		}
		text, args := s.eventList(&q, kinds)
		rows, err := tx.Query(ctx, text, args...)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, scanEvent)
		return err
	})
	return out, s.describe("list events", err)
}

// kindsOf returns the kinds that a list asks for; nil: all.
func kindsOf(ctx context.Context, tx pgx.Tx, q *store.EventQuery) ([]int32, error) {
	if q.Tenant == "" && q.Source == "" && q.Type == "" {
		return nil, nil
	}
	var where conditions
	if q.Tenant != "" {
		where.add("tenant = ?", q.Tenant)
	}
	if q.Source != "" {
		where.add("source = ?", []byte(q.Source))
	}
	if q.Type != "" {
		where.add("type = ?", []byte(q.Type))
	}
	rows, err := tx.Query(ctx, "SELECT id FROM kinds WHERE "+where.String(), where.args...)
	if err != nil {
		return nil, err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	return append([]int32{}, ids...), err
}

// eventList writes the statement of a list.
func (s *Store) eventList(q *store.EventQuery, kinds []int32) (text string, args []any) {
	var where conditions
	low, high := span(q.Since, q.Until, event.ID{})
	where.add("id >= ?::uuid AND id <= ?::uuid", low, high)
	if !q.Before.IsZero() {
		where.add("id < ?::uuid", q.Before)
	}
	if q.Key != "" {
		where.add("key = ?::bytea", []byte(q.Key))
	}
	limit := where.param(q.Limit)
	var from string
	switch {
	case q.GivenID != "":
		from = s.givenEvents(q, kinds, &where, limit)
	case kinds != nil && len(kinds) <= maxKindsListed && q.Key == "":
		from = fmt.Sprintf(`SELECT found.* FROM unnest(%s::int4[]) AS meant (kind)
			CROSS JOIN LATERAL (SELECT * FROM events WHERE kind = meant.kind AND %s ORDER BY id DESC LIMIT %s) AS found`,
			where.param(kinds), &where, limit)
	default:
		if kinds != nil {
			where.add("kind = ANY (?::int4[])", kinds)
		}
		from = fmt.Sprintf("SELECT * FROM events WHERE %s", &where)
	}
	return fmt.Sprintf(`SELECT %s FROM (SELECT * FROM (%s) AS listed ORDER BY id DESC LIMIT %s) AS e JOIN kinds k ON k.id = e.kind ORDER BY e.id DESC`,
		eventColumns, from, limit), where.args
}

// givenEvents finds the events of a given id: day by day, so that each of its blocks is looked for in one partition. The
// days are written out, since a planner that sees a whole partition named takes events_given and one that does not the key.
func (s *Store) givenEvents(q *store.EventQuery, kinds []int32, where *conditions, limit string) string {
	where.add("given_hash = ?::int4 AND given_id = ?::bytea", givenHash(q.GivenID), []byte(q.GivenID))
	if kinds != nil {
		where.add("kind = ANY (?::int4[])", kinds)
	}
	from, to := dayOf(s.localNow().Add(-s.history-2*day)), dayOf(s.localNow().Add(2*day))
	if q.Since.After(from) {
		from = dayOf(q.Since)
	}
	if !q.Until.IsZero() && q.Until.Before(to) {
		to = dayOf(q.Until.Add(day))
	}
	var days []string
	for d := from; d.Before(to); d = d.AddDate(0, 0, 1) {
		next := d.AddDate(0, 0, 1)
		var blocks []int32
		for block := givenBlock(d); block <= givenBlock(next); block++ {
			blocks = append(blocks, block)
		}
		days = append(days, fmt.Sprintf("(SELECT * FROM events WHERE id >= %s::uuid AND id < %s::uuid AND given_block = ANY (%s::int4[]) AND %s LIMIT %s)",
			where.param(firstID(d)), where.param(firstID(next)), where.param(blocks), where, limit))
	}
	return strings.Join(days, " UNION ALL ")
}
