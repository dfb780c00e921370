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

	mu      sync.Mutex
	known   map[store.EndpointID]store.Gate // not the open, unfailing ones whose write is done
	unsaved map[store.EndpointID]bool
}

// NewGates returns an empty mirror; call Load before use.
func NewGates(s store.Gates, log *zap.Logger) *Gates {
	return &Gates{
		store: s, log: log, wake: make(chan struct{}, 1),
		known: map[store.EndpointID]store.Gate{}, unsaved: map[store.EndpointID]bool{},
	}
}

// Load reads all gates that matter.
func (g *Gates) Load(ctx context.Context) error {
	_, err := g.refresh(ctx, time.Time{})
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
	g.known[gate.Endpoint] = gate
	g.unsaved[gate.Endpoint] = true
	g.mu.Unlock()
	select {
	case g.wake <- struct{}{}:
	default:
	}
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
			news, err := g.refresh(ctx, time.Now().Add(-gateLookback))
			if err != nil && ctx.Err() == nil {
				g.log.Warn("gate poll failed", telemetry.Error(err))
			}
			if len(news) > 0 {
				changed(news)
			}
		}
	}
}

// refresh reads gates changed since then and returns those that are news.
func (g *Gates) refresh(ctx context.Context, since time.Time) ([]store.Gate, error) {
	call, cancel := context.WithTimeout(ctx, gateTimeout)
	defer cancel()
	rows, err := g.store.ListGates(call, since)
	if err != nil {
		return nil, err
	}
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
	if row.State == store.GateOpen && row.FailingSince.IsZero() {
		delete(g.known, row.Endpoint)
		return ok
	}
	g.known[row.Endpoint] = row
	return !ok || old.State != row.State || !old.NotBefore.Equal(row.NotBefore)
}

// save writes what is unsaved. A write that came second is dropped and the winner adopted.
func (g *Gates) save(ctx context.Context, changed func([]store.Gate)) {
	for _, gate := range g.takeUnsaved() {
		won, err := g.write(ctx, gate)
		switch {
		case err == nil:
			g.saved(gate, won)
		case errors.Is(err, store.ErrConflict):
			g.mu.Lock()
			delete(g.known, gate.Endpoint)
			g.adoptLocked(won)
			g.mu.Unlock()
			changed([]store.Gate{won})
		case errors.Is(err, store.ErrNotFound): // the endpoint is gone
			g.mu.Lock()
			delete(g.known, gate.Endpoint)
			g.mu.Unlock()
		default:
			if ctx.Err() == nil {
				g.log.Warn("gate write failed, trying again", telemetry.EndpointID(gate.Endpoint), telemetry.Error(err))
			}
			g.mu.Lock()
			g.unsaved[gate.Endpoint] = true
			g.mu.Unlock()
		}
	}
}

func (g *Gates) takeUnsaved() []store.Gate {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := make([]store.Gate, 0, len(g.unsaved))
	for id := range g.unsaved {
		out = append(out, g.known[id])
	}
	clear(g.unsaved)
	return out
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
	if !g.unsaved[wrote.Endpoint] && now.State == store.GateOpen && now.FailingSince.IsZero() {
		delete(g.known, wrote.Endpoint)
		return
	}
	g.known[wrote.Endpoint] = now
}
