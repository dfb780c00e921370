package lane

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// round succeeds as often as the limit is, at full use.
func (l *limit) successes(n int) {
	for range n {
		l.succeed(l.n)
	}
}

func TestLimitDoublesPerRoundUntilTheFirstFailure(t *testing.T) {
	l := newLimit(Settings{})
	for _, want := range []int{4, 8, 16, 32, 64, 64} {
		if l.n != want {
			t.Fatalf("limit %d, want %d", l.n, want)
		}
		l.successes(l.n - 1)
		if l.n != want {
			t.Fatalf("limit %d before the round of %d is over", l.n, want)
		}
		l.successes(1)
	}
}

func TestLimitAfterAFailureGrowsByOnePerRound(t *testing.T) {
	l := newLimit(Settings{})
	l.successes(4 + 8) // 16
	l.fail(t0)
	for _, want := range []int{11, 12, 13} {
		if l.n != want {
			t.Fatalf("limit %d, want %d", l.n, want)
		}
		l.successes(l.n)
	}
}

func TestLimitIsCutAtMostOnceASecond(t *testing.T) {
	l := newLimit(Settings{})
	l.successes(4 + 8 + 16) // 32
	for _, tt := range []struct {
		at   time.Duration
		want int
	}{{0, 22}, {0, 22}, {time.Second - 1, 22}, {time.Second, 15}, {3 * time.Second, 10}} {
		if l.fail(at(tt.at)); l.n != tt.want {
			t.Errorf("limit %d after a failure at %v, want %d", l.n, tt.at, tt.want)
		}
	}
}

func TestLimitStartsItsRoundAnewAfterAFailure(t *testing.T) {
	l := newLimit(Settings{})
	l.fail(t0) // 2
	l.successes(1)
	l.fail(t0) // cut already
	l.successes(1)
	if l.n != 2 {
		t.Errorf("limit %d after a success, a failure and a success, want 2", l.n)
	}
}

func TestLimitReachesOneAndStays(t *testing.T) {
	l := newLimit(Settings{})
	for i := range 10 {
		l.fail(at(time.Duration(i) * time.Second))
	}
	if l.n != 1 {
		t.Errorf("limit %d after ten failures, want 1", l.n)
	}
	l.successes(1)
	if l.n != 2 {
		t.Errorf("limit %d after a round of one, want 2", l.n)
	}
}

func TestLimitOfALaneThatUsesLessThanHalfStays(t *testing.T) {
	l := newLimit(Settings{})
	for range 100 {
		l.succeed(1)
	}
	if l.n != 4 {
		t.Errorf("limit %d after a hundred successes one at a time, want 4", l.n)
	}
	for range 4 {
		l.succeed(2)
	}
	if l.n != 8 {
		t.Errorf("limit %d after a round at half use, want 8", l.n)
	}
}

func TestLimitIsCappedByMaxInFlight(t *testing.T) {
	tests := []struct {
		name            string
		max, start, end int
	}{
		{"lower than the start", 2, 2, 2},
		{"in between", 10, 4, 10},
		{"above 64", 100, 4, 100},
		{"none", 0, 4, 64},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLimit(Settings{MaxInFlight: tt.max})
			if l.n != tt.start {
				t.Errorf("starts at %d, want %d", l.n, tt.start)
			}
			l.successes(1000)
			if l.n != tt.end {
				t.Errorf("ends at %d, want %d", l.n, tt.end)
			}
		})
	}
}

func TestLimitModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Settings{MaxInFlight: rapid.IntRange(0, 100).Draw(t, "max in flight")}
		l := newLimit(s)
		now, failed := t0, false
		var cut time.Time
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			before := l.n
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(400*time.Millisecond)).Draw(t, "pause")))
			switch rapid.IntRange(0, 20).Draw(t, "then") {
			case 0:
				l.fail(now)
				want := before
				if cut.IsZero() || now.Sub(cut) >= time.Second {
					want, cut = max(before*7/10, 1), now
				}
				if failed = true; l.n != want {
					t.Fatalf("limit %d after a failure, want %d", l.n, want)
				}
			case 1:
				s.MaxInFlight = rapid.IntRange(0, 100).Draw(t, "max in flight")
				if l.configure(s); l.n != min(before, limitCap(s)) {
					t.Fatalf("limit %d after MaxInFlight became %d, was %d", l.n, s.MaxInFlight, before)
				}
			default:
				inUse := rapid.IntRange(1, max(l.n, 1)).Draw(t, "in use")
				l.succeed(inUse)
				grown := min(before*2, limitCap(s))
				if failed {
					grown = min(before+1, limitCap(s))
				}
				if l.n != before && (l.n != grown || inUse*2 < before) {
					t.Fatalf("limit %d after a success with %d in use, was %d", l.n, inUse, before)
				}
			}
			if l.n < 1 || l.n > limitCap(s) {
				t.Fatalf("limit %d, want 1 to %d", l.n, limitCap(s))
			}
		}
	})
}
