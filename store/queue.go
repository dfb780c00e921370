package store

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
)

// Queue is the queue as a shard owner works it off. Shard ownership is the claim: nothing here marks a row as taken.
type Queue interface {
	// Due returns rows that are due, by endpoint and within one by NextAt, then ID. It steps over the endpoints that
	// have due rows and takes at most as many of each as q has room for, so a million rows of one endpoint cost the
	// others nothing.
	Due(ctx context.Context, q DueQuery) ([]Queued, error)
	// LoadEvents returns the events with these ids, bodies included. One whose body is no longer kept is left out.
	LoadEvents(ctx context.Context, ids []event.ID) (map[event.ID]*event.Event, error)
	// Held returns the rows of these endpoints that an attempt may run for elsewhere: those with HeldUntil after now. A row
	// stays held for MaxHeld at most.
	Held(ctx context.Context, endpoints []EndpointID, now time.Time) ([]DeliveryID, error)
	// Depths returns how many rows each endpoint of these shards has, and its oldest. Endpoints without rows are absent.
	Depths(ctx context.Context, shards []Shard) (map[EndpointID]Depth, error)
	// Finish ends at most q.Limit queued rows at once, and returns how many it ended.
	Finish(ctx context.Context, q FinishQuery) (int, error)
}

// MaxHeld is the most that Queued.HeldUntil is ahead of when it is written.
const MaxHeld = 5 * time.Minute

// DueQuery says what a dispatcher can take.
type DueQuery struct {
	Shards []Shard            // owned
	Now    time.Time          // rows with NextAt ≤ Now and HeldUntil ≤ Now are due
	Room   int                // rows to take of an endpoint that Rooms does not name
	Rooms  map[EndpointID]int // exceptions; 0: none of it
	Limit  int                // rows in all
	After  EndpointID         // begin with the endpoint behind this one and wrap around: fair when Limit cuts
}

// Depth is how much waits for one endpoint.
type Depth struct {
	Rows   int64
	Oldest time.Time // the lowest Time of the events of its rows
}

// FinishQuery selects rows of the queue by whichever of its fields are set, and says how they end. HeldUntil in the
// future keeps a row out.
type FinishQuery struct {
	Endpoint           EndpointID // 0: any
	FirstAttemptBefore time.Time  // rows with a first attempt before then; zero: any
	EventBefore        time.Time  // rows of events of before then; zero: any
	Now                time.Time  // becomes FinishedAt
	State              DeliveryState
	Reason             Reason
	Limit              int
}

// Ended is the end of a row that q selects.
func (q *FinishQuery) Ended(row *Queued) Outcome {
	return Outcome{
		ID: row.ID, State: q.State, Reason: q.Reason, Attempts: row.Attempt, FirstAttempt: row.FirstAttempt, FinishedAt: q.Now,
		LastStatus: row.LastStatus, LastError: row.LastError, LastDuration: row.LastDuration,
	}
}
