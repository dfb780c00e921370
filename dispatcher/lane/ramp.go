package lane

import "time"

// A ramp counts starts in ticks, fine enough that rounding to them costs little of the rate.
const (
	tick      = 50 * time.Millisecond
	perSecond = int(time.Second / tick)
	kept      = 10 * perSecond
	growth    = 2
)

// ramp paces the starts of a lane whose gate is closed: never at more than twice the mean rate of the last ten seconds,
// but one start is always allowed a second after the last.
//
// A rate is so many starts in so long. Here "so long" is a second, and at rates of a few a second the shorter time that
// a whole number of starts takes, so that no rounding up is hidden in it. The comparison is made at every start, on the
// safe side: times are rounded up to ticks, and of the last ten seconds only those ticks count that lie in the ten
// seconds before the start as well as in the ten seconds before the second that ends with it. So the promise holds
// whichever is meant, and a burst cannot justify itself. Driven as hard as it lets itself be, the pace triples in ten
// seconds.
type ramp struct {
	pace
	base   time.Time    // tick 0 begins
	counts [kept]uint32 // starts per tick, a ring of the last ticks up to pace.at
	last   time.Time    // the last start; zero: none yet
}

// pace is what a ramp has counted, as seen from one tick.
type pace struct {
	at     int // the tick
	recent int // starts in the ticks at−perSecond to at
	before int // starts in the ticks at−kept+1 to at−perSecond−1
}

// fewPerSecond is the rate below which whole starts matter: above, rounding down loses less than a twentieth of it.
const fewPerSecond = perSecond

// next returns the first moment from from on at which one more may start, if none starts before.
func (r *ramp) next(from time.Time) time.Time {
	if r.last.IsZero() {
		return from
	}
	floor := r.last.Add(time.Second)
	if !from.Before(floor) {
		return from
	}
	p := r.ahead(r.tick(from))
	for t := from; t.Before(floor); t = r.base.Add(time.Duration(p.at) * tick) {
		if r.allows(p) {
			return t
		}
		p = r.step(p)
	}
	return floor
}

// allows reports whether one more start at p keeps the promise.
func (r *ramp) allows(p pace) bool {
	most := p.before * growth // starts in ten seconds at the highest rate
	if most >= 10*fewPerSecond {
		return (p.recent+1)*10 <= most
	}
	whole := most / 10
	if whole == 0 || p.recent*10 >= most {
		return false
	}
	span := (whole*10*perSecond + most - 1) / most // ticks that whole starts take
	recent := 0
	for t := p.at - span; t <= p.at; t++ {
		recent += r.count(t)
	}
	return recent < whole
}

// start counts a start at now.
func (r *ramp) start(now time.Time) {
	if r.last.IsZero() {
		r.base = now
	}
	p := r.ahead(r.tick(now))
	for t := max(r.at+1, p.at-kept+1); t <= p.at; t++ {
		r.counts[t%kept] = 0
	}
	r.pace = p
	r.counts[r.at%kept]++
	r.recent++
	r.last = now
}

// restart forgets the rate, but not when the last start was.
func (r *ramp) restart() {
	*r = ramp{pace: pace{at: r.at}, base: r.base, last: r.last}
}

func (r *ramp) tick(t time.Time) int { return int(t.Sub(r.base) / tick) }

// ahead returns the pace as seen from a tick, if nothing starts until then.
func (r *ramp) ahead(tick int) pace {
	p := r.pace
	if tick-p.at >= kept {
		return pace{at: tick}
	}
	for p.at < tick {
		p = r.step(p)
	}
	return p
}

// step moves a pace on by one tick.
func (r *ramp) step(p pace) pace {
	settled := r.count(p.at - perSecond)
	p.recent -= settled
	p.before += settled - r.count(p.at-kept+1)
	p.at++
	return p
}

// count returns the starts of a tick that the ring still holds, or that is still to come.
func (r *ramp) count(tick int) int {
	if tick < 0 || tick > r.at {
		return 0
	}
	return int(r.counts[tick%kept])
}
