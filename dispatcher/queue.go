package dispatcher

import (
	"context"
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
	if d.slots.Refuses(&e.holder) {
		return 0
	}
	room := min(e.lane.DueRoom(), firstRoom+2*e.lane.InFlight()-e.lane.DueWaiting())
	return max(room, 0)
}

// Take loads the events of rows that are due and offers them to their lanes.
func (d *Dispatcher) Take(ctx context.Context, q store.DueQuery, rows []store.Queued) {
	rows = d.admit(q, rows)
	if len(rows) == 0 {
		return
	}
	ids := make([]event.ID, 0, len(rows))
	for i := range rows {
		ids = append(ids, rows[i].ID.Event)
	}
	call, cancel := context.WithTimeout(ctx, loadTimeout)
	events, err := d.deps.Store.LoadEvents(call, ids)
	cancel()
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		d.log.Warn("events of due deliveries not loaded", telemetry.Error(err))
	}
	now := time.Now()
	for i := range rows {
		del, ok := d.endpointDueLocked(rows[i].ID)
		if !ok {
			continue
		}
		del.event = events[rows[i].ID.Event]
		d.offerDueLocked(del, err == nil, now)
	}
}

// admit picks the rows that are wanted, not in memory yet, and have room in the memory for bodies; it notes them as in
// memory. It also learns which endpoints have nothing due.
func (d *Dispatcher) admit(q store.DueQuery, rows []store.Queued) []store.Queued {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if len(rows) < q.Limit {
		d.nothingDueLocked(q, rows, now)
	}
	out := rows[:0]
	full := d.stopping
	for _, row := range rows {
		cfg, ok := d.lookup(row.ID.Endpoint)
		if full || !ok || cfg.State != store.EndpointActive { // a deleted one's rows are the sweep's
			continue
		}
		e := d.endpointLocked(cfg, now)
		if _, have := e.due[row.ID]; have || d.ended[row.ID] || e.lane.DueRoom() <= 0 {
			continue
		}
		if !d.deps.Bodies.TryAcquire(int64(row.Size)) {
			full = true
			continue
		}
		d.loaded++
		e.due[row.ID] = &delivery{
			id: row.ID, to: e, queued: true, loaded: true, budgeted: int64(row.Size), attempts: row.Attempt, first: row.FirstAttempt,
		}
		out = append(out, row)
	}
	return out
}

// nothingDueLocked opens the gates of endpoints that were asked for and had nothing.
func (d *Dispatcher) nothingDueLocked(q store.DueQuery, rows []store.Queued, now time.Time) {
	some := map[store.EndpointID]bool{}
	for i := range rows {
		some[rows[i].ID.Endpoint] = true
	}
	for id, e := range d.endpoints {
		if q.Rooms[id] > 0 && !some[id] && len(e.due) == 0 {
			d.mayOpenLocked(e, now, true)
		}
	}
}

// endpointDueLocked returns a row noted by admit, unless it was let go meanwhile.
func (d *Dispatcher) endpointDueLocked(id store.DeliveryID) (*delivery, bool) {
	e, ok := d.endpoints[id.Endpoint]
	if !ok {
		return nil, false
	}
	del, ok := e.due[id]
	return del, ok && del.event == nil && !del.running
}

// offerDueLocked offers a loaded row to its lane; one that has no event any more ends.
func (d *Dispatcher) offerDueLocked(del *delivery, loaded bool, now time.Time) {
	switch {
	case !loaded || d.stopping:
		d.unloadLocked(del)
	case del.event == nil:
		d.finishLocked(del, store.Outcome{State: store.DeliveryDead, Reason: store.ReasonExpired}, now)
	case !del.to.lane.OfferDue(del, len(del.event.Body)):
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
	if e := del.to; e.asked > 0 && e.lane.DueWaiting() <= e.asked/2 { // it may have more: do not wait for the tick
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
	d.depths = depths
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
