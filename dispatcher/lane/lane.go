package lane

import "time"

// Settings are what an endpoint's configuration says of its lane.
type Settings struct {
	MaxInFlight int     // attempts at once, 1 or more; 0: adaptive up to 64
	PerSecond   float64 // attempts per second; 0: no rate limit
	Burst       int     // attempts at once after a pause, with PerSecond; 0: as many as in one second
}

// Verdict is what an attempt's outcome means to its lane.
type Verdict uint8

// The verdicts.
const (
	Success  Verdict = iota // the endpoint is alive
	Failure                 // it is not
	Throttle                // it asks for less: slow down, without counting as a failure
	Neutral                 // as if the attempt had not been
)

// Lane is one endpoint's place in a dispatcher: what waits for it, and when the next attempt may start. T names a
// delivery; one that waits already is not taken twice. A Lane is not safe for concurrent use: the dispatcher's lock
// guards it. The times handed to it should not go back; if they do, it waits longer.
type Lane[T comparable] struct {
	waiting   waiting[T]
	settings  Settings
	limit     limit
	bucket    bucket
	breaker   breaker
	gate      gate
	exclusive bool
	last      origin // of the last started
	inFlight  int
	elsewhere int       // see Elsewhere
	touched   time.Time // the last start or end of an attempt
}

// New returns a lane with its gate open, an empty token bucket, and the limit at its start.
func New[T comparable](s Settings, now time.Time) *Lane[T] {
	return &Lane[T]{settings: s, limit: newLimit(s), bucket: newBucket(s, now), touched: now}
}

// Configure says that the endpoint changed. What waits and runs stays, and so do the tokens that fit.
func (l *Lane[T]) Configure(s Settings, now time.Time) {
	if s == l.settings {
		return
	}
	l.settings = s
	l.limit.configure(s)
	l.bucket.configure(s, now)
}

// Offer hands over a delivery fresh from the broker, of size bytes. It is false when the gate is closed, the lane is
// exclusive, or 256 fresh deliveries or 1 MiB of them wait: it should be queued. One always fits an empty lane.
func (l *Lane[T]) Offer(item T, size int) bool {
	if l.exclusive || l.gate.phase != open {
		return false
	}
	return l.waiting.push(fresh, item, size)
}

// OfferDue hands over a due row of the queue, of size bytes. It is false when 256 due rows or 1 MiB of them wait.
func (l *Lane[T]) OfferDue(item T, size int) bool {
	return l.waiting.push(due, item, size)
}

// DueRoom returns how many more due rows are worth bringing: what OfferDue will take by count, none if 1 MiB waits, and
// no more than the probe while the gate is closed and no probe has succeeded.
func (l *Lane[T]) DueRoom() int {
	rows := &l.waiting.lists[due]
	room := maxItems
	if l.gate.phase == shut || l.gate.phase == probing {
		room = 1
	}
	if rows.bytes >= maxBytes {
		return 0
	}
	return max(room-rows.items, 0)
}

// DueWaiting returns how many due rows wait here.
func (l *Lane[T]) DueWaiting() int { return l.waiting.lists[due].items }

// Remove takes a delivery back that waits, fresh or due, and reports whether it did.
func (l *Lane[T]) Remove(item T) bool { return l.waiting.remove(item) }

// Start takes the next delivery to attempt and counts it in flight until Done. Due and fresh ones alternate, each
// oldest first. It is false when nothing waits, or limit, rate or gate forbid it; Wake says until when.
func (l *Lane[T]) Start(now time.Time) (item T, ok bool) {
	if at, ok := l.Wake(now); !ok || at.After(now) {
		return item, false
	}
	l.last = l.nextOrigin()
	item = l.waiting.pop(l.last)
	l.inFlight++
	l.bucket.take(now)
	l.gate.start(now)
	l.touched = now
	l.observe(now)
	return item, true
}

func (l *Lane[T]) nextOrigin() origin {
	switch {
	case l.waiting.lists[due].items == 0:
		return fresh
	case l.waiting.lists[fresh].items == 0:
		return due
	}
	return fresh + due - l.last
}

// Wake returns when the next attempt may start by the passing of time alone; never before now, and now means that Start
// will succeed now. It is false when only a Done, an Offer, less Elsewhere or a change of the gate can help.
func (l *Lane[T]) Wake(now time.Time) (at time.Time, ok bool) {
	if l.waiting.len() == 0 || l.full() {
		return time.Time{}, false
	}
	return l.gate.next(later(now, l.bucket.next()), l.inFlight+l.elsewhere)
}

