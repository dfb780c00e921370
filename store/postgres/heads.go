package postgres

import (
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/sluicehq/sluice/store"
)

const (
	// headMargin is how long after a row's time it may become visible without being overlooked: what lies between its
	// writing, at the end of a transaction, and the end of the commit. What takes longer is found by the next Depths, or
	// at once when this process wrote it.
	headMargin    = 500 * time.Millisecond
	discoverEvery = 250 * time.Millisecond // for endpoints whose first rows another process wrote
	forgetAfter   = 5 * time.Minute        // without rows: until their remains are vacuumed, mostly
)

// heads knows for each endpoint with rows where its first live one can be. Without it each query would walk over all the
// dead rows before it, which stay for as long as any transaction, anywhere in the database, may still see them.
type heads struct {
	mu         sync.Mutex
	known      map[store.EndpointID]*head
	discovered time.Time            // when the endpoints that have rows were last looked for
	shards     map[store.Shard]bool // where
}

// head is one endpoint's.
type head struct {
	from  int64     // no live row is due before; by the database's clock
	floor int64     // of rows that were written since the endpoint was last asked for
	rowAt time.Time // when it last had a row
}

// written takes note of rows that this process wrote in a transaction that began then.
func (h *heads) written(b *store.Batch, began int64) {
	if len(b.Queue)+len(b.Holds)+len(b.Retries) == 0 {
		return
	}
	ids := map[store.EndpointID]bool{}
	for i := range b.Queue {
		ids[b.Queue[i].ID.Endpoint] = true
	}
	for i := range b.Holds {
		ids[b.Holds[i].ID.Endpoint] = true
	}
	for i := range b.Retries {
		ids[b.Retries[i].ID.Endpoint] = true
	}
	h.lower(slices.Collect(maps.Keys(ids)), began)
}

// lower has the endpoints looked at from about t on, if not from before already. New ones are looked at from the beginning.
func (h *heads) lower(ids []store.EndpointID, t int64) {
	t -= headMargin.Milliseconds() // clocks agree no better
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, id := range ids {
		known := h.entry(id)
		known.floor, known.rowAt = min(known.floor, t), time.Now()
	}
}

// entry returns what is known of an endpoint, with the lock held.
func (h *heads) entry(id store.EndpointID) *head {
	if h.known == nil {
		h.known = map[store.EndpointID]*head{}
	}
	known, ok := h.known[id]
	if !ok {
		known = &head{floor: math.MaxInt64}
		h.known[id] = known
	}
	return known
}

// ask is what a query asks of one endpoint.
type ask struct {
	id   store.EndpointID
	from int64
	room int
}

// asks lists the endpoints to ask for, those behind q.After first.
func (h *heads) asks(q *store.DueQuery, owned func(store.EndpointID) bool) (out []ask) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, known := range h.known {
		room, ok := q.Rooms[id]
		if !ok {
			room = q.Room
		}
		if room > 0 && owned(id) {
			known.from, known.floor = min(known.from, known.floor), math.MaxInt64
			out = append(out, ask{id, known.from, room})
		}
	}
	turn := func(id store.EndpointID) int64 { // those up to After come last
		if id > q.After {
			return int64(id)
		}
		return int64(id) + 1<<32
	}
	slices.SortFunc(out, func(a, b ask) int { return int(turn(a.id) - turn(b.id)) })
	return out
}

// gap is a range of endpoints of a shard of which none is known, both ends excluded.
type gap struct {
	shard     store.Shard
	low, high store.EndpointID
}

// gaps returns where to look for endpoints that have rows, or nothing if that was done a moment ago.
func (h *heads) gaps(shards []store.Shard, now time.Time) (out []gap) {
	h.mu.Lock()
	defer h.mu.Unlock()
	same := len(shards) == len(h.shards)
	for _, s := range shards {
		same = same && h.shards[s]
	}
	if same && now.Sub(h.discovered) < discoverEvery {
		return nil
	}
	h.discovered, h.shards = now, map[store.Shard]bool{}
	of := map[store.Shard][]store.EndpointID{}
	for id, known := range h.known {
		if now.Sub(known.rowAt) > forgetAfter {
			delete(h.known, id)
			continue
		}
		of[id.Shard()] = append(of[id.Shard()], id)
	}
	for _, s := range shards {
		h.shards[s] = true
		slices.Sort(of[s])
		low := store.EndpointID(0)
		for _, id := range of[s] {
			out = append(out, gap{s, low, id})
			low = id
		}
		out = append(out, gap{s, low, math.MaxInt32}) // numbers are those of a column of 4 bytes
	}
	return out
}

// found takes what a query found: the first due row's time of each endpoint that it asked for, 0 if it has none. now is
// the database's clock before the query, or what the query asked for if that is earlier.
func (h *heads) found(first map[store.EndpointID]int64, now int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, at := range first {
		known, ok := h.known[id]
		if !ok {
			continue
		}
		if at == 0 {
			at = now
		} else {
			known.rowAt = time.Now()
		}
		known.from = min(at, now-headMargin.Milliseconds())
	}
}

// counted takes the time of each endpoint's first row, due or not, as a count of the whole queue found it.
func (h *heads) counted(first map[store.EndpointID]int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, at := range first {
		known := h.entry(id)
		known.from, known.rowAt = min(known.from, at), time.Now()
	}
}

// forgetDiscovery has the next query look for endpoints.
func (h *heads) forgetDiscovery() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.discovered = time.Time{}
}
