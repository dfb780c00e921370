package dispatcher

import (
	"container/list"
	"time"

	"github.com/sluicehq/sluice/dispatcher/lane"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// endpoint is an endpoint with its lane, from the first delivery to it until it is idle.
type endpoint struct {
	cfg     *store.Endpoint
	lane    *lane.Lane[*delivery]
	holder  lane.Holder
	due     map[store.DeliveryID]*delivery // rows of the queue in memory, until what became of them is recorded
	asked   int                            // rows the last query had room for; 0 also if it brought all there are
	refused bool                           // the lane had no room for the bytes of a row it was brought
	bytes   int64                          // of bodies in running attempts
	goneAt  time.Time                      // of the first 410 in a row
	goneFor event.ID                       // its event
}

// delivery is one delivery in memory.
type delivery struct {
	id       store.DeliveryID
	to       *endpoint
	event    *event.Event
	parent   *inflight // the event that waits for it; nil: a row of the queue, or held
	at       int       // where it stands in parent.open
	queued   bool      // it has a row in the queue, written or in a batch
	loaded   bool      // from the queue, and counted in Dispatcher.loaded
	budgeted int64     // bytes taken of the budget for bodies
	attempts int       // made before
	first    time.Time // when the first attempt began; zero: none
	running  bool
	started  time.Time
	slow     bool          // its attempt has run for a second and holds a slow slot
	pace     *list.Element // in Dispatcher.running
}

// endpointLocked returns the endpoint's place, made if need be.
func (d *Dispatcher) endpointLocked(cfg *store.Endpoint, now time.Time) *endpoint {
	if e, ok := d.endpoints[cfg.ID]; ok {
		return e
	}
	e := &endpoint{cfg: cfg, lane: lane.New[*delivery](settings(cfg), now), due: map[store.DeliveryID]*delivery{}}
	e.holder.Owner = e
	e.lane.Exclusive(cfg.Exclusive())
	if g := d.gates.Get(cfg.ID); g.State == store.GateClosed {
		e.lane.Close(g.NotBefore)
	}
	d.endpoints[cfg.ID] = e
	return e
}

// currentLocked returns the endpoint as it is now. cfg is what was matched, maybe some time ago: an endpoint that is
// made of it after reconfigure ran would never hear of the change.
func (d *Dispatcher) currentLocked(cfg *store.Endpoint) *store.Endpoint {
	if now, ok := d.lookup(cfg.ID); ok {
		return now
	}
	return deleted(cfg)
}

func deleted(cfg *store.Endpoint) *store.Endpoint {
	gone := *cfg
	gone.State = store.EndpointDeleted
	return &gone
}

func settings(cfg *store.Endpoint) lane.Settings {
	return lane.Settings{MaxInFlight: cfg.MaxInFlight, PerSecond: cfg.RateLimit.PerSecond, Burst: cfg.RateLimit.Burst}
}

// offerLocked puts a fresh delivery into its lane, or queues it.
func (d *Dispatcher) offerLocked(del *delivery, now time.Time) {
	e := del.to
	switch {
	case e.cfg.State != store.EndpointActive:
		d.queueLocked(del, store.ReasonGate, now)
	case d.slots.Refuses(&e.holder):
		d.queueLocked(del, store.ReasonLaneFull, now)
	case e.lane.Offer(del, len(del.event.Body)):
		d.pumpLocked(e, now)
	case e.lane.Closed() || e.cfg.Exclusive():
		d.queueLocked(del, store.ReasonGate, now)
	default:
		d.queueLocked(del, store.ReasonLaneFull, now)
	}
}

// queueLocked queues a fresh delivery, due now; over max_queued it is dead instead.
func (d *Dispatcher) queueLocked(del *delivery, reason store.Reason, now time.Time) {
	id := del.id.Endpoint
	if depth := d.depths[id]; depth.Rows >= del.to.cfg.MaxQueued {
		d.finishLocked(del, store.Outcome{State: store.DeliveryDead, Reason: store.ReasonOverflow}, now)
		return
	}
	if depth, ok := d.depths[id]; ok { // between counts; a first row of an endpoint waits for the next count
		depth.Rows++
		d.depths[id] = depth
	}
	d.putLocked(del, store.Queued{Reason: reason, NextAt: now}, now)
}

// reconfigure brings the lanes up to the snapshot.
func (d *Dispatcher) reconfigure() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for id, e := range d.endpoints {
		cfg, ok := d.lookup(id)
		if !ok {
			if e.cfg.State == store.EndpointDeleted {
				continue
			}
			cfg = deleted(e.cfg)
		}
		if cfg != e.cfg {
			d.reconfigureLocked(e, cfg, now)
		}
	}
}

func (d *Dispatcher) reconfigureLocked(e *endpoint, cfg *store.Endpoint, now time.Time) {
	was, wasExclusive := e.cfg.State, e.cfg.Exclusive()
	e.cfg = cfg
	e.lane.Configure(settings(cfg), now)
	e.lane.Exclusive(cfg.Exclusive())
	switch {
	case cfg.State == store.EndpointActive && was != store.EndpointActive:
		// what the store did to the gate in the same transaction; the poll brings the row itself
		d.gates.Expect(cfg.ID, now)
		d.closeLaneLocked(e, now, now)
		d.loop.Wake()
	case cfg.State != store.EndpointActive:
		d.closeLaneLocked(e, now, now)
	case cfg.Exclusive() && !wasExclusive && !e.lane.Closed(): // what waits in the lane becomes the shard owner's
		for _, del := range e.lane.Close(now) {
			d.queueLocked(del, store.ReasonGate, now)
		}
		e.lane.Open(now)
	}
	d.pumpLocked(e, now)
}

// closeLaneLocked closes the lane and queues what was fresh in it; of a deleted endpoint it is canceled. Due rows are
// let go: behind many closed gates they would fill the memory for rows of others until the gates open.
func (d *Dispatcher) closeLaneLocked(e *endpoint, notBefore, now time.Time) {
	d.dropDueLocked(e)
	for _, del := range e.lane.Close(notBefore) {
		if e.cfg.State == store.EndpointDeleted {
			d.finishLocked(del, store.Outcome{State: store.DeliveryCanceled, Reason: store.ReasonDeleted}, now)
		} else {
			d.queueLocked(del, store.ReasonGate, now)
		}
	}
}

// evictLocked drops endpoints that have nothing to do, so memory follows those in use.
func (d *Dispatcher) evictLocked() {
	now := time.Now()
	for id, e := range d.endpoints {
		e.lane.Age(now)
		gone := e.cfg.State == store.EndpointDeleted && e.lane.Waiting() == 0 && e.lane.InFlight() == 0
		if (gone || e.lane.Idle()) && len(e.due) == 0 {
			d.slots.Leave(&e.holder)
			delete(d.endpoints, id)
		}
	}
}
