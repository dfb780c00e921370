package lane

import (
	"slices"
	"testing"
	"time"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// at returns the time d after the start of a test.
func at(d time.Duration) time.Time { return t0.Add(d) }

func offerDue(t *testing.T, l *Lane[int], items ...int) {
	t.Helper()
	for _, item := range items {
		if !l.OfferDue(item, 1) {
			t.Fatalf("OfferDue(%d) refused with %d due waiting", item, l.DueWaiting())
		}
	}
}

func offer(t *testing.T, l *Lane[int], items ...int) {
	t.Helper()
	for _, item := range items {
		if !l.Offer(item, 1) {
			t.Fatalf("Offer(%d) refused with %d waiting", item, l.Waiting())
		}
	}
}

func wantStart(t *testing.T, l *Lane[int], now time.Time, want ...int) {
	t.Helper()
	for _, w := range want {
		if got, ok := l.Start(now); !ok || got != w {
			t.Fatalf("Start(%v) = %d, %v, want %d", now.Sub(t0), got, ok, w)
		}
	}
}

func wantNoStart(t *testing.T, l *Lane[int], now time.Time) {
	t.Helper()
	if got, ok := l.Start(now); ok {
		t.Fatalf("Start(%v) = %d, want none", now.Sub(t0), got)
	}
}

func wantWake(t *testing.T, l *Lane[int], now, want time.Time) {
	t.Helper()
	if got, ok := l.Wake(now); !ok || !got.Equal(want) {
		t.Fatalf("Wake(%v) = %v, %v, want %v", now.Sub(t0), got.Sub(t0), ok, want.Sub(t0))
	}
}

func wantNoWake(t *testing.T, l *Lane[int], now time.Time) {
	t.Helper()
	if got, ok := l.Wake(now); ok {
		t.Fatalf("Wake(%v) = %v, want none: time alone cannot help", now.Sub(t0), got.Sub(t0))
	}
}

func done(t *testing.T, l *Lane[int], now time.Time, v Verdict, wantTrip bool) {
	t.Helper()
	if trip := l.Done(now, v); trip != wantTrip {
		t.Fatalf("Done(%v, %d) = %v, want %v", now.Sub(t0), v, trip, wantTrip)
	}
}

func numbers(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i + 1
	}
	return s
}

func TestDueAndFreshAlternateEachOldestFirst(t *testing.T) {
	l := New[int](Settings{MaxInFlight: 10}, t0)
	l.limit.n = 10
	offer(t, l, 1, 2, 3)
	offerDue(t, l, 11, 12, 13, 14)
	wantStart(t, l, t0, 11, 1, 12, 2, 13, 3, 14)
	wantNoStart(t, l, t0)
}

func TestQueueIsFullAt256Items(t *testing.T) {
	l := New[int](Settings{}, t0)
	offer(t, l, numbers(256)...)
	if l.Offer(1000, 0) {
		t.Error("257th fresh delivery was taken")
	}
	offerDue(t, l, 2000) // its own queue
	if got := l.DueRoom(); got != 255 {
		t.Errorf("DueRoom() = %d with one waiting, want 255", got)
	}
	if !l.Remove(7) || l.Remove(7) {
		t.Error("Remove(7) twice: want true, then false")
	}
	offer(t, l, 1000)
}

func TestQueueIsFullAt1MiB(t *testing.T) {
	tests := []struct {
		name  string
		sizes []int
		want  []bool
	}{
		{"two halves fit", []int{512 << 10, 512 << 10}, []bool{true, true}},
		{"one byte more does not", []int{512 << 10, 512<<10 + 1}, []bool{true, false}},
		{"one of any size fits an empty queue", []int{100 << 20}, []bool{true}},
		{"nothing with bytes fits beside it", []int{100 << 20, 1}, []bool{true, false}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := New[int](Settings{}, t0)
			for i, size := range tt.sizes {
				if got := l.Offer(i, size); got != tt.want[i] {
					t.Errorf("Offer(#%d, %d bytes) = %v, want %v", i, size, got, tt.want[i])
				}
				if got := l.OfferDue(100+i, size); got != tt.want[i] {
					t.Errorf("OfferDue(#%d, %d bytes) = %v, want %v", i, size, got, tt.want[i])
				}
			}
			l.Remove(0)
			if !l.Offer(1000, 1) {
				t.Error("Offer refused after the large one left")
			}
		})
	}
}

func TestDueRoomIsNoneWhen1MiBWaits(t *testing.T) {
	l := New[int](Settings{}, t0)
	l.OfferDue(1, 1<<20)
	if got := l.DueRoom(); got != 0 {
		t.Errorf("DueRoom() = %d, want 0", got)
	}
}

