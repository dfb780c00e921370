package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/atrest"
)

// The first write of an event stays.
var (
	eventsTable = &table{
		name: "events",
		columns: []column{
			{"id", uuids},
			{"kind", int4s},
			{"size", int4s},
			{"matched", int4s},
			{"given_block", int4s},
			{"given_hash", int4s},
			{"given_id", byteas},
			{"key", byteas},
			{"rest", byteas},
		},
		conflict: "(id) DO NOTHING",
	}
	bodiesTable = &table{name: "bodies", columns: []column{{"event", uuids}, {"body", byteas}}, conflict: "(event) DO NOTHING"}
)

// putEvents adds rows of events and their bodies, by id: ids sort by time, so rows are appended.
func (s *Store) putEvents(ctx context.Context, w *writing, all []store.EventRow) error {
	size := 0
	for i := range all {
		if all[i].Event == nil || all[i].Event.ID.IsZero() {
			return fmt.Errorf("row %d of events names no event: %w", i, store.ErrData)
		}
		size += len(all[i].Event.Body)
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b store.EventRow) int { return bytes.Compare(a.Event.ID[:], b.Event.ID[:]) })
	all = slices.CompactFunc(all, func(a, b store.EventRow) bool { return a.Event.ID == b.Event.ID })
	numbers, err := s.kinds.ensure(ctx, s.dispatch, all)
	if err != nil {
		return fmt.Errorf("kinds of events: %w", err)
	}
	rows, bodies := newRowset(eventsTable, len(all), 256*len(all)), newRowset(bodiesTable, len(all), 16*len(all)+size)
	for i := range all {
		e := all[i].Event
		rows.row()
		rows.id(e.ID)
		rows.int4(int64(numbers[i]))
		rows.int4(int64(len(e.Body)))
		rows.int4(int64(all[i].Matched))
		if e.GivenID == "" {
			rows.null()
			rows.null()
		} else {
			rows.int4(int64(givenBlock(e.ID.Time())))
			rows.int4(int64(givenHash(e.GivenID)))
		}
		rows.string(e.GivenID)
		rows.string(e.Key)
		rows.rest(e)
		bodies.row()
		bodies.id(e.ID)
		bodies.bytes(e.Body)
	}
	w.new = append(w.new, rows, bodies)
	return nil
}

// rest appends column rest.
func (r *rowset) rest(e *event.Event) {
	at := len(r.buf)
	r.buf = appendRest(append(r.buf, 0, 0, 0, 0), e)
	size := len(r.buf) - at - 4
	if size == 0 {
		r.buf = r.buf[:at]
		r.null()
		return
	}
	binary.BigEndian.PutUint32(r.buf[at:], uint32(size))
}

// givenBits make a block of time of 2¹⁹ ms, about 9 minutes: long enough that a month has few of them to ask, short
// enough that the pages of one stay in memory.
const givenBits = 19

func givenBlock(t time.Time) int32 { return int32(t.UnixMilli() >> givenBits) }

func givenHash(id string) int32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	return int32(h.Sum32())
}

// restVersion is the first byte of column rest.
const restVersion = 1

// appendRest writes what of an event is neither a column nor in its kind: the time if the id does not have it, texts in a
// fixed order, and the headers. Nothing gives nothing.
func appendRest(out []byte, e *event.Event) []byte {
	texts := [...]string{e.Origin, e.Method, e.Path, e.Query, e.ContentType, e.TraceParent, e.TraceState}
	size := len(e.Headers)
	for _, text := range texts {
		size += len(text)
	}
	ahead := e.Time.UnixMilli() - e.ID.Time().UnixMilli()
	if size == 0 && ahead == 0 {
		return out
	}
	out = binary.AppendVarint(append(out, restVersion), ahead)
	for _, text := range texts {
		out = atrest.AppendText(out, text)
	}
	return append(out, atrest.EncodeHeaders(e.Headers)...)
}

// decodeRest fills in what appendRest wrote.
func decodeRest(b []byte, e *event.Event) error {
	e.Time = e.ID.Time()
	if len(b) == 0 {
		return nil
	}
	damaged := fmt.Errorf("event %s: its row is damaged", e.ID)
	ahead, width := binary.Varint(b[1:])
	if b[0] != restVersion || width <= 0 {
		return damaged
	}
	e.Time = time.UnixMilli(e.ID.Time().UnixMilli() + ahead).UTC() // not by a time.Duration: what is damaged overflows it
	b = b[1+width:]
	for _, text := range []*string{&e.Origin, &e.Method, &e.Path, &e.Query, &e.ContentType, &e.TraceParent, &e.TraceState} {
		var ok bool
		if *text, b, ok = atrest.CutText(b); !ok {
			return damaged
		}
	}
	var err error
	if e.Headers, err = atrest.DecodeHeaders(b); err != nil {
		return damaged
	}
	return nil
}

// firstID is the lowest id of t's millisecond; t within a millisecond counts as the next one, since ids have whole ones.
func firstID(t time.Time) (id event.ID) {
	ms := t.UnixMilli()
	if t.Truncate(time.Millisecond).Before(t) {
		ms++
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(max(ms, 0)))
	copy(id[:], b[2:])
	return id
}
