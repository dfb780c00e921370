package lane

import (
	"container/heap"
	"time"
)

const (
	// quick is how long an attempt keeps a fast slot; one that ends sooner proves its endpoint.
	quick = time.Second
	// provenFor is how long a quick answer proves an endpoint.
	provenFor = time.Minute
	// unprovenShare is the part of the fast slots, one in so many, that all unproven endpoints hold together.
	unprovenShare = 4
)

// Slots are the attempts a process may run at once: fast ones, and beside them slow ones, which have run for a second.
// So endpoints that hang, however many, hold others up for a second at most. Not safe for concurrent use.
//
// A holder that was refused waits. After every Give, Slow and Return, call Next until it is nil, and each time start
// what Take allows for the holder it names; Take makes it wait again if it wants more.
type Slots struct {
	fast, slow         int // capacity
	usedFast, usedSlow int
	unproven           int      // fast slots held by unproven holders
	proven             provenBy // in the order of their last quick answer
	lines              [2]line  // who waits, by standing
	turns              uint64   // given to those who waited so far
	named              *Holder  // by the last Next, and has not asked for its slot yet
}

// Holder is one endpoint's hold on the slots. The zero value holds nothing. It must not be copied once used.
type Holder struct {
	Owner any // the caller's way from what Next returns to its lane

	fast, slow int
	standing   standing
	quickAt    time.Time // the last quick answer, while proven
	prev, next *Holder   // in provenBy, while proven
	turn       uint64    // while it waits: after whom
	place      int       // while it waits: where in its line, from 1; 0: it does not wait
}

// standing is whether a holder has answered quickly in the last minute.
type standing uint8

const (
	unproven standing = iota
	proven
)

// NewSlots returns slots for so many fast and slow attempts at once, each 1 or more.
func NewSlots(fast, slow int) *Slots { return &Slots{fast: fast, slow: slow} }

// Take takes a fast slot for one more attempt of h. It is false if none is free for it: all are taken, or it has had no
// answer under 1 s in the last minute and such holders have a quarter of the slots already, or one that waits is to go
// first. Then h waits until Next names it, Take succeeds or Leave is called.
func (s *Slots) Take(h *Holder, now time.Time) bool {
	s.expire(now)
	if !s.free(h.standing) || s.yields(h) {
		s.wait(h)
		return false
	}
	s.Leave(h)
	s.hold(h, 1)
	return true
}

// free reports whether a slot is free for a holder of that standing.
func (s *Slots) free(of standing) bool {
	return s.usedFast < s.fast && (of == proven || s.unproven < max(s.fast/unprovenShare, 1))
}

// yields reports whether a waiting holder goes before h. The one that Next has named does not yield. While nothing runs
// nobody does: there would be no Give after which Next is called.
func (s *Slots) yields(h *Holder) bool {
	w := s.first()
	if w == nil || w == h || h == s.named || s.usedFast == 0 {
		return false
	}
	return w.fast <= h.fast
}

func (s *Slots) wait(h *Holder) {
	if h == s.named {
		s.named = nil
	}
	if h.place == 0 {
		s.turns++
		h.turn = s.turns
		heap.Push(&s.lines[h.standing], h)
	}
}

// Slow says that an attempt of h has run for 1 s: it gives its fast slot back and counts as slow. It is false when the
// slow ones are all taken; then the attempt keeps its fast slot.
func (s *Slots) Slow(h *Holder) bool {
	if s.usedSlow >= s.slow {
		return false
	}
	s.hold(h, -1)
	h.slow++
	s.usedSlow++
	return true
}

// Give says that an attempt of h ended, after took; wasSlow says what Slow returned for it, false if it was not called.
// One that took less than 1 s proves h for a minute.
func (s *Slots) Give(h *Holder, wasSlow bool, took time.Duration, now time.Time) {
	s.expire(now)
	if wasSlow {
		h.slow--
		s.usedSlow--
	} else {
		s.hold(h, -1)
	}
	if took < quick {
		s.prove(h, now)
	}
}

// Return gives a fast slot back that no attempt was started with.
func (s *Slots) Return(h *Holder) { s.hold(h, -1) }

// Next takes the waiting holder that holds fewest fast slots, first come among equals, of those for whom a slot is free,
// off the waiting ones and returns it; nil when there is none. It does not take the slot: Take does.
func (s *Slots) Next(now time.Time) *Holder {
	s.expire(now)
	h := s.first()
	if h != nil {
		s.Leave(h)
	}
	s.named = h
	return h
}

// first returns the holder that Next would name.
func (s *Slots) first() *Holder {
	var first *Holder
	for of := range s.lines {
		if l := s.lines[of]; len(l) > 0 && s.free(standing(of)) && (first == nil || before(l[0], first)) {
			first = l[0]
		}
	}
	return first
}

// Leave says that h waits no longer.
func (s *Slots) Leave(h *Holder) {
	if h == s.named {
		s.named = nil
	}
	if h.place > 0 {
		heap.Remove(&s.lines[h.standing], h.place-1)
	}
}

// Refuses reports whether deliveries of h should be queued: the slow slots are all taken, and h has some of them.
func (s *Slots) Refuses(h *Holder) bool { return h.slow > 0 && s.usedSlow >= s.slow }

// InUse returns how many slots of each kind are taken.
func (s *Slots) InUse() (fast, slow int) { return s.usedFast, s.usedSlow }

// hold changes by n how many fast slots h holds.
func (s *Slots) hold(h *Holder, n int) {
	h.fast += n
	s.usedFast += n
	if h.standing == unproven {
		s.unproven += n
	}
	if h.place > 0 {
		heap.Fix(&s.lines[h.standing], h.place-1)
	}
}

// prove makes h the holder with the latest quick answer.
func (s *Slots) prove(h *Holder, now time.Time) {
	if h.standing == proven {
		s.proven.remove(h)
	} else {
		s.stand(h, proven)
	}
	h.quickAt = now
	s.proven.append(h)
}

// expire takes their standing from those whose last quick answer is a minute old.
func (s *Slots) expire(now time.Time) {
	for h := s.proven.head; h != nil && now.Sub(h.quickAt) >= provenFor; h = s.proven.head {
		s.proven.remove(h)
		s.stand(h, unproven)
	}
}

// stand moves h, what it holds and its place among the waiting to another standing.
func (s *Slots) stand(h *Holder, to standing) {
	waits := h.place > 0
	if waits {
		heap.Remove(&s.lines[h.standing], h.place-1)
	}
	if to == proven {
		s.unproven -= h.fast
	} else {
		s.unproven += h.fast
	}
	h.standing = to
	if waits {
		heap.Push(&s.lines[to], h) // keeps its turn
	}
}
