package lane

import (
	"testing"
	"time"
)

func TestWhatRunsElsewhereCountsAgainstTheEndpointsOwnLimit(t *testing.T) {
	t.Parallel()
	l := New[int](Settings{MaxInFlight: 3}, t0)
	l.Elsewhere(2)
	offer(t, l, 1, 2, 3)
	wantStart(t, l, at(0), 1)
	wantNoWake(t, l, at(0))
	l.Done(at(1), Success)
	wantStart(t, l, at(1), 2)
	wantNoStart(t, l, at(1))
	l.Elsewhere(0)
	wantStart(t, l, at(1), 3)
	if l.InFlight() != 2 {
		t.Errorf("InFlight() = %d, want the lane's own 2", l.InFlight())
	}
}

func TestWhatRunsElsewhereDoesNotStopALimitThatHasYetToGrow(t *testing.T) {
	t.Parallel()
	l := New[int](Settings{}, t0)
	l.Elsewhere(maxLimit - 1)
	offer(t, l, 1, 2)
	wantStart(t, l, at(0), 1)
	wantNoStart(t, l, at(0)) // 64 in the whole fleet
}

func TestProbeWaitsForWhatRunsElsewhere(t *testing.T) {
	t.Parallel()
	l := New[int](Settings{}, t0)
	l.Close(at(time.Second))
	offerDue(t, l, 1)
	l.Elsewhere(1)
	wantNoWake(t, l, at(time.Minute))
	l.Elsewhere(0)
	wantStart(t, l, at(time.Minute), 1)
}

func TestLaneWithAttemptsElsewhereIsKept(t *testing.T) {
	t.Parallel()
	l := New[int](Settings{}, t0)
	l.Elsewhere(1)
	if l.Idle() {
		t.Error("Idle() while attempts run elsewhere: a new lane would not know of them")
	}
	l.Elsewhere(0)
	if !l.Idle() {
		t.Error("not Idle() after they have ended")
	}
}
