package lane

import (
	"testing"
	"time"
)

func take(t *testing.T, s *Slots, h *Holder, now time.Time, want bool) {
	t.Helper()
	if got := s.Take(h, now); got != want {
		fast, slow := s.InUse()
		t.Fatalf("Take(%v) = %v with %d fast and %d slow in use, want %v", h.Owner, got, fast, slow, want)
	}
}

func wantNext(t *testing.T, s *Slots, now time.Time, want *Holder) {
	t.Helper()
	if got := s.Next(now); got != want {
		t.Fatalf("Next() = %v, want %v", ownerOf(got), ownerOf(want))
	}
}

func ownerOf(h *Holder) any {
	if h == nil {
		return "nobody"
	}
	return h.Owner
}

func newHolder(owner string) *Holder { return &Holder{Owner: owner} }

// provenHolder returns a holder that answered quickly at now. The slots must be free for it.
func provenHolder(t *testing.T, s *Slots, owner string, now time.Time) *Holder {
	t.Helper()
	h := newHolder(owner)
	take(t, s, h, now, true)
	s.Give(h, false, time.Millisecond, now)
	return h
}

func TestUnprovenHoldersShareAQuarterOfTheSlots(t *testing.T) {
	s := NewSlots(8, 8)
	p := provenHolder(t, s, "p", t0)
	a, b := newHolder("a"), newHolder("b")
	take(t, s, a, t0, true)
	take(t, s, b, t0, true)
	take(t, s, b, t0, false)
	for range 6 { // the others are there for p
		take(t, s, p, t0, true)
	}
	take(t, s, p, t0, false)
	s.Give(p, false, time.Millisecond, t0)
	wantNext(t, s, t0, p) // not b: its quarter is full
	take(t, s, p, t0, true)
	s.Give(a, false, 2*time.Second, t0) // no quick answer, but it gives its slot back
	wantNext(t, s, t0, b)
	take(t, s, b, t0, true)
	wantNext(t, s, t0, nil)
}

func TestOneSlotIsThereForTheUnproven(t *testing.T) {
	s := NewSlots(1, 1)
	a := newHolder("a")
	take(t, s, a, t0, true)
	take(t, s, a, t0, false)
}

func TestAQuickAnswerProvesForAMinute(t *testing.T) {
	s := NewSlots(4, 4)
	p := provenHolder(t, s, "p", t0)
	for range 4 {
		take(t, s, p, at(time.Minute-1), true)
	}
	for range 3 {
		s.Give(p, false, 2*time.Second, at(time.Minute-1))
	}
	take(t, s, p, at(time.Minute), false) // unproven again, and holds the one slot of the quarter
	s.Give(p, false, time.Second-1, at(time.Minute))
	take(t, s, p, at(time.Minute), true)
	take(t, s, p, at(2*time.Minute-1), true)
}

func TestAProofFreesTheQuarterForOthers(t *testing.T) {
	s := NewSlots(8, 8)
	a, b := newHolder("a"), newHolder("b")
	take(t, s, a, t0, true)
	take(t, s, a, t0, true)
	take(t, s, b, t0, false)
	s.Give(a, false, time.Millisecond, t0)
	wantNext(t, s, t0, b)
	take(t, s, b, t0, true)
	take(t, s, b, t0, true) // a's other slot is a proven one's
	take(t, s, b, t0, false)
}

func TestAProofIsRenewed(t *testing.T) {
	s := NewSlots(8, 8)
	p, q := provenHolder(t, s, "p", t0), provenHolder(t, s, "q", at(time.Second))
	take(t, s, p, at(30*time.Second), true)
	take(t, s, p, at(30*time.Second), true)
	s.Give(p, false, time.Millisecond, at(30*time.Second)) // p is the later one now
	now := at(61 * time.Second)                            // q's has run out, p's has not
	for range 4 {
		take(t, s, p, now, true)
	}
	take(t, s, q, now, true)
	take(t, s, q, now, true)
	take(t, s, q, now, false)
	s.Give(q, false, 2*time.Second, now)
	s.Leave(q)
	now = at(90 * time.Second) // p, who holds five, is unproven as well
	take(t, s, newHolder("r"), now, false)
}

func TestNextKnowsWhoseProofHasRunOut(t *testing.T) {
	s := NewSlots(4, 4)
	p := provenHolder(t, s, "p", t0)
	a := newHolder("a")
	take(t, s, a, t0, true)
	for range 3 {
		take(t, s, p, t0, true)
	}
	take(t, s, p, t0, false)
	s.Return(p)
	wantNext(t, s, at(time.Minute), nil) // a has the quarter
	s.Return(p)
	s.Return(p)
	s.Return(a)
	wantNext(t, s, at(time.Minute), p)
}

func TestAnAnswerAfterASecondProvesNothing(t *testing.T) {
	s := NewSlots(4, 4)
	a := newHolder("a")
	take(t, s, a, t0, true)
	s.Give(a, false, time.Second, t0)
	take(t, s, a, t0, true)
	take(t, s, a, t0, false)
}

func TestReturnedSlotProvesNothing(t *testing.T) {
	s := NewSlots(4, 4)
	a := newHolder("a")
	take(t, s, a, t0, true)
	s.Return(a)
	take(t, s, a, t0, true)
	take(t, s, a, t0, false)
}

