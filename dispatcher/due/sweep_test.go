package due

import (
	"context"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/store"
)

// sweepStore notes what it is asked to end.
type sweepStore struct {
	state  store.EndpointState // of the endpoint, for the store; empty: not found
	rows   int                 // that each query may end
	ended  []store.FinishQuery
	bodies time.Time
}

func (s *sweepStore) Depths(context.Context, []store.Shard) (map[store.EndpointID]store.Depth, error) {
	return nil, nil
}

func (s *sweepStore) Finish(_ context.Context, q store.FinishQuery) (int, error) {
	s.ended = append(s.ended, q)
	n := min(s.rows, q.Limit)
	s.rows -= n
	return n, nil
}

func (s *sweepStore) GetEndpoint(context.Context, store.EndpointID) (store.Endpoint, error) {
	if s.state == "" {
		return store.Endpoint{}, store.ErrNotFound
	}
	return store.Endpoint{ID: 1, State: s.state}, nil
}

func (s *sweepStore) Expire(_ context.Context, bodies, _, _ time.Time, _ int) (bool, error) {
	s.bodies = bodies
	return false, nil
}

func TestSweepEndsWhatMustEndWithoutAnAttempt(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const maxAge = 72 * time.Hour
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	active := func(since time.Time) *store.Endpoint {
		return &store.Endpoint{ID: 1, State: store.EndpointActive, StateSince: since, Retry: store.RetryPolicy{MaxAge: maxAge}}
	}
	paused := active(ago(maxAge * 2))
	paused.State = store.EndpointPaused
	for name, c := range map[string]struct {
		endpoint *store.Endpoint     // as this process knows it
		state    store.EndpointState // as the store does
		oldest   time.Time
		want     store.Reason
	}{
		"attempts older than the policy allows are exhausted": {active(ago(maxAge * 2)), "", ago(maxAge + time.Hour), store.ReasonExhausted},
		"rows of young events are not even asked for":         {active(ago(maxAge * 2)), "", ago(maxAge - time.Hour), ""},
		"the policy starts over with a resume":                {active(ago(maxAge - time.Second)), "", ago(maxAge * 2), ""},
		"nothing ages in a paused endpoint":                   {paused, "", ago(maxAge * 2), ""},
		"a deleted endpoint's are canceled":                   {nil, store.EndpointDeleted, ago(time.Hour), store.ReasonDeleted},
		"so are those of one that the store does not know":    {nil, "", ago(time.Hour), store.ReasonDeleted},
		"one that only this process does not know is left":    {nil, store.EndpointActive, ago(maxAge * 2), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := &sweepStore{state: c.state}
			sweep := NewSweep(s, nil, 14*24*time.Hour, 30*24*time.Hour, zap.NewNop())
			known := func(store.EndpointID) (*store.Endpoint, bool) { return c.endpoint, c.endpoint != nil }
			if err := sweep.runOnce(t.Context(), now, map[store.EndpointID]store.Depth{1: {Rows: 1, Oldest: c.oldest}}, known); err != nil {
				t.Fatal(err)
			}
			got := store.Reason("")
			for _, q := range s.ended {
				if q.Endpoint == 1 {
					got = q.Reason
				}
				if q.Reason == store.ReasonExhausted && !q.FirstAttemptBefore.Equal(ago(maxAge)) {
					t.Errorf("ends rows first attempted before %v, want %v", q.FirstAttemptBefore, ago(maxAge))
				}
			}
			if got != c.want {
				t.Errorf("rows end as %q, want %q", got, c.want)
			}
		})
	}
}

func TestSweepEndsWhatIsQueuedBeforeItsBodyGoes(t *testing.T) {
	now, keep := time.Now(), 24*time.Hour
	s := &sweepStore{rows: 2*sweepBatch + 1}
	if err := NewSweep(s, nil, keep, 2*keep, zap.NewNop()).runOnce(t.Context(), now, nil, nil); err != nil {
		t.Fatal(err)
	}
	if len(s.ended) != 3 || s.rows != 0 {
		t.Errorf("%d queries left %d rows, want 3 batches and none", len(s.ended), s.rows)
	}
	q := s.ended[0]
	if q.Reason != store.ReasonExpired || q.Endpoint != 0 || !q.EventBefore.After(s.bodies) {
		t.Errorf("ended %+v before bodies older than %v go, want all of older events as expired, with a margin", q, s.bodies)
	}
}
