package dispatcher

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/pkg/wait"
	"github.com/sluicehq/sluice/store"
)

const (
	heldPause   = time.Second // between two looks at what is held elsewhere
	heldTimeout = 5 * time.Second
)

// taken counts what the last owners of shards may still run, before anything of them starts here. Only endpoints with a
// limit of their own or a closed gate need it: of the others every dispatcher runs attempts at its own limit.
func (d *Dispatcher) taken(ctx context.Context, shards []store.Shard) error {
	var owned [store.Shards]bool
	for _, s := range shards {
		owned[s] = true
	}
	var ask []store.EndpointID
	for _, e := range d.view.Load().Endpoints() {
		if owned[e.ID.Shard()] && (e.MaxInFlight > 0 || d.gates.Get(e.ID).State == store.GateClosed) {
			ask = append(ask, e.ID)
		}
	}
	d.mu.Lock()
	for _, id := range ask {
		d.held[id] = true
	}
	d.mu.Unlock()
	return d.countHeld(ctx, ask)
}

// runHeld follows those attempts until they end, or ctx does.
func (d *Dispatcher) runHeld(ctx context.Context) error {
	for wait.For(ctx, heldPause) {
		d.mu.Lock()
		ask := slices.Sorted(maps.Keys(d.held))
		d.mu.Unlock()
		if err := d.countHeld(ctx, ask); err != nil && ctx.Err() == nil {
			d.log.Warn("attempts of the last owners not counted, their endpoints wait", telemetry.Error(err))
		}
	}
	return nil
}

// countHeld asks what is held of these endpoints. What this process runs itself its lanes count already.
func (d *Dispatcher) countHeld(ctx context.Context, ask []store.EndpointID) error {
	if len(ask) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, heldTimeout)
	defer cancel()
	rows, err := d.deps.Store.Held(ctx, ask, time.Now())
	if err != nil {
		return fmt.Errorf("attempts of the last owners: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	running := map[store.EndpointID]int{}
	for _, id := range rows {
		if e, ok := d.endpoints[id.Endpoint]; !ok || e.due[id] == nil {
			running[id.Endpoint]++
		}
	}
	for _, id := range ask {
		if d.held[id] { // else its shard was given up meanwhile
			d.elsewhereLocked(id, running[id], now)
		}
	}
	return nil
}

// elsewhereLocked has the endpoint's lane count n attempts of others; none is the end of it.
func (d *Dispatcher) elsewhereLocked(id store.EndpointID, n int, now time.Time) {
	cfg, ok := d.lookup(id)
	if n == 0 || !ok {
		delete(d.held, id)
	} else {
		d.endpointLocked(cfg, now)
	}
	if e := d.endpoints[id]; e != nil {
		e.lane.Elsewhere(n)
		d.pumpLocked(e, now)
	}
}
