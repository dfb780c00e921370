package dispatcher

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/sluicehq/sluice/dispatcher/due"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/store"
)

const (
	loadedLimit = 8192 // rows of the queue in memory
	queryLimit  = 1024 // rows of one query
	firstRoom   = 16   // rows of an endpoint that has no lane yet
	loadTimeout = 10 * time.Second
	takeShare   = 8       // rows of one query may bring 1/takeShare of the memory for bodies
	bringBytes  = 1 << 20 // and those of one endpoint as much as waits in a lane, and one more
)

var _ due.Taker = (*Dispatcher)(nil)

// Room says which rows of the queue the lanes can take now.
func (d *Dispatcher) Room(now time.Time) store.DueQuery {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.ended) // what was recorded by now is not in the answer to the query that begins
	q := store.DueQuery{Room: firstRoom, Rooms: map[store.EndpointID]int{}}
	if d.stopping {
		return q
	}
	q.Limit = min(queryLimit, loadedLimit-d.loaded)
	for id, e := range d.endpoints {
		e.asked = d.roomLocked(e)
		q.Rooms[id] = e.asked + len(e.due)*sign(e.asked) // rows in memory come again until they are recorded
	}
	for _, id := range d.view.Load().inactive {
		q.Rooms[id] = 0
	}
	closed := d.gates.Waiting(now, func(id store.EndpointID) { q.Rooms[id] = 0 })
	d.metrics.GatesClosed.Set(float64(closed))
	return q
}

func sign(n int) int { return min(n, 1) }

// roomLocked is how many more rows the endpoint can use soon: some more than it has in flight now, so that the next are
// there when those end, and rows of endpoints that hang do not fill the memory.
func (d *Dispatcher) roomLocked(e *endpoint) int {
	e.refused = e.refused && e.lane.DueWaiting() > 0
	if e.refused || d.slots.Refuses(&e.holder) {
		return 0
	}
	room := min(e.lane.DueRoom(), firstRoom+2*e.lane.InFlight()-e.lane.DueWaiting())
	return max(room, 0)
}

