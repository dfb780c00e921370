package sqlite

import (
	"bytes"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/pkg/event"
)

func TestBodyNumbersSortByTimeAndStayInRange(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		id := event.ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
		n := bodyNumber(id)
		if n < 0 || n+bodyProbes < n {
			t.Fatalf("bodyNumber(%s) = %d", id, n)
		}
		at := time.UnixMilli(rapid.Int64Range(0, maxBodyMillis-1).Draw(t, "ms"))
		if now, next := bodyNumber(event.NewID(at)), bodyNumber(event.ID(firstID(at.Add(time.Millisecond)))); now >= next {
			t.Fatalf("a body of %v has number %d, the next millisecond begins at %d", at, now, next)
		}
	})
}

func TestArenaKeepsWhatWasBoundBefore(t *testing.T) {
	t.Parallel()
	c, err := openConn(migrated(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	}()
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 3000), 4, 4).Draw(t, "values")
		st := c.prepare("SELECT ?, ?, ?, ?")
		for _, v := range values {
			st.blob(v)
		}
		found, err := st.one(func(st *stmt) {
			for i, v := range values {
				if got := st.readBlob(); !bytes.Equal(got, v) || got == nil {
					t.Fatalf("value %d: got %x, want %x", i, got, v)
				}
			}
		})
		if !found || err != nil {
			t.Fatal(found, err)
		}
	})
	huge := make([]byte, arenaKeep+1)
	st := c.prepare("SELECT ?, ?, ?, ?").blob(huge).blob(nil).blob(huge).blob(nil)
	if err := st.run(); err != nil {
		t.Fatal(err)
	}
	if c.prepare("SELECT ?, ?, ?, ?"); len(st.arena.chunks) != 0 {
		t.Errorf("a statement keeps %d chunks after a huge value", len(st.arena.chunks))
	}
}
