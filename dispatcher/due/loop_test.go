package due

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/store"
)

// asked is a store and a taker that note what they are asked.
type asked struct {
	mu      sync.Mutex
	queries []store.DueQuery
	answer  []store.Queued
	limit   int
	short   store.EndpointID
	fail    bool
}

func (a *asked) Due(_ context.Context, q store.DueQuery) ([]store.Queued, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queries = append(a.queries, q)
	if a.fail {
		return nil, errDown
	}
	return append([]store.Queued(nil), a.answer...), nil
}

func (a *asked) Room(time.Time) store.DueQuery {
	a.mu.Lock()
	defer a.mu.Unlock()
	return store.DueQuery{Limit: a.limit}
}

func (a *asked) set(answer []store.Queued, limit int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer, a.limit = answer, limit
}

// count returns how often it was asked since the last call.
func (a *asked) count() int {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	n := len(a.queries)
	a.queries = nil
	return n
}

func (a *asked) Take(_ context.Context, _ store.DueQuery, rows []store.Queued) store.EndpointID {
	clear(rows) // they are the taker's
	return a.short
}

func rowsOf(ids ...store.EndpointID) []store.Queued {
	var out []store.Queued
	for _, id := range ids {
		out = append(out, store.Queued{ID: store.DeliveryID{Endpoint: id}})
	}
	return out
}

// owning returns shards of which shard 0 is this process's for a day.
func owning() *Shards {
	s := NewShards("n", nil, zap.NewNop())
	s.own.Store(newOwnership(store.Ownership{Shards: []store.Shard{0}, Epochs: []int64{1}, Share: 1}, time.Now().Add(24*time.Hour)))
	return s
}

func TestLoopBeginsWhereTheLastAnswerEnded(t *testing.T) {
	for name, c := range map[string]struct {
		answer []store.Queued
		short  store.EndpointID
		fail   bool
		want   store.EndpointID
	}{
		"behind the last endpoint when the limit cut":  {rowsOf(3, 7), 0, false, 7},
		"from the start when everything came":          {rowsOf(3), 0, false, 0},
		"with the endpoint that memory was short for":  {rowsOf(3, 7), 5, false, 4},
		"which counts also when the limit did not cut": {rowsOf(3), 3, false, 2},
		"where it would have begun when a query fails": {nil, 0, true, 9},
	} {
		t.Run(name, func(t *testing.T) {
			a := &asked{answer: c.answer, limit: 2, short: c.short, fail: c.fail}
			l := NewLoop(a, owning(), zap.NewNop())
			l.after = 9
			l.runOnce(t.Context(), a)
			if l.after != c.want || a.queries[0].After != 9 {
				t.Errorf("began behind %d, goes on behind %d; want 9 and %d", a.queries[0].After, l.after, c.want)
			}
		})
	}
}

func TestLoopAsksOftenWhileBusyAndSeldomWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &asked{answer: rowsOf(1), limit: 10}
		l := NewLoop(a, owning(), zap.NewNop())
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- l.Run(ctx, a) }()
		count := func(d time.Duration) int {
			time.Sleep(d)
			return a.count()
		}
		if n := count(time.Second); n < 15 || n > 25 {
			t.Errorf("%d queries in a busy second, want about 20", n)
		}
		a.set(nil, 10)
		count(5 * time.Second)
		if n := count(10 * time.Second); n < 8 || n > 11 {
			t.Errorf("%d queries in ten idle seconds, want about 10", n)
		}
		count(500 * time.Millisecond)
		l.Wake()
		if n := count(3 * time.Millisecond); n != 1 {
			t.Errorf("%d queries right after being woken, want 1", n)
		}
		a.set(nil, 0)
		count(2 * time.Second)
		if n := count(5 * time.Second); n != 0 {
			t.Errorf("%d queries without room, want none", n)
		}
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
	})
}
