package due

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/pkg/wait"
	"github.com/sluicehq/sluice/store"
)

const (
	busyPause  = 50 * time.Millisecond
	idlePause  = time.Second
	minPause   = 2 * time.Millisecond // between two queries, however often the loop is woken
	dueTimeout = 10 * time.Second
)

// rows is what the loop needs of the store.
type rows interface {
	Due(ctx context.Context, q store.DueQuery) ([]store.Queued, error)
}

// Taker takes due rows into lanes.
type Taker interface {
	// Room says what can be taken now; a Limit of 0 means nothing.
	Room(now time.Time) store.DueQuery
	// Take takes the rows that Due returned for q, and may take fewer. It returns the first endpoint whose rows it had
	// no memory for, so that it is the first to be asked for next time; 0: none.
	Take(ctx context.Context, q store.DueQuery, rows []store.Queued) (short store.EndpointID)
}

// Loop asks for due rows: every 50 ms while there are any, backing off to a second, at once when woken.
type Loop struct {
	store  rows
	shards *Shards
	log    *zap.Logger
	wake   chan struct{}
	after  store.EndpointID
}

// NewLoop returns a loop for the given shards.
func NewLoop(s rows, shards *Shards, log *zap.Logger) *Loop {
	return &Loop{store: s, shards: shards, log: log, wake: make(chan struct{}, 1)}
}

// Wake has the loop ask now. It does not block.
func (l *Loop) Wake() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run asks until ctx ends.
func (l *Loop) Run(ctx context.Context, t Taker) error {
	pause := busyPause
	for {
		if l.runOnce(ctx, t) > 0 {
			pause = busyPause
		} else {
			pause = min(2*pause, idlePause)
		}
		if !wait.For(ctx, minPause) {
			return nil
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-l.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// runOnce asks once and returns how many rows came.
func (l *Loop) runOnce(ctx context.Context, t Taker) int {
	now := time.Now()
	q := t.Room(now)
	q.Shards = l.shards.Owned(now)
	if q.Limit <= 0 || len(q.Shards) == 0 {
		return 0
	}
	q.Now, q.After = now, l.after
	call, cancel := context.WithTimeout(ctx, dueTimeout)
	defer cancel()
	got, err := l.store.Due(call, q)
	if err != nil {
		if ctx.Err() == nil {
			l.log.Warn("query for due deliveries failed", telemetry.Error(err))
		}
		return 0
	}
	last := store.EndpointID(0)
	if len(got) > 0 {
		last = got[len(got)-1].ID.Endpoint // Take may use the slice
	}
	l.after = 0
	if short := t.Take(ctx, q, got); short > 0 {
		l.after = short - 1
	} else if len(got) >= q.Limit { // cut: go on behind the last endpoint next time
		l.after = last
	}
	return len(got)
}
