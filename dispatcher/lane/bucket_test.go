package lane

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// takeAll takes every token there is at now.
func takeAll(b *bucket, now time.Time) int {
	n := 0
	for ; !b.next().After(now) && n < 1_000_000; n++ {
		b.take(now)
	}
	return n
}

func TestBucket(t *testing.T) {
	tests := []struct {
		name     string
		settings Settings
		after    time.Duration
		want     int
	}{
		{"empty at first", Settings{PerSecond: 10, Burst: 5}, 0, 0},
		{"one token a tenth of a second at 10 per second", Settings{PerSecond: 10, Burst: 5}, 100 * time.Millisecond, 1},
		{"not a nanosecond sooner", Settings{PerSecond: 10, Burst: 5}, 100*time.Millisecond - 1, 0},
		{"holds the burst", Settings{PerSecond: 10, Burst: 5}, time.Hour, 5},
		{"burst 0 is one second's worth", Settings{PerSecond: 10}, time.Hour, 10},
		{"and at least one", Settings{PerSecond: 0.1}, time.Hour, 1},
		{"a rate below one a second", Settings{PerSecond: 0.1, Burst: 1}, 10 * time.Second, 1},
		{"a rate next to nothing", Settings{PerSecond: 1e-300, Burst: math.MaxInt}, 300 * 24 * time.Hour, 0},
		{"a huge burst at a low rate", Settings{PerSecond: 1e-6, Burst: math.MaxInt}, 0, 0},
		{"a rate that does not divide a second is rounded down", Settings{PerSecond: 3, Burst: 10}, time.Second, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBucket(tt.settings, t0)
			if got := takeAll(&b, at(tt.after)); got != tt.want {
				t.Errorf("%d tokens after %v, want %d", got, tt.after, tt.want)
			}
		})
	}
}

func TestNoRateLimitHoldsNothingBack(t *testing.T) {
	for _, rate := range []float64{0, -1, math.NaN()} {
		b := newBucket(Settings{PerSecond: rate, Burst: 1}, t0)
		if got := takeAll(&b, t0); got != 1_000_000 {
			t.Errorf("per second %v: %d tokens, want no end of them", rate, got)
		}
	}
}

func TestBucketKeepsItsTokensWhenItsSettingsChange(t *testing.T) {
	tests := []struct {
		name     string
		from, to Settings
		want     int
	}{
		{"a higher rate does not fill it", Settings{PerSecond: 1, Burst: 10}, Settings{PerSecond: 100, Burst: 10}, 4},
		{"a lower rate does not empty it", Settings{PerSecond: 1, Burst: 10}, Settings{PerSecond: 0.01, Burst: 10}, 4},
		{"a smaller burst cuts it", Settings{PerSecond: 1, Burst: 10}, Settings{PerSecond: 1, Burst: 2}, 2},
		{"a larger burst does not fill it", Settings{PerSecond: 1, Burst: 10}, Settings{PerSecond: 1, Burst: 1000}, 4},
		{"a limit where there was none begins empty", Settings{}, Settings{PerSecond: 1, Burst: 10}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBucket(tt.from, t0)
			now := at(4*time.Second + time.Millisecond) // so that rounding cannot matter
			b.configure(tt.to, now)
			if got := takeAll(&b, now); got != tt.want {
				t.Errorf("%d tokens, want %d", got, tt.want)
			}
		})
	}
}

func TestBucketNeverGivesMoreThanRateAndBurst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Settings{PerSecond: rapid.Float64Range(0.01, 1000).Draw(t, "per second"), Burst: rapid.IntRange(1, 50).Draw(t, "burst")}
		b := newBucket(s, t0)
		var taken starts
		now := t0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(pause().Draw(t, "pause"))
			for range rapid.IntRange(1, 20).Draw(t, "wanted") {
				if b.next().After(now) {
					break
				}
				b.take(now)
				taken = append(taken, now)
			}
			if most := s.PerSecond * now.Sub(t0).Seconds(); float64(len(taken)) > most+1e-6 {
				t.Fatalf("%d tokens within %v of an empty bucket, want at most %.3f", len(taken), now.Sub(t0), most)
			}
			for i, from := range taken {
				n, span := len(taken)-i, now.Sub(from)
				if most := float64(s.Burst) + s.PerSecond*span.Seconds(); float64(n) > most+1e-6 {
					t.Fatalf("%d tokens within %v, want at most %.3f", n, span, most)
				}
			}
		}
	})
}