// full reports whether no more attempts may run at once. What runs elsewhere began by another lane's limit: it counts
// against the endpoint's own alone, since this one's has just begun to grow.
func (l *Lane[T]) full() bool {
	return l.inFlight >= l.limit.n || l.inFlight+l.elsewhere >= l.limit.cap
}

// Done says that an attempt ended, at now. It reports whether the gate must close: the breaker tripped, or the probe
// failed. Until Close is called an open lane goes on, and reports again once the breaker has cause anew; a closed one
// waits for the shortest wait of a gate and probes again.
func (l *Lane[T]) Done(now time.Time, v Verdict) (trip bool) {
	l.adapt(now, v)
	l.inFlight--
	l.touched = now
	switch l.gate.phase {
	case open:
		return l.judge(now, v)
	case probing:
		trip = l.endProbe(v)
	case ramping:
		trip = l.judge(now, v)
		if v == Failure || v == Throttle {
			l.gate.busy = busy{}
		}
		l.observe(now)
	}
	if trip {
		l.gate.close(now.Add(minGateWait))
	}
	return trip
}

// adapt moves the limit.
func (l *Lane[T]) adapt(now time.Time, v Verdict) {
	switch v {
	case Success:
		l.limit.succeed(l.inFlight)
	case Failure, Throttle:
		l.limit.fail(now)
	}
}

// judge tells the breaker.
func (l *Lane[T]) judge(now time.Time, v Verdict) (trip bool) {
	switch v {
	case Success:
		l.breaker.succeed()
	case Failure:
		return l.breaker.fail(now)
	}
	return false
}

// endProbe moves on after the probe. One that says nothing is followed by another, at the ramp's slowest pace.
func (l *Lane[T]) endProbe(v Verdict) (trip bool) {
	l.gate.phase = shut
	if v == Success {
		l.gate.phase = ramping
	}
	return v == Failure
}

// observe keeps track of whether a ramping lane works at its limit, or at its rate, rather than at the ramp's pace.
func (l *Lane[T]) observe(now time.Time) {
	if l.gate.phase != ramping {
		return
	}
	ramp, token := l.gate.ramp.next(now), l.bucket.next()
	switch {
	case l.full():
		l.gate.busy.begin(now)
	case l.waiting.len() == 0:
		l.gate.busy.end(now)
	case ramp.After(now) && ramp.After(token):
		l.gate.busy = busy{}
	case token.After(now):
		l.gate.busy.begin(now)
	default:
		l.gate.busy.end(now)
	}
}

// Close closes the gate: nothing starts before notBefore, then, once everything that runs has ended, one probe at a
// time until one succeeds, then the ramp. It returns the fresh deliveries that waited, for the caller to queue; due
// ones keep waiting. Calling it again moves notBefore and starts over with a probe.
func (l *Lane[T]) Close(notBefore time.Time) (waiting []T) {
	l.gate.close(notBefore)
	l.breaker = breaker{}
	return l.waiting.takeAll(fresh)
}

// Open opens the gate: no ramp any more, and a fresh breaker. The limit stays as it is.
func (l *Lane[T]) Open(time.Time) {
	if l.gate.phase == open {
		return
	}
	l.gate = gate{}
	l.breaker = breaker{}
}

// Closed reports whether the gate is closed.
func (l *Lane[T]) Closed() bool { return l.gate.phase != open }

// MayOpen reports whether a closed gate has reason to open: a probe has succeeded since Close, and nothing is due
// (nothingDue says so of the queue) and nothing waits or runs here, or the lane has worked for 10 s at its limit, or at
// its rate, without a failure.
func (l *Lane[T]) MayOpen(now time.Time, nothingDue bool) bool {
	if l.gate.phase != ramping {
		return false
	}
	return nothingDue && l.waiting.len() == 0 && l.inFlight == 0 || l.gate.busy.longEnough(now)
}

// Exclusive says whether the endpoint has limits of its own, so that only its shard's owner may send to it: Offer then
// refuses, while due rows go at the endpoint's limits, with probe and ramp only while Closed. Fresh deliveries that wait
// already stay until they are started or removed.
func (l *Lane[T]) Exclusive(on bool) { l.exclusive = on }

// Elsewhere says how many attempts that this lane did not start may run now: those of the shard's last owner. They count
// in flight, against the endpoint's limit and for the probe, which waits until they have ended.
func (l *Lane[T]) Elsewhere(n int) { l.elsewhere = n }

// Limit returns how many attempts may run at once now.
func (l *Lane[T]) Limit() int { return l.limit.n }

// InFlight returns how many attempts of this lane run.
func (l *Lane[T]) InFlight() int { return l.inFlight }

// Waiting returns how many deliveries wait, fresh and due.
func (l *Lane[T]) Waiting() int { return l.waiting.len() }
