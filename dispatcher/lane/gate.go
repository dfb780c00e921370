package lane

import "time"

const (
	// busyFor is how long a lane must work at its limit without a failure for its gate to open.
	busyFor = 10 * time.Second
	// busyGap is the longest pause in that work that does not count: the due loop may take so long to bring more.
	busyGap = time.Second
)

// phase is what a lane's gate lets through.
type phase uint8

const (
	open    phase = iota // everything
	shut                 // nothing before notBefore, then a probe
	probing              // nothing while the probe runs
	ramping              // what the ramp allows
)

// gate is the lane's side of the endpoint's gate.
type gate struct {
	phase     phase
	notBefore time.Time
	ramp      *ramp // nil while open
	busy      busy
}

func (g *gate) close(notBefore time.Time) {
	g.phase = shut
	g.notBefore = notBefore
	g.busy = busy{}
	if g.ramp == nil {
		g.ramp = new(ramp)
	}
	g.ramp.restart()
}

// next returns when the gate lets the next attempt start, while others run; false: not before one of them ends.
// A probe waits for every earlier attempt, so that the next result after it is its own.
func (g *gate) next(now time.Time, others int) (time.Time, bool) {
	switch g.phase {
	case shut:
		if others > 0 {
			return now, false
		}
		return g.ramp.next(later(now, g.notBefore)), true
	case probing:
		return now, false
	case ramping:
		return g.ramp.next(now), true
	}
	return now, true
}

// start counts a start that next allowed.
func (g *gate) start(now time.Time) {
	if g.phase == open {
		return
	}
	g.ramp.start(now)
	if g.phase == shut {
		g.phase = probing
	}
}

// busy tells how long a ramping lane has worked at its limit.
type busy struct {
	since time.Time // zero: it does not
	until time.Time // when it last did
	now   bool      // it still does
}

func (b *busy) begin(now time.Time) {
	if b.since.IsZero() || !b.now && now.Sub(b.until) > busyGap {
		b.since = now
	}
	b.now = true
}

func (b *busy) end(now time.Time) {
	if b.now {
		b.now, b.until = false, now
	}
}

func (b *busy) longEnough(now time.Time) bool {
	return !b.since.IsZero() && (b.now || now.Sub(b.until) <= busyGap) && now.Sub(b.since) >= busyFor
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
