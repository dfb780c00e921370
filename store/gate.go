package store

import (
	"context"
	"time"
)

// GateState says who may send to an endpoint.
type GateState string

// The states of a gate.
const (
	GateOpen   GateState = "open"   // every dispatcher sends fresh events; the shard owner sends due rows beside them
	GateClosed GateState = "closed" // everything is queued and only the shard owner sends: a probe, then a ramp
)

// Gate is one endpoint's row, created with it and read by every process. Queueing never writes it.
type Gate struct {
	Endpoint     EndpointID
	State        GateState
	NotBefore    time.Time // closed: nothing is sent before
	Opens        int       // closings in a row without recovery; the wait doubles with it
	FailingSince time.Time // when it first closed after its last success; zero: it does not fail
	Version      int64     // counts writes of this row, from 1
	ChangedAt    time.Time // by the store's clock
}

// Gates keeps the gates.
type Gates interface {
	// ListGates returns gates changed at or after since; the zero time gives all that are not open and unfailing.
	// Versions commit out of order: ask for the last 30 s, not for what is newer than the last answer.
	ListGates(ctx context.Context, since time.Time) ([]Gate, error)
	// GetGate returns an endpoint's gate, or ErrNotFound.
	GetGate(ctx context.Context, id EndpointID) (Gate, error)
	// SetGate writes g if the row still has g.Version, and returns it with the next version. ErrConflict if it does
	// not, ErrNotFound if the endpoint has no gate.
	SetGate(ctx context.Context, g Gate) (Gate, error)
}
