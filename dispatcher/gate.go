package dispatcher

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/sluicehq/sluice/dispatcher/lane"
	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/pkg/wait"
	"github.com/sluicehq/sluice/store"
)

const stateTimeout = 10 * time.Second

// loadGates reads the gates, however long the store takes, and reports whether ctx still runs.
func (d *Dispatcher) loadGates(ctx context.Context) bool {
	for {
		err := d.gates.Load(ctx)
		if err == nil {
			return true
		}
		if ctx.Err() == nil {
			d.log.Warn("gates not loaded, trying again", telemetry.Error(err))
		}
		if !wait.For(ctx, recordMaxPause) {
			return false
		}
	}
}

// tripLocked closes the gate after failures, for longer each time.
func (d *Dispatcher) tripLocked(e *endpoint, now time.Time) {
	g := d.gates.Get(e.cfg.ID)
	g.State = store.GateClosed
	g.NotBefore = now.Add(lane.GateWait(g.Opens, rand.Float64()))
	g.Opens++
	if g.FailingSince.IsZero() {
		g.FailingSince = now
		d.log.Info("gate closed, endpoint fails", telemetry.EndpointID(e.cfg.ID))
	}
	d.gates.Set(g)
	d.closeLaneLocked(e, g.NotBefore, now)
	if now.Sub(g.FailingSince) >= failingFor {
		d.disableLocked(e, "failed for 5 days")
	}
}

// throttleLocked closes the gate for as long as the endpoint asked, without counting it as a failure.
func (d *Dispatcher) throttleLocked(e *endpoint, retryAfter time.Duration, now time.Time) {
	g := d.gates.Get(e.cfg.ID)
	until := now.Add(max(retryAfter, e.cfg.Retry.Base/2))
	if g.State == store.GateClosed && !until.After(g.NotBefore) {
		return
	}
	g.State, g.NotBefore = store.GateClosed, until
	d.gates.Set(g)
	d.closeLaneLocked(e, until, now)
}

// recoveredLocked notes a success, and opens the gate when the ramp is over.
func (d *Dispatcher) recoveredLocked(e *endpoint, now time.Time) {
	if g := d.gates.Get(e.cfg.ID); !g.FailingSince.IsZero() {
		g.FailingSince = time.Time{}
		d.gates.Set(g)
		d.log.Info("endpoint answers again", telemetry.EndpointID(e.cfg.ID))
	}
	d.mayOpenLocked(e, now, false)
}

func (d *Dispatcher) mayOpenLocked(e *endpoint, now time.Time, nothingDue bool) {
	if !e.lane.Closed() || e.cfg.State != store.EndpointActive || !e.lane.MayOpen(now, nothingDue) {
		return
	}
	g := d.gates.Get(e.cfg.ID)
	g.State, g.Opens, g.NotBefore, g.FailingSince = store.GateOpen, 0, time.Time{}, time.Time{}
	d.gates.Set(g)
	e.lane.Open(now)
	d.pumpLocked(e, now)
}

// gatesChanged brings lanes up to what others did to their gates.
func (d *Dispatcher) gatesChanged(gates []store.Gate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for _, g := range gates {
		e, ok := d.endpoints[g.Endpoint]
		if !ok {
			continue
		}
		if g.State == store.GateClosed {
			d.closeLaneLocked(e, g.NotBefore, now)
		} else if e.cfg.State == store.EndpointActive {
			e.lane.Open(now)
		}
		d.pumpLocked(e, now)
	}
	d.loop.Wake()
}

// disableLocked disables the endpoint in the store; the snapshot then brings it back here.
func (d *Dispatcher) disableLocked(e *endpoint, reason string) {
	id := e.cfg.ID
	d.log.Warn("endpoint disabled", telemetry.EndpointID(id))
	d.attempts.Go(func() {
		ctx, cancel := context.WithTimeout(d.attemptCtx, stateTimeout)
		defer cancel()
		if _, err := d.deps.Store.SetEndpointState(ctx, id, store.EndpointDisabled, reason); err != nil {
			d.log.Warn("endpoint not disabled, trying again at its next failure", telemetry.EndpointID(id), telemetry.Error(err))
		}
	})
}