// Take loads the events of rows that are due and offers them to their lanes.
func (d *Dispatcher) Take(ctx context.Context, q store.DueQuery, rows []store.Queued) (short store.EndpointID) {
	rows, short = d.admit(q, rows)
	if len(rows) == 0 {
		return short
	}
	events, err := d.load(ctx, rows)
	if err != nil && ctx.Err() == nil {
		d.log.Warn("events of due deliveries not loaded", telemetry.Error(err))
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for i := range rows {
		del := d.endpoints[rows[i].ID.Endpoint].due[rows[i].ID] // nobody else lets it go before it was offered
		if err == nil {
			del.event, del.budgeted = events[rows[i].ID.Event], d.budget(rows[i].Size)
		}
		d.offerDueLocked(del, err == nil, now)
	}
	return short
}

// load loads the rows' events when the memory for bodies has room for them; it waits its turn for that.
func (d *Dispatcher) load(ctx context.Context, rows []store.Queued) (map[event.ID]*event.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	ids := make([]event.ID, 0, len(rows))
	bytes := int64(0)
	for i := range rows {
		ids = append(ids, rows[i].ID.Event)
		bytes += d.budget(rows[i].Size)
	}
	if err := d.deps.Bodies.Acquire(ctx, bytes); err != nil {
		return nil, fmt.Errorf("no memory for their bodies (see egress.bodies): %w", err)
	}
	events, err := d.deps.Store.LoadEvents(ctx, ids)
	if err != nil {
		d.deps.Bodies.Release(bytes)
	}
	return events, err
}

// budget is what a row takes of the memory for bodies. One that is larger than that must come through all the same.
func (d *Dispatcher) budget(size int) int64 { return min(int64(size), d.cfg.BodyBytes/takeShare) }

// admit picks the rows that are wanted and not in memory yet, as many bytes of them as one query may bring, and notes
// them as in memory. It also learns which endpoints have nothing due.
func (d *Dispatcher) admit(q store.DueQuery, rows []store.Queued) (out []store.Queued, short store.EndpointID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if len(rows) < q.Limit {
		d.answeredLocked(q, rows, now)
	}
	if d.stopping {
		return nil, 0
	}
	out = rows[:0]
	total := int64(0)
	brought := map[store.EndpointID]struct{ rows, bytes int }{}
	for _, row := range rows {
		cfg, ok := d.lookup(row.ID.Endpoint)
		if !ok || cfg.State != store.EndpointActive { // a deleted one's rows are the sweep's
			continue
		}
		e := d.endpointLocked(cfg, now)
		mine := brought[row.ID.Endpoint]
		if _, have := e.due[row.ID]; have || d.ended[row.ID] || mine.rows >= e.lane.DueRoom() || mine.bytes >= bringBytes {
			continue
		}
		bytes := d.budget(row.Size)
		if total > 0 && total+bytes > d.cfg.BodyBytes/takeShare {
			return out, row.ID.Endpoint
		}
		total += bytes
		mine.rows, mine.bytes = mine.rows+1, mine.bytes+row.Size
		brought[row.ID.Endpoint] = mine
		d.loaded++
		e.due[row.ID] = &delivery{id: row.ID, to: e, queued: true, loaded: true, attempts: row.Attempt, first: row.FirstAttempt}
		out = append(out, row)
	}
	return out, 0
}

// answeredLocked notes which endpoints have no more rows due than came, and opens the gates of those that had none.
func (d *Dispatcher) answeredLocked(q store.DueQuery, rows []store.Queued, now time.Time) {
	came := map[store.EndpointID]int{}
	for i := range rows {
		came[rows[i].ID.Endpoint]++
	}
	var asked [store.Shards]bool
	for _, s := range q.Shards {
		asked[s] = true
	}
	for id, e := range d.endpoints {
		if !asked[id.Shard()] || came[id] >= q.Rooms[id] {
			continue
		}
		e.asked = 0
		if came[id] == 0 && len(e.due) == 0 {
			d.mayOpenLocked(e, now, true)
		}
	}
}

// offerDueLocked offers a loaded row to its lane; one that has no event any more ends.
func (d *Dispatcher) offerDueLocked(del *delivery, loaded bool, now time.Time) {
	switch {
	case !loaded || d.stopping || del.to.cfg.State != store.EndpointActive:
		d.unloadLocked(del)
	case del.event == nil:
		d.finishLocked(del, store.Outcome{State: store.DeliveryDead, Reason: store.ReasonExpired}, now)
	case !del.to.lane.OfferDue(del, len(del.event.Body)):
		del.to.refused = true
		d.unloadLocked(del)
	default:
		d.pumpLocked(del.to, now)
	}
}

// unloadLocked takes a row of the queue out of memory. If it is still there it comes again when it is due.
func (d *Dispatcher) unloadLocked(del *delivery) {
	if !del.queued || del.to.due[del.id] != del {
		return
	}
	delete(del.to.due, del.id)
	d.ended[del.id] = true
	if del.loaded {
		d.loaded--
	}
	if del.budgeted > 0 {
		d.deps.Bodies.Release(del.budgeted)
		del.budgeted = 0
	}
}

// moreLocked has the due loop ask at once when the endpoint runs out of rows and may have more.
func (d *Dispatcher) moreLocked(e *endpoint) {
	if waiting := e.lane.DueWaiting(); e.refused && waiting == 0 || e.asked > 0 && waiting <= e.asked/2 {
		d.loop.Wake()
	}
}

// dropDueLocked lets the endpoint's waiting due rows go.
func (d *Dispatcher) dropDueLocked(e *endpoint) {
	for _, del := range e.due {
		if !del.running && e.lane.Remove(del) {
			d.unloadLocked(del)
		}
	}
}

// counted takes the depths of the queue.
func (d *Dispatcher) counted(depths map[store.EndpointID]store.Depth) {
	now := time.Now()
	rows, oldest := int64(0), now
	for _, depth := range depths {
		rows += depth.Rows
		if depth.Oldest.Before(oldest) {
			oldest = depth.Oldest
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.depths = maps.Clone(depths) // the sweep goes on with its own
	d.evictLocked()
	if front := d.holds.Front(); front != nil {
		if at := front.Value.(*hold).event.event.Time; at.Before(oldest) {
			oldest = at
		}
	}
	d.metrics.QueueRows.Set(float64(rows))
	d.metrics.OldestAge.Set(now.Sub(oldest).Seconds())
	d.metrics.ShardsOwned.Set(float64(len(d.shards.Owned(now))))
	fast, slow := d.slots.InUse()
	d.metrics.InFlight.WithLabelValues("fast").Set(float64(fast))
	d.metrics.InFlight.WithLabelValues("slow").Set(float64(slow))
}
