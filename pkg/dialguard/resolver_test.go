package dialguard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// script answers look-ups: every host is at 8.8.8.8 unless it is named.
type script struct {
	mu      sync.Mutex
	calls   map[string]int
	running int
	most    int
	fail    map[string]error
	hang    map[string]bool // until the context ends
	takes   time.Duration
}

func (s *script) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	s.mu.Lock()
	s.calls[host]++
	s.running++
	s.most = max(s.most, s.running)
	err, hang := s.fail[host], s.hang[host]
	s.mu.Unlock()
	defer func() { s.mu.Lock(); s.running--; s.mu.Unlock() }()
	wait := time.After(s.takes)
	if hang {
		wait = nil
	}
	select {
	case <-wait:
	case <-ctx.Done():
		return nil, &net.DNSError{Err: "i/o timeout", Name: host, IsTimeout: true}
	}
	if err != nil {
		return nil, err
	}
	return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, nil
}

func scripted(takes time.Duration) (*resolver, *script) {
	s := &script{calls: map[string]int{}, fail: map[string]error{}, hang: map[string]bool{}, takes: takes}
	r := newResolver()
	r.lookupHost = s.lookup
	return r, s
}

func TestAnswersAreKeptForHalfAMinuteAndFailuresForFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := scripted(0)
		s.fail["gone.example"] = &net.DNSError{Err: "no such host", IsNotFound: true}
		ask := func() { r.lookup(t.Context(), "ok.example"); r.lookup(t.Context(), "gone.example") } //nolint:errcheck // counted below
		ask()
		time.Sleep(5*time.Second - 1)
		ask()
		if s.calls["ok.example"] != 1 || s.calls["gone.example"] != 1 {
			t.Errorf("look-ups within 5 s: %v, want 1 each", s.calls)
		}
		time.Sleep(time.Nanosecond)
		ask()
		if s.calls["gone.example"] != 2 {
			t.Errorf("look-ups of a failed host after 5 s: %d, want 2", s.calls["gone.example"])
		}
		time.Sleep(25*time.Second - 1)
		ask()
		if s.calls["ok.example"] != 1 {
			t.Errorf("look-ups within 30 s: %d, want 1", s.calls["ok.example"])
		}
		time.Sleep(time.Nanosecond)
		ask()
		if s.calls["ok.example"] != 2 {
			t.Errorf("look-ups after 30 s: %d, want 2", s.calls["ok.example"])
		}
	})
}

func TestManyWhoWantOneHostShareALookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := scripted(time.Second)
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				if addrs, err := r.lookup(t.Context(), "ok.example"); err != nil || len(addrs) != 1 {
					t.Errorf("lookup = %v, %v", addrs, err)
				}
			})
		}
		wg.Wait()
		if s.calls["ok.example"] != 1 {
			t.Errorf("%d look-ups, want 1", s.calls["ok.example"])
		}
	})
}

func TestAnAskerThatLeavesHandsTheQuestionOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := scripted(time.Second)
		leaving, leave := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := r.lookup(leaving, "ok.example"); !errors.Is(err, context.Canceled) {
				t.Errorf("lookup of who left = %v, want context.Canceled", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if _, err := r.lookup(t.Context(), "ok.example"); err != nil {
				t.Errorf("lookup of who stayed = %v", err)
			}
		})
		synctest.Wait()
		leave()
		wg.Wait()
		if s.calls["ok.example"] != 2 {
			t.Errorf("%d look-ups, want 2", s.calls["ok.example"])
		}
	})
}

func TestAWaiterLeavesWithItsOwnContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := scripted(2 * time.Second)
		var wg sync.WaitGroup
		wg.Go(func() { r.lookup(t.Context(), "ok.example") }) //nolint:errcheck // the waiter is what is tested
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := r.lookup(ctx, "ok.example"); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("lookup = %v after %v, want its deadline after 1 s", err, time.Since(start))
		}
		wg.Wait()
	})
}

func TestALookupEndsAfterThreeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := scripted(0)
		s.hang["hangs.example"] = true
		start := time.Now()
		if _, err := r.lookup(t.Context(), "hangs.example"); !isTimeout(err) || time.Since(start) != 3*time.Second {
			t.Errorf("lookup = %v after %v, want a timeout after 3 s", err, time.Since(start))
		}
	})
}

func TestAtMost64LookupsRunAndWhoGetsNoPlaceIsToldItIsUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := scripted(10 * time.Second) // more than a look-up may take
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				if _, err := r.lookup(t.Context(), fmt.Sprintf("h%d.example", i)); !isTimeout(err) {
					t.Errorf("lookup with a place = %v, want the host's timeout", err)
				}
			})
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		r.timeout = time.Second / 2 // the next give up before a place is free
		for i := range 64 {
			wg.Go(func() {
				if _, err := r.lookup(t.Context(), fmt.Sprintf("late%d.example", i)); !errors.Is(err, ErrUnavailable) {
					t.Errorf("lookup without a place = %v, want ErrUnavailable", err)
				}
			})
		}
		wg.Wait()
		if s.most != 64 {
			t.Errorf("%d look-ups at once, want 64", s.most)
		}
	})
}

func TestHostsThatHangDoNotTakeThePlacesOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, s := scripted(0)
		var wg sync.WaitGroup
		for i := range 64 {
			s.hang[fmt.Sprintf("hangs%d.example", i)] = true
		}
		hang := func() {
			for host := range s.hang {
				wg.Go(func() { r.lookup(t.Context(), host) }) //nolint:errcheck // it hangs
			}
		}
		hang()
		wg.Wait()
		time.Sleep(keepFailed)
		hang()
		synctest.Wait()
		start := time.Now()
		if _, err := r.lookup(t.Context(), "ok.example"); err != nil || time.Since(start) != 0 {
			t.Errorf("lookup beside 64 hosts that hung before = %v after %v, want an answer at once", err, time.Since(start))
		}
		wg.Wait()
	})
}

func TestTheCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, _ := scripted(0)
		for i := range maxCached + 100 {
			if _, err := r.lookup(t.Context(), fmt.Sprintf("h%d.example", i)); err != nil {
				t.Fatal(err)
			}
		}
		if len(r.hosts) != maxCached {
			t.Errorf("%d hosts kept, want %d", len(r.hosts), maxCached)
		}
		time.Sleep(keepFound)
		if _, err := r.lookup(t.Context(), "new.example"); err != nil {
			t.Fatal(err)
		}
		if want := maxCached - 64 + 1; len(r.hosts) != want {
			t.Errorf("%d hosts kept when all are past their time, want %d", len(r.hosts), want)
		}
	})
}
