package postgres

import (
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/store"
)

func everything(store.EndpointID) bool { return true }

// from is where the next query looks at an endpoint.
func from(t *testing.T, h *heads, id store.EndpointID) int64 {
	t.Helper()
	for _, a := range h.asks(&store.DueQuery{Room: 1}, everything) {
		if a.id == id {
			return a.from
		}
	}
	t.Fatalf("endpoint %s is not asked for", id)
	return 0
}

func TestHeadMovesBehindWhatIsGoneAndBackForWhatComes(t *testing.T) {
	t.Parallel()
	margin := headMargin.Milliseconds()
	h := &heads{}
	h.lower([]store.EndpointID{7}, 100_000)
	if got := from(t, h, 7); got != 0 {
		t.Errorf("a new endpoint is looked at from %d, want from the beginning", got)
	}
	h.found(map[store.EndpointID]int64{7: 0}, 200_000)
	if got, want := from(t, h, 7), 200_000-margin; got != want {
		t.Errorf("with nothing due from %d, want %d", got, want)
	}
	h.found(map[store.EndpointID]int64{7: 150_000}, 300_000)
	if got := from(t, h, 7); got != 150_000 {
		t.Errorf("with a live row from %d, want from it", got)
	}
	h.found(map[store.EndpointID]int64{7: 400_000}, 400_000)
	if got, want := from(t, h, 7), 400_000-margin; got != want {
		t.Errorf("with a row of just now from %d, want %d: another may be committing", got, want)
	}
	h.counted(map[store.EndpointID]int64{7: 50_000})
	if got := from(t, h, 7); got != 50_000 {
		t.Errorf("after a count that found an older row from %d, want from it", got)
	}
}

// The transaction began before the query and committed while it ran: the query did not see its row.
func TestRowThatIsWrittenWhileOneLooksIsNotOverlooked(t *testing.T) {
	t.Parallel()
	h := &heads{}
	h.lower([]store.EndpointID{7}, 0)
	h.found(map[store.EndpointID]int64{7: 0}, 10_000)
	_ = from(t, h, 7)
	h.lower([]store.EndpointID{7}, 12_000)
	h.found(map[store.EndpointID]int64{7: 0}, 20_000)
	if got := from(t, h, 7); got > 12_000 {
		t.Errorf("looked at from %d, and the row is of 12000", got)
	}
}

// The row's time is the database's, the time it is looked for from is this process's.
func TestRowIsLookedForAsFarBackAsClocksDiffer(t *testing.T) {
	t.Parallel()
	h := &heads{}
	h.lower([]store.EndpointID{7}, 0)
	_ = from(t, h, 7)
	h.found(map[store.EndpointID]int64{7: 0}, 100_000)
	h.lower([]store.EndpointID{7}, 50_000)
	if got, want := from(t, h, 7), 50_000-headMargin.Milliseconds(); got != want {
		t.Errorf("looked for from %d, want %d", got, want)
	}
}

func TestGapsLeaveOutWhatIsKnownAndAreAskedNowAndThen(t *testing.T) {
	t.Parallel()
	h := &heads{}
	id := store.EndpointID(7)
	h.lower([]store.EndpointID{id}, 0)
	now := time.Now()
	shards := []store.Shard{id.Shard()}
	got := h.gaps(shards, now)
	if len(got) != 2 || got[0].low != 0 || got[0].high != id || got[1].low != id {
		t.Errorf("gaps %+v, want up to %d and from there", got, id)
	}
	if again := h.gaps(shards, now.Add(discoverEvery/2)); len(again) != 0 {
		t.Errorf("asked again at once: %+v", again)
	}
	if other := h.gaps(append(shards, id.Shard()+1), now.Add(discoverEvery/2)); len(other) == 0 {
		t.Error("a new shard waits")
	}
	if later := h.gaps(shards, now.Add(forgetAfter+time.Second)); len(later) != 1 {
		t.Errorf("an endpoint without rows for long is still known: %+v", later)
	}
}

func TestEndpointsBehindAfterComeFirst(t *testing.T) {
	t.Parallel()
	h := &heads{}
	h.lower([]store.EndpointID{1, 2, 3, 4}, 0)
	var got []store.EndpointID
	for _, a := range h.asks(&store.DueQuery{Room: 5, Rooms: map[store.EndpointID]int{4: 0}, After: 1}, everything) {
		got = append(got, a.id)
	}
	if want := []store.EndpointID{2, 3, 1}; !slices.Equal(got, want) {
		t.Errorf("asked in order %v, want %v", got, want)
	}
}
