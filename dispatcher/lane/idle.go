package lane

import "time"

// learntFor is how long a lane keeps what it learnt after the last attempt.
const learntFor = 10 * time.Minute

// Age lets go of what the lane learnt of its endpoint, limit and breaker, if no attempt started or ended in the last ten
// minutes and none runs. Call it now and then before Idle.
func (l *Lane[T]) Age(now time.Time) {
	if l.inFlight == 0 && now.Sub(l.touched) >= learntFor {
		l.limit = newLimit(l.settings)
		l.breaker = breaker{}
	}
}

// Idle reports whether the lane may be dropped: nothing waits or runs, and a new lane would be the same. A lane that has
// a closed gate, results of the last ten minutes (see Age), or a rate limit (a new one begins without tokens) is kept.
func (l *Lane[T]) Idle() bool {
	return l.waiting.len() == 0 && l.inFlight == 0 && l.elsewhere == 0 && l.gate.phase == open && l.bucket.every == 0 &&
		l.limit == newLimit(l.settings) && l.breaker.window == nil
}
