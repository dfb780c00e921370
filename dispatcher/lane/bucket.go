package lane

import (
	"math"
	"time"
)

// longest bounds the durations of a bucket, so that no setting overflows them.
const longest = 365 * 24 * time.Hour

// bucket is a token bucket in the form of the generic cell rate algorithm (ITU-T I.371): instead of a level it keeps
// the time at which it will be full, so what it allows next is known exactly, without rounding. The zero value sets no
// limit.
type bucket struct {
	every time.Duration // one token; 0: no limit
	burst int
	full  time.Time
}

// newBucket returns an empty bucket: a new owner of a shard must not add a burst to what the last one sent.
func newBucket(s Settings, now time.Time) bucket {
	if !(s.PerSecond > 0) { // NaN too
		return bucket{}
	}
	every := time.Duration(min(math.Ceil(1e9/s.PerSecond), float64(longest)))
	burst := s.Burst
	if burst < 1 {
		burst = int(min(max(s.PerSecond, 1), math.MaxInt32)) // one second's worth
	}
	b := bucket{every: every, burst: min(burst, int(longest/every))}
	b.full = now.Add(time.Duration(b.burst) * every)
	return b
}

// configure changes rate and burst, and keeps as many tokens as fit.
func (b *bucket) configure(s Settings, now time.Time) {
	to := newBucket(s, now)
	if to.every == b.every && to.burst == b.burst {
		return
	}
	if b.every > 0 && to.every > 0 {
		missing := float64(max(b.full.Sub(now), 0)) / float64(b.every)
		tokens := min(max(float64(b.burst)-missing, 0), float64(to.burst))
		to.full = to.full.Add(-time.Duration(tokens * float64(to.every)))
	}
	*b = to
}

// next returns when a token is there; the zero time is always.
func (b *bucket) next() time.Time {
	if b.every == 0 {
		return time.Time{}
	}
	return b.full.Add(-time.Duration(b.burst-1) * b.every)
}

// take takes a token that is there.
func (b *bucket) take(now time.Time) {
	if b.every == 0 {
		return
	}
	if b.full.Before(now) {
		b.full = now
	}
	b.full = b.full.Add(b.every)
}
