package lane

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// starts is a record of starts to judge a ramp by, kept without any of its rounding.
type starts []time.Time

// within counts the starts after from, up to and including to.
func (s starts) within(from, to time.Time) int {
	n := 0
	for i := len(s) - 1; i >= 0 && s[i].After(from); i-- {
		if !s[i].After(to) {
			n++
		}
	}
	return n
}

// breaks says how the last start broke the ramp's promise; empty if it did not.
func (s starts) breaks() string {
	last := s[len(s)-1]
	if len(s) == 1 || !last.Before(s[len(s)-2].Add(time.Second)) {
		return "" // one a second is always allowed
	}
	before := s[:len(s)-1]
	for _, reading := range []struct {
		name string
		n    int
	}{
		{"the ten seconds before the start", before.within(last.Add(-10*time.Second-1), last)},
		{"the ten seconds before its second", before.within(last.Add(-11*time.Second), last.Add(-time.Second))},
	} {
		rate := float64(2*reading.n) / 10
		if got := s.within(last.Add(-time.Second), last); float64(got) > math.Ceil(rate) {
			return fmt.Sprintf("%d in a second, twice the mean of %s is %v", got, reading.name, rate)
		}
		whole := math.Floor(rate) // so many take so long at that rate
		span := time.Duration(whole / rate * float64(time.Second))
		if got := s.within(last.Add(-span), last); whole == 0 || float64(got) > whole {
			return fmt.Sprintf("%d in %v, twice the mean of %s is %v a second", got, span, reading.name, rate)
		}
	}
	return ""
}

// pause is a wait that matters to a ramp: within a tick, around a second, around its memory, or none.
func pause() *rapid.Generator[time.Duration] {
	return rapid.Custom(func(t *rapid.T) time.Duration {
		longest := rapid.SampledFrom([]time.Duration{
			0, time.Millisecond, 60 * time.Millisecond, 300 * time.Millisecond, 1100 * time.Millisecond, 4 * time.Second, 12 * time.Second,
		}).Draw(t, "longest")
		return time.Duration(rapid.Int64Range(0, int64(longest)).Draw(t, "pause"))
	})
}

func TestRampNeverDoublesItsRateWithinTenSeconds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r ramp
		var s starts
		now := t0
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "then") {
			case 0, 1, 2:
				now = now.Add(pause().Draw(t, "pause"))
			default:
				now = r.next(now)
			}
			for burst := rapid.SampledFrom([]int{1, 1, 2, 1000}).Draw(t, "burst"); burst > 0 && !r.next(now).After(now); burst-- {
				r.start(now)
				if s = append(s, now); s.breaks() != "" {
					t.Fatalf("start %d, at %v: %s", len(s), now.Sub(t0), s.breaks())
				}
			}
		}
	})
}

func TestRampNextIsTheFirstMoment(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r ramp
		now := t0
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now = now.Add(pause().Draw(t, "pause"))
			for !r.next(now).After(now) {
				r.start(now)
			}
			wake := r.next(now)
			if !wake.After(now) || wake.Sub(now) > time.Second {
				t.Fatalf("next(%v) = %v, want within a second", now.Sub(t0), wake.Sub(t0))
			}
			probe := now.Add(time.Duration(rapid.Int64Range(0, int64(wake.Sub(now))-1).Draw(t, "probe")))
			if got := r.next(probe); !got.Equal(wake) {
				t.Fatalf("next(%v) = %v, but next(%v) = %v", now.Sub(t0), wake.Sub(t0), probe.Sub(t0), got.Sub(t0))
			}
			if got := r.next(wake); !got.Equal(wake) {
				t.Fatalf("next(%v) = %v, want it now", wake.Sub(t0), got.Sub(t0))
			}
		}
	})
}

// drive starts whatever the ramp allows, waking late each time, and returns the starts in each ten seconds.
func drive(late time.Duration, tens int) []int {
	var r ramp
	counts := make([]int, tens)
	for now := t0; ; now = r.next(now).Add(late) {
		ten := int(now.Sub(t0) / (10 * time.Second))
		if ten >= tens {
			return counts
		}
		for !r.next(now).After(now) {
			r.start(now)
			counts[ten]++
		}
	}
}

func TestRampGrowsThreefoldInTenSeconds(t *testing.T) {
	for _, late := range []time.Duration{0, time.Millisecond, 20 * time.Millisecond} {
		counts := drive(late, 7)
		t.Logf("waking %v late, starts per ten seconds: %v", late, counts)
		if counts[0] < 9 || counts[0] > 13 {
			t.Errorf("waking %v late: %d starts in the first ten seconds, want about one a second", late, counts[0])
		}
		for i := 2; i < len(counts); i++ {
			if counts[i] < 2*counts[i-1] {
				t.Errorf("waking %v late: %d starts, then %d: want it to double at least", late, counts[i-1], counts[i])
			}
		}
	}
}

// driven returns a ramp driven as hard as it lets itself be for so long, and the time then.
func driven(d time.Duration) (*ramp, time.Time) {
	r, now := new(ramp), t0
	for now.Before(at(d)) {
		for !r.next(now).After(now) {
			r.start(now)
		}
		now = r.next(now)
	}
	return r, now
}

func TestRampForgetsTheRateOfLongAgo(t *testing.T) {
	for pause, want := range map[time.Duration]bool{5 * time.Second: false, 11 * time.Second: true} {
		r, now := driven(time.Minute)
		now = now.Add(pause)
		r.start(now)
		if got := r.next(now).Equal(now.Add(time.Second)); got != want {
			t.Errorf("after a pause of %v the pace is one a second: %v, want %v", pause, got, want)
		}
	}
}

func TestRampRestartForgetsTheRateButNotTheLastStart(t *testing.T) {
	r, now := driven(20 * time.Second)
	last := r.last
	r.restart()
	if got, want := r.next(now), last.Add(time.Second); !got.Equal(want) {
		t.Errorf("next start %v after the last, want 1s", got.Sub(last))
	}
}
