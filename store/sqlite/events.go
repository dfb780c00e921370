package sqlite

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/atrest"
)

const eventColumns = `id, tenant, source, type, key, given_id, origin, time, method, path, query, content_type, headers,
	trace_parent, trace_state, size, matched, (SELECT copies FROM duplicates WHERE event = events.id)`

// insertEvent appends by the key: ids sort by time. The first write stays.
const insertEvent = `INSERT INTO events (id, tenant, source, type, key, given_id, origin, time, method, path, query,
	content_type, headers, trace_parent, trace_state, size, matched)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`

// putEvents writes rows of events and their bodies, by id: a page that is filled in order stays full.
func (s *Store) putEvents(c *conn, rows []store.EventRow) error {
	byID := func(a, b store.EventRow) int { return bytes.Compare(a.Event.ID[:], b.Event.ID[:]) }
	for i := range rows {
		if rows[i].Event == nil || rows[i].Event.ID.IsZero() {
			return fmt.Errorf("row %d of events names no event: %w", i, store.ErrData)
		}
	}
	if !slices.IsSortedFunc(rows, byID) {
		rows = slices.Clone(rows)
		slices.SortStableFunc(rows, byID)
	}
	for i := range rows {
		if err := s.putEvent(c, &rows[i]); err != nil {
			return fmt.Errorf("event %s: %w", rows[i].Event.ID, err)
		}
	}
	return nil
}

func (s *Store) putEvent(c *conn, row *store.EventRow) error {
	e := row.Event
	tenant, err := s.tenants.ensure(c, e.Tenant)
	if err != nil {
		return err
	}
	at := e.Time
	if at.Equal(e.ID.Time()) {
		at = time.Time{} // the common case: the id has it
	}
	st := c.prepare(insertEvent).blob(e.ID[:]).int(tenant).text(e.Source).text(e.Type).text(e.Key).text(e.GivenID).text(e.Origin)
	st.time(at).text(e.Method).text(e.Path).text(e.Query).text(e.ContentType)
	if headers := atrest.EncodeHeaders(e.Headers); headers != nil {
		st.blob(headers)
	} else {
		st.null()
	}
	st.text(e.TraceParent).text(e.TraceState).optional(int64(len(e.Body))).optional(int64(row.Matched))
	if err := st.run(); err != nil || c.changes() == 0 {
		return err
	}
	if e.GivenID != "" {
		if err := s.given.put(c, e.GivenID, e.ID); err != nil {
			return err
		}
	}
	return putBody(c, e.ID, e.Body)
}

// readEvent reads eventColumns.
func (s *Store) readEvent(c *conn, st *stmt) (store.RecordedEvent, error) {
	var r store.RecordedEvent
	e := &r.Event
	e.ID = event.ID(st.read16())
	tenant := st.readInt()
	e.Source, e.Type, e.Key, e.GivenID, e.Origin = st.readText(), st.readText(), st.readText(), st.readText(), st.readText()
	if e.Time = st.readTime(); e.Time.IsZero() {
		e.Time = e.ID.Time()
	}
	e.Method, e.Path, e.Query, e.ContentType = st.readText(), st.readText(), st.readText(), st.readText()
	headers := st.peek()
	var err error
	if e.Headers, err = atrest.DecodeHeaders(headers); err != nil {
		return r, fmt.Errorf("event %s: %w", e.ID, err)
	}
	e.TraceParent, e.TraceState = st.readText(), st.readText()
	r.Size, r.Matched, r.Duplicates = int(st.readInt()), int(st.readInt()), st.readInt()
	e.Tenant, err = s.tenants.name(c, tenant)
	return r, err
}

// selectEvent uses the key.
const selectEvent = `SELECT ` + eventColumns + ` FROM events WHERE id = ?`

// event reads one event without its body.
func (s *Store) event(c *conn, id event.ID) (r store.RecordedEvent, found bool, err error) {
	st := c.prepare(selectEvent).blob(id[:])
	if found = st.next(); found {
		r, err = s.readEvent(c, st)
	}
	if end := st.end(); end != nil {
		err = end
	}
	return r, found, err
}

// GetEvent returns one event without its body.
func (s *Store) GetEvent(ctx context.Context, id event.ID) (store.RecordedEvent, error) {
	var r store.RecordedEvent
	err := s.read(ctx, func(c *conn) (err error) {
		var found bool
		if r, found, err = s.event(c, id); err == nil && !found {
			err = store.ErrNotFound
		}
		return err
	})
	if err != nil {
		return store.RecordedEvent{}, fmt.Errorf("event %s: %w", id, err)
	}
	return r, nil
}

// ListEvents goes down the key from the newest, or down events_key. Other filters are tried row by row, which ends with
// ctx. By given id it asks given_ids.
func (s *Store) ListEvents(ctx context.Context, q store.EventQuery) (rows []store.RecordedEvent, err error) {
	low, high := span(q.Since, q.Until, q.Before)
	if q.Limit <= 0 || bytes.Compare(low, high) >= 0 {
		return nil, nil
	}
	err = s.read(ctx, func(c *conn) (err error) {
		if q.GivenID != "" {
			rows, err = s.eventsGiven(c, &q, low, high)
		} else {
			rows, err = s.events(c, &q, low, high)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	return rows, nil
}

func (s *Store) events(c *conn, q *store.EventQuery, low, high []byte) (rows []store.RecordedEvent, err error) {
	where := []string{"id >= ? AND id < ?"}
	tenant := int64(0)
	if q.Tenant != "" {
		var found bool
		if tenant, found, err = s.tenants.number(c, q.Tenant, nil); err != nil || !found {
			return nil, err
		}
		where = append(where, "tenant = ?")
	}
	filters := []struct{ column, value string }{{"key", q.Key}, {"source", q.Source}, {"type", q.Type}}
	for _, f := range filters {
		if f.value != "" {
			where = append(where, f.column+" = ?")
		}
	}
	st := c.prepare(`SELECT ` + eventColumns + ` FROM events WHERE ` + strings.Join(where, " AND ") + ` ORDER BY id DESC LIMIT ?`)
	st.blob(low).blob(high)
	if q.Tenant != "" {
		st.int(tenant)
	}
	for _, f := range filters {
		if f.value != "" {
			st.string(f.value)
		}
	}
	st.int(int64(q.Limit))
	for st.next() {
		r, err := s.readEvent(c, st)
		if err != nil {
			st.err = err
			break
		}
		rows = append(rows, r)
	}
	return rows, st.end()
}

// span returns the ids from since up to and excluding until and before; zero ones do not bound it.
func span(since, until time.Time, before event.ID) (low, high []byte) {
	low, high = []byte{}, bytes.Repeat([]byte{0xff}, 17) // above every id: longer than the highest
	if !since.IsZero() {
		low = firstID(since)
	}
	if !until.IsZero() {
		high = firstID(until)
	}
	if !before.IsZero() && bytes.Compare(before[:], high) < 0 {
		high = before[:]
	}
	return low, high
}

// firstID is the lowest id of its millisecond; t within a millisecond counts as the next one, since ids have whole ones.
func firstID(t time.Time) []byte {
	ms := t.UnixMilli()
	if t.Truncate(time.Millisecond).Before(t) {
		ms++
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(max(ms, 0)))
	return append(b[2:8:8], make([]byte, 10)...)
}
