package lane

import "time"

// The range of the adaptive limit, and where it starts.
const (
	startLimit = 4
	maxLimit   = 64
)

// cutEvery is the shortest time between two decreases: what fails together has one cause.
const cutEvery = time.Second

// limit is how many attempts of one lane may run at once. It doubles per round of successes until the first failure;
// from then on it grows by one per round and shrinks to 0.7 of itself on failures: TCP's slow start and AIMD
// (V. Jacobson, "Congestion Avoidance and Control", 1988) with attempts for packets.
type limit struct {
	n       int // attempts at once, 1 to cap
	cap     int
	round   int  // successes since n last changed
	careful bool // something failed: no more doubling
	cut     time.Time
}

func newLimit(s Settings) limit {
	ceiling := limitCap(s)
	return limit{n: min(startLimit, ceiling), cap: ceiling}
}

func limitCap(s Settings) int {
	if s.MaxInFlight > 0 {
		return s.MaxInFlight
	}
	return maxLimit
}

func (l *limit) configure(s Settings) {
	l.cap = limitCap(s)
	l.n = min(l.n, l.cap)
}

// succeed counts a success while inUse attempts ran, its own included. Successes of a lane that uses less than half its
// limit say nothing about the limit.
func (l *limit) succeed(inUse int) {
	if inUse*2 < l.n {
		return
	}
	if l.round++; l.round < l.n {
		return
	}
	l.round = 0
	if l.careful {
		l.n = min(l.n+1, l.cap)
	} else {
		l.n = min(l.n*2, l.cap)
	}
}

func (l *limit) fail(now time.Time) {
	l.careful = true
	l.round = 0
	if !l.cut.IsZero() && now.Sub(l.cut) < cutEvery {
		return
	}
	l.cut = now
	l.n = max(l.n*7/10, 1)
}
