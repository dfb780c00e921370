package due

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/store"
)

const (
	gatePoll     = time.Second
	gateLookback = 30 * time.Second // versions commit out of order
	gateTimeout  = 5 * time.Second
)

// Gates mirrors the gates that are closed or failing. Its methods are safe for concurrent use; Get, Set and Each do
// not block on the store.
type Gates struct {
	store store.Gates
	log   *zap.Logger
	wake  chan struct{}
	read  time.Time // when ListGates was last asked and answered; Load's and Run's alone

	mu      sync.Mutex
	known   map[store.EndpointID]store.Gate // not the open, unfailing ones whose write is done
	unsaved map[store.EndpointID]bool
	moved   map[store.EndpointID]bool // the store's row is newer than known, by our own knowledge: see Expect
}

// NewGates returns an empty mirror; call Load before use.
func NewGates(s store.Gates, log *zap.Logger) *Gates {
	return &Gates{
		store: s, log: log, wake: make(chan struct{}, 1),
		known: map[store.EndpointID]store.Gate{}, unsaved: map[store.EndpointID]bool{}, moved: map[store.EndpointID]bool{},
	}
}

// Load reads all gates that matter.
func (g *Gates) Load(ctx context.Context) error {
	_, err := g.refresh(ctx)
	return err
}

// Get returns what is believed of an endpoint's gate.
func (g *Gates) Get(id store.EndpointID) store.Gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	if gate, ok := g.known[id]; ok {
		return gate
	}
	return store.Gate{Endpoint: id, State: store.GateOpen}
}

// Set changes what is believed and has it written soon.
func (g *Gates) Set(gate store.Gate) {
	g.mu.Lock()
	gate.Version = max(gate.Version, g.known[gate.Endpoint].Version) // an earlier write may have ended since Get
	g.known[gate.Endpoint] = gate
	g.unsaved[gate.Endpoint] = true
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// Expect notes that the store has closed an endpoint's gate, which opens again by the row of it that comes next: whoever
// is the last to hear of it may never see the row closed. What is decided of it before that row comes is written over it.
func (g *Gates) Expect(id store.EndpointID, notBefore time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known[id] = store.Gate{Endpoint: id, State: store.GateClosed, NotBefore: notBefore, Version: g.known[id].Version}
	g.moved[id] = true
}

// Waiting calls f for each endpoint that may not send before a time after now, and returns how many gates are closed.
func (g *Gates) Waiting(now time.Time, f func(store.EndpointID)) (closed int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, gate := range g.known {
		if gate.State != store.GateClosed {
			continue
		}
		closed++
		if gate.NotBefore.After(now) {
			f(id)
		}
	}
	return closed
}

// Run writes what Set changed and reads what others changed until ctx ends; what is unsaved then is written once more.
// changed is told of gates that now differ from what was believed.
func (g *Gates) Run(ctx context.Context, changed func([]store.Gate)) error {
	poll := time.NewTicker(gatePoll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), gateTimeout)
			defer cancel()
			g.save(last, func([]store.Gate) {})
			return nil
		case <-g.wake:
			g.save(ctx, changed)
		case <-poll.C:
			g.save(ctx, changed)
			news, err := g.refresh(ctx)
			if err != nil && ctx.Err() == nil {
				g.log.Warn("gate poll failed", telemetry.Error(err))
			}
			if len(news) > 0 {
				changed(news)
			}
		}
	}
}

// refresh reads gates changed since it last could and returns those that are news.
func (g *Gates) refresh(ctx context.Context) ([]store.Gate, error) {
	call, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	asked, since := time.Now(), time.Time{}
	if !g.read.IsZero() {
		since = g.read.Add(-gateLookback)
	}
	rows, err := g.store.ListGates(call, since)
	if err != nil {
		return nil, err
	}
	g.read = asked
	g.mu.Lock()
	defer g.mu.Unlock()
	var news []store.Gate
	for _, row := range rows {
		if g.adoptLocked(row) {
			news = append(news, row)
		}
	}
	return news, nil
}

