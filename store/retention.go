package store

import (
	"context"
	"time"
)

// Retention drops what is too old to keep.
type Retention interface {
	// Expire deletes at most limit bodies of events from before bodies, and at most limit rows of the history from
	// before history, and claims and heartbeats that have run out by now. It reports whether more is left.
	// Bodies of events with a queued delivery stay: Queue.Finish ends those first. A store that keeps a day's rows
	// together drops them once the whole day is before, whatever limit says.
	Expire(ctx context.Context, bodies, history, now time.Time, limit int) (more bool, err error)
}
