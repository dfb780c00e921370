package postgres

import (
	"reflect"
	"testing"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
)

func FuzzRest(f *testing.F) {
	f.Add(int64(0), "", "POST", "/x", "a=b", "application/json", "00-4b-00-01", "s", "x-github-event", "push")
	f.Add(int64(-5), "", "", "", "", "", "", "", "", "")
	f.Fuzz(func(t *testing.T, ahead int64, origin, method, path, query, contentType, parent, state, name, value string) {
		id := event.NewID(time.UnixMilli(1_790_000_000_000))
		e := &event.Event{
			ID: id, Time: id.Time().Add(time.Duration(ahead%1e12) * time.Millisecond), Origin: origin, Method: method, Path: path, Query: query,
			ContentType: contentType, TraceParent: parent, TraceState: state,
		}
		if name+value != "" {
			e.Headers = map[string]string{name: value}
		}
		got := &event.Event{ID: id}
		if err := decodeRest(appendRest(nil, e), got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, e) {
			t.Errorf("got %+v\nwant %+v", got, e)
		}
	})
}

func FuzzDecodeRest(f *testing.F) {
	f.Add([]byte{restVersion, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{restVersion, 0x80})
	f.Add([]byte("\x01\xd0\xd0\xd0\xd0\xd0\xd00\x00\x00\x00\x00\x00\x00\x00")) // 292 years and more ahead
	f.Fuzz(func(t *testing.T, b []byte) {
		e := &event.Event{ID: event.NewID(time.UnixMilli(1_790_000_000_000))}
		if err := decodeRest(b, e); err != nil {
			return
		}
		again := &event.Event{ID: e.ID}
		if err := decodeRest(appendRest(nil, e), again); err != nil || !reflect.DeepEqual(e, again) {
			t.Errorf("%x is %+v, which comes back as %+v, %v", b, e, again, err)
		}
	})
}

// What is copied and what is inserted when some of it is there already must be the same.
func TestRowsAreTheSameByCopyAndByInsert(t *testing.T) {
	t.Parallel()
	rows := newRowset(eventsTable, 2, 0)
	for i, given := range []string{"", "given"} {
		rows.row()
		rows.id([16]byte{byte(i)})
		for range 3 {
			rows.int4(int64(i) - 1)
		}
		rows.null()
		rows.int4(7)
		rows.string(given)
		rows.bytes([]byte{})
		rows.string("rest")
	}
	st := rows.insert()
	hashes, want := int4s(2), byteas(2)
	hashes.int(7)
	hashes.int(7)
	want.nothing()
	want.string("given")
	for column, array := range map[int][]byte{5: hashes.done(), 6: want.done()} {
		if !reflect.DeepEqual(st.values[column], array) {
			t.Errorf("column %d is %x, want %x", column, st.values[column], array)
		}
	}
	if len(st.values) != len(eventsTable.columns) {
		t.Errorf("%d parameters, want %d", len(st.values), len(eventsTable.columns))
	}
}