func TestOfferedTwiceWaitsOnce(t *testing.T) {
	l := New[int](Settings{}, t0)
	offer(t, l, 1, 1)
	offerDue(t, l, 1)
	if l.Waiting() != 1 {
		t.Fatalf("Waiting() = %d, want 1", l.Waiting())
	}
	wantStart(t, l, t0, 1)
	wantNoStart(t, l, t0)
}

func TestOnlyADoneHelpsALaneAtItsLimit(t *testing.T) {
	l := New[int](Settings{MaxInFlight: 2}, t0)
	offer(t, l, 1, 2, 3)
	wantStart(t, l, t0, 1, 2)
	wantNoStart(t, l, at(time.Hour))
	wantNoWake(t, l, at(time.Hour))
	done(t, l, at(time.Hour), Success, false)
	wantWake(t, l, at(time.Hour), at(time.Hour))
	wantStart(t, l, at(time.Hour), 3)
}

func TestAnAttemptCountsAsInUseUntilItEnded(t *testing.T) {
	l := New[int](Settings{}, t0)
	for range 2 { // 2 of 4 in use, then 1 of 4
		offer(t, l, 1, 2)
		wantStart(t, l, t0, 1, 2)
		done(t, l, t0, Success, false)
		offer(t, l, 3)
		wantStart(t, l, t0, 3)
		done(t, l, t0, Success, false)
		done(t, l, t0, Success, false)
	}
	if l.Limit() != 8 {
		t.Errorf("limit %d after four successes at half use and two below, want 8", l.Limit())
	}
}

func TestEmptyLaneDoesNotWake(t *testing.T) {
	l := New[int](Settings{}, t0)
	wantNoWake(t, l, t0)
	offer(t, l, 1)
	l.Remove(1)
	wantNoWake(t, l, t0)
}

func TestNewRateLimitedLaneStartsWithoutTokens(t *testing.T) {
	l := New[int](Settings{PerSecond: 10, Burst: 5}, t0)
	offerDue(t, l, numbers(3)...)
	wantNoStart(t, l, t0)
	wantWake(t, l, t0, at(100*time.Millisecond))
	wantStart(t, l, at(100*time.Millisecond), 1)
	wantWake(t, l, at(100*time.Millisecond), at(200*time.Millisecond))
	wantStart(t, l, at(400*time.Millisecond), 2, 3)
}

func TestConfigureKeepsWhatWaitsAndRuns(t *testing.T) {
	l := New[int](Settings{}, t0)
	offer(t, l, 1, 2, 3, 4)
	wantStart(t, l, t0, 1, 2)
	l.Configure(Settings{MaxInFlight: 1}, t0)
	if l.InFlight() != 2 || l.Waiting() != 2 || l.Limit() != 1 {
		t.Fatalf("in flight %d, waiting %d, limit %d, want 2, 2, 1", l.InFlight(), l.Waiting(), l.Limit())
	}
	done(t, l, t0, Success, false)
	wantNoStart(t, l, t0)
	done(t, l, t0, Success, false)
	wantStart(t, l, t0, 3)
}

func TestExclusiveLaneTakesDueRowsOnly(t *testing.T) {
	l := New[int](Settings{MaxInFlight: 3}, t0)
	offer(t, l, 1)
	l.Exclusive(true)
	if l.Offer(2, 1) {
		t.Error("an exclusive lane took a fresh delivery")
	}
	offerDue(t, l, 11, 12, 13)
	wantStart(t, l, t0, 11, 1, 12) // no probe, no ramp; what waited before is started still
	l.Exclusive(false)
	offer(t, l, 2)
}

func TestNeutralAttemptsLeaveNoTrace(t *testing.T) {
	l := New[int](Settings{}, t0)
	for i := range 100 {
		offer(t, l, i)
		wantStart(t, l, at(time.Duration(i)*time.Second), i)
		done(t, l, at(time.Duration(i)*time.Second), Neutral, false)
	}
	if !l.Idle() {
		t.Errorf("limit %d, breaker %+v: want those of a new lane", l.Limit(), l.breaker)
	}
}

func TestCloseReturnsFreshAndKeepsDue(t *testing.T) {
	l := New[int](Settings{}, t0)
	offer(t, l, 1, 2)
	offerDue(t, l, 11, 12)
	if got := l.Close(at(time.Second)); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("Close() = %v, want [1 2]", got)
	}
	if l.DueWaiting() != 2 || l.Waiting() != 2 || !l.Closed() {
		t.Errorf("due %d, waiting %d, closed %v, want 2, 2, true", l.DueWaiting(), l.Waiting(), l.Closed())
	}
	if l.Offer(3, 1) {
		t.Error("a closed lane took a fresh delivery")
	}
	if got := l.Close(at(2 * time.Second)); len(got) != 0 {
		t.Errorf("second Close() = %v, want nothing", got)
	}
}