func TestSlowAttemptGivesItsFastSlotBack(t *testing.T) {
	s := NewSlots(1, 1)
	a, b := newHolder("a"), newHolder("b")
	take(t, s, a, t0, true)
	take(t, s, b, t0, false)
	if !s.Slow(a) {
		t.Fatal("Slow refused with none in use")
	}
	wantNext(t, s, t0, b)
	take(t, s, b, t0, true)
	if s.Slow(b) {
		t.Fatal("Slow took a second of one slow slot")
	}
	if fast, slow := s.InUse(); fast != 1 || slow != 1 {
		t.Fatalf("in use %d and %d, want 1 and 1", fast, slow)
	}
	s.Give(b, false, 5*time.Second, t0)
	s.Give(a, true, 5*time.Second, t0)
	if fast, slow := s.InUse(); fast != 0 || slow != 0 {
		t.Fatalf("in use %d and %d after all ended, want none", fast, slow)
	}
}

func TestOnlyHoldersWithSlowAttemptsAreRefused(t *testing.T) {
	s := NewSlots(8, 1)
	a, b := newHolder("a"), newHolder("b")
	take(t, s, a, t0, true)
	if s.Refuses(a) {
		t.Error("refuses a holder without slow attempts")
	}
	s.Slow(a)
	if !s.Refuses(a) || s.Refuses(b) {
		t.Errorf("slow slots full: refuses a %v, b %v, want true, false", s.Refuses(a), s.Refuses(b))
	}
	s.Give(a, true, 2*time.Second, t0)
	if s.Refuses(a) {
		t.Error("refuses after the slow attempt ended")
	}
}

func TestNextNamesWhoHoldsFewestThenWhoCameFirst(t *testing.T) {
	s := NewSlots(6, 6)
	var hs []*Holder
	for _, owner := range []string{"two", "one", "none", "none later", "full"} {
		hs = append(hs, provenHolder(t, s, owner, t0))
	}
	two, one, none, later, full := hs[0], hs[1], hs[2], hs[3], hs[4]
	for _, h := range []*Holder{two, two, one, full, full, full} {
		take(t, s, h, t0, true)
	}
	for _, h := range []*Holder{two, one, none, later} {
		take(t, s, h, t0, false)
	}
	for _, want := range []*Holder{none, later, one} {
		s.Give(full, false, time.Millisecond, t0)
		wantNext(t, s, t0, want)
		take(t, s, want, t0, true)
		wantNext(t, s, t0, nil)
	}
	s.Give(one, false, time.Millisecond, t0)
	wantNext(t, s, t0, two)
}

func TestNobodyTakesAFreeSlotBeforeThoseWhoWait(t *testing.T) {
	s := NewSlots(2, 2)
	a, b, c := provenHolder(t, s, "a", t0), provenHolder(t, s, "b", t0), provenHolder(t, s, "c", t0)
	take(t, s, a, t0, true)
	take(t, s, a, t0, true)
	take(t, s, b, t0, false)
	s.Give(a, false, time.Millisecond, t0)
	take(t, s, a, t0, false) // holds more than b, who waits
	take(t, s, c, t0, false) // holds as many, but came later
	wantNext(t, s, t0, b)
	take(t, s, b, t0, true)
	take(t, s, b, t0, false)
	s.Give(a, false, time.Millisecond, t0)
	wantNext(t, s, t0, a) // holds none any more, and came before c
}

func TestTheNamedHolderDoesNotYieldToItsEquals(t *testing.T) {
	s := NewSlots(1, 1)
	a, b, c := newHolder("a"), newHolder("b"), newHolder("c")
	take(t, s, a, t0, true)
	take(t, s, b, t0, false)
	take(t, s, c, t0, false)
	s.Give(a, false, 2*time.Second, t0)
	wantNext(t, s, t0, b)
	take(t, s, b, t0, true)
}

func TestALoneWaiterIsNotForgotten(t *testing.T) {
	s := NewSlots(1, 1)
	a, b := newHolder("a"), newHolder("b")
	take(t, s, a, t0, true)
	take(t, s, b, t0, false)
	s.Give(a, false, 2*time.Second, t0) // and nobody calls Next
	take(t, s, a, t0, true)             // nothing runs: somebody must, or no Give follows
	s.Give(a, false, 2*time.Second, t0)
	wantNext(t, s, t0, b)
}

func TestLeaveTakesAHolderOffTheLine(t *testing.T) {
	s := NewSlots(1, 1)
	a, b, c := newHolder("a"), newHolder("b"), newHolder("c")
	take(t, s, a, t0, true)
	take(t, s, b, t0, false)
	take(t, s, c, t0, false)
	s.Leave(b)
	s.Leave(b)
	s.Give(a, false, 2*time.Second, t0)
	wantNext(t, s, t0, c)
	wantNext(t, s, t0, nil)
}

func TestWaitersKeepTheirTurnWhenTheirStandingChanges(t *testing.T) {
	s := NewSlots(4, 4)
	p, q := provenHolder(t, s, "p", t0), provenHolder(t, s, "q", at(time.Second))
	for range 4 {
		take(t, s, q, at(time.Second), true)
	}
	take(t, s, p, at(time.Second), false)
	late := at(time.Minute + time.Second/2) // p's answer is older than a minute, q's is not
	s.Give(q, false, 2*time.Second, late)
	wantNext(t, s, late, p) // nobody unproven holds any of the quarter
	take(t, s, p, late, true)
	take(t, s, p, late, false)
}
