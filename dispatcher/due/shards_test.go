package due

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/storetest"
)

// inFleet runs f with the shards of node a, which has all of them. gave returns what it gave up since the last call.
func inFleet(t *testing.T, giveUp func() error, f func(s *storetest.Memory, a *Shards, gave func() []store.Shard)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := storetest.NewMemory()
		a := NewShards("a", s, zap.NewNop())
		var mu sync.Mutex
		var given []store.Shard
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() {
			ended <- a.Run(ctx, a.unowned(t), func(_ context.Context, shards []store.Shard) error {
				for _, sh := range shards {
					if a.Owns(sh, time.Now()) {
						t.Errorf("shard %d still counts as owned while it is given up", sh)
					}
				}
				mu.Lock()
				defer mu.Unlock()
				given = append(given, shards...)
				return giveUp()
			})
		}()
		synctest.Wait()
		f(s, a, func() []store.Shard {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			out := given
			given = nil
			return out
		})
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
		if giveUp() != nil {
			return
		}
		if own, err := s.RenewShards(t.Context(), "last"); err != nil || len(own.Shards) < store.Shards/2 {
			t.Errorf("%d shards are free after a stop, %v; want all of them at once", len(own.Shards), err)
		}
	})
}

func fine() error { return nil }

// unowned wants shards that are taken to be nobody's yet.
func (s *Shards) unowned(t *testing.T) Taken {
	return func(_ context.Context, shards []store.Shard) error {
		for _, sh := range shards {
			if s.Owns(sh, time.Now()) {
				t.Errorf("shard %d counts as owned before it is taken", sh)
			}
		}
		return nil
	}
}

func join(t *testing.T, s *storetest.Memory, node string) []store.Shard {
	t.Helper()
	own, err := s.RenewShards(t.Context(), node)
	if err != nil {
		t.Fatal(err)
	}
	return own.Shards
}

func TestSurplusIsGivenUpBeforeItIsReleased(t *testing.T) {
	inFleet(t, fine, func(s *storetest.Memory, a *Shards, gave func() []store.Shard) {
		join(t, s, "b")
		time.Sleep(store.ShardRenewal)
		if n := len(gave()); n != 32 || len(a.Owned(time.Now())) != 32 {
			t.Errorf("gave up %d and kept %d, want 32 and 32", n, len(a.Owned(time.Now())))
		}
		if n := len(join(t, s, "b")); n != 32 {
			t.Errorf("the other node got %d, want 32", n)
		}
	})
}

func TestWhatCouldNotBeRecordedIsNotReleased(t *testing.T) {
	inFleet(t, func() error { return errDown }, func(s *storetest.Memory, _ *Shards, gave func() []store.Shard) {
		join(t, s, "b")
		time.Sleep(store.ShardRenewal)
		if gave(); len(join(t, s, "b")) != 0 {
			t.Error("shards were released although what runs is not recorded")
		}
		time.Sleep(store.ShardRenewal)
		if n := len(gave()); n != 32 {
			t.Errorf("gave up %d at the next renewal, want to try the 32 again", n)
		}
	})
}

func TestShardThatWasAnothersMeanwhileIsGivenUp(t *testing.T) {
	inFleet(t, fine, func(s *storetest.Memory, a *Shards, gave func() []store.Shard) {
		ctx := t.Context()
		if err := s.ReleaseShards(ctx, "a", []store.Shard{7}); err != nil {
			t.Fatal(err)
		}
		join(t, s, "b")
		if err := s.LeaveShards(ctx, "b"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(store.ShardRenewal)
		if got := gave(); !slices.Equal(got, []store.Shard{7}) || !a.Owns(7, time.Now()) {
			t.Errorf("gave up %v, owns 7: %v; want it given up and owned anew", got, a.Owns(7, time.Now()))
		}
	})
}

func TestOwnershipLapsesBeforeItExpires(t *testing.T) {
	inFleet(t, fine, func(s *storetest.Memory, a *Shards, _ func() []store.Shard) {
		s.SetDown(true)
		time.Sleep(store.ShardTTL - startMargin)
		if !a.Owns(1, time.Now()) {
			t.Error("lapsed with three seconds left")
		}
		time.Sleep(time.Nanosecond)
		if a.Owns(1, time.Now()) || a.Owned(time.Now()) != nil {
			t.Error("owned with less than three seconds left")
		}
		s.SetDown(false)
		time.Sleep(renewalRetry)
		synctest.Wait()
		if !a.Owns(1, time.Now()) {
			t.Error("not owned a second after the store is back")
		}
	})
}

func TestShardsAreOwnedOnceTheyAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := NewShards("a", storetest.NewMemory(), zap.NewNop())
		answers := []error{errDown, nil}
		var asked []int
		taken := func(_ context.Context, shards []store.Shard) error {
			asked = append(asked, len(shards))
			return answers[len(asked)-1]
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- a.Run(ctx, taken, func(context.Context, []store.Shard) error { return nil }) }()
		synctest.Wait()
		if n := len(a.Owned(time.Now())); n != 0 {
			t.Errorf("%d are owned although taking them failed, want none", n)
		}
		time.Sleep(renewalRetry)
		synctest.Wait()
		if n := len(a.Owned(time.Now())); n != store.Shards {
			t.Errorf("%d are owned after the next renewal, want all", n)
		}
		time.Sleep(3 * store.ShardRenewal)
		if !slices.Equal(asked, []int{store.Shards, store.Shards}) {
			t.Errorf("asked for %v, want all of them twice, and no more for what it has", asked)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