// adoptLocked takes over a row of the store that is newer than what is believed and not about to be overwritten.
func (g *Gates) adoptLocked(row store.Gate) bool {
	old, ok := g.known[row.Endpoint]
	if g.unsaved[row.Endpoint] || ok && old.Version >= row.Version {
		return false
	}
	expected := g.moved[row.Endpoint] && row.State == store.GateClosed && time.Until(row.NotBefore) < gatePoll
	delete(g.moved, row.Endpoint)
	if row.State == store.GateOpen && row.FailingSince.IsZero() {
		delete(g.known, row.Endpoint)
		return ok
	}
	g.known[row.Endpoint] = row
	if expected { // news of it would have lanes begin anew, beside a probe that runs already
		return false
	}
	return !ok || old.State != row.State || !old.NotBefore.Equal(row.NotBefore)
}

// save writes what is unsaved, until the store does not answer. A write that came second is dropped and the winner
// adopted.
func (g *Gates) save(ctx context.Context, changed func([]store.Gate)) {
	gates := g.takeUnsaved()
	for i, gate := range gates {
		won, err := g.write(ctx, gate)
		switch {
		case err == nil:
			g.saved(gate, won)
		case errors.Is(err, store.ErrConflict):
			if g.lost(won) {
				changed([]store.Gate{won})
			}
		case errors.Is(err, store.ErrNotFound): // the endpoint is gone
			g.forget(gate.Endpoint)
		default:
			if ctx.Err() == nil {
				g.log.Warn("gate write failed, trying again", telemetry.EndpointID(gate.Endpoint), telemetry.Error(err))
			}
			g.retry(gates[i:])
			return
		}
	}
}

func (g *Gates) takeUnsaved() []store.Gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]store.Gate, 0, len(g.unsaved))
	for id := range g.unsaved {
		gate := g.known[id]
		if g.moved[id] {
			gate.Version = 0 // to be looked up
		}
		out = append(out, gate)
	}
	clear(g.unsaved)
	return out
}

// lost adopts the winner of a conflict and reports whether it did: what was decided anew meanwhile is written over it.
func (g *Gates) lost(won store.Gate) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.unsaved[won.Endpoint] {
		now := g.known[won.Endpoint]
		now.Version = won.Version
		g.known[won.Endpoint] = now
		return false
	}
	delete(g.known, won.Endpoint)
	g.adoptLocked(won)
	return true
}

func (g *Gates) forget(id store.EndpointID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.known, id)
	delete(g.unsaved, id)
	delete(g.moved, id)
}

// retry has gates written at the next poll, as they are then.
func (g *Gates) retry(gates []store.Gate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, gate := range gates {
		g.unsaved[gate.Endpoint] = true
	}
}

// write sets the row, after looking its version up if that is not known. With ErrConflict it returns the winner.
func (g *Gates) write(ctx context.Context, gate store.Gate) (store.Gate, error) {
	call, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	if gate.Version == 0 {
		row, err := g.store.GetGate(call, gate.Endpoint)
		if err != nil {
			return row, err
		}
		gate.Version = row.Version
	}
	won, err := g.store.SetGate(call, gate)
	if errors.Is(err, store.ErrConflict) {
		row, readErr := g.store.GetGate(call, gate.Endpoint)
		if readErr != nil {
			return row, readErr
		}
		return row, err
	}
	return won, err
}

// saved notes the version of what was written, unless the belief has changed since.
func (g *Gates) saved(wrote, won store.Gate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.known[wrote.Endpoint]
	now.Version = won.Version
	delete(g.moved, wrote.Endpoint)
	if !g.unsaved[wrote.Endpoint] && now.State == store.GateOpen && now.FailingSince.IsZero() {
		delete(g.known, wrote.Endpoint)
		return
	}
	g.known[wrote.Endpoint] = now
}
