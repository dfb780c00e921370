package lane

import (
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"
)

// The rules by which a breaker trips.
const (
	streakLength   = 5                // failures in a row …
	streakTime     = 10 * time.Second // … the last this long after the first
	windowTime     = 60 * time.Second // or, in so long,
	windowBucket   = 10 * time.Second
	windowResults  = 20 // so many results
	windowFailures = 2  // of which one in so many failed
)

var errFailed = errors.New("attempt failed")

// breaker says when an endpoint has failed enough for its gate to close. The zero value is fresh.
//
// gobreaker keeps the window. It is used for nothing but to trip, because of how it is made: its open and half-open
// states have one fixed, unjittered wait, a probe whose result never comes blocks it for ever, and both of its windows
// forget consecutive failures that are far apart. So Allow and done are called together, when a result is there, which
// leaves nothing to leak; results that do not count never reach it; the streak is counted here; and once it has
// tripped it is thrown away. It reads the clock itself.
type breaker struct {
	window  *gobreaker.TwoStepCircuitBreaker[struct{}] // nil: no result yet
	tripped bool
	streak  int       // failures in a row
	since   time.Time // when the first of them came
}

// succeed counts a success.
func (b *breaker) succeed() {
	b.streak = 0
	b.count(nil)
}

// fail counts a failure and reports whether the breaker trips, after which it is fresh.
func (b *breaker) fail(now time.Time) (trip bool) {
	if b.streak++; b.streak == 1 {
		b.since = now
	}
	b.count(errFailed)
	if b.tripped || b.streak >= streakLength && now.Sub(b.since) >= streakTime {
		*b = breaker{}
		return true
	}
	return false
}

func (b *breaker) count(result error) {
	if b.window == nil {
		b.window = newWindow(&b.tripped)
	}
	if done, err := b.window.Allow(); err == nil {
		done(result)
	}
}

// newWindow returns a breaker that sets tripped when it trips. The callbacks run under its lock and must not call it.
func newWindow(tripped *bool) *gobreaker.TwoStepCircuitBreaker[struct{}] {
	return gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Interval:     windowTime,
		BucketPeriod: windowBucket,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.Requests >= windowResults && c.TotalFailures*windowFailures >= c.Requests
		},
		OnStateChange: func(_ string, _, to gobreaker.State) {
			*tripped = to == gobreaker.StateOpen
		},
	})
}
