package lane

import (
	"testing"
	"time"
)

// closedLane returns a lane that was closed at t0 until notBefore with n due rows waiting.
func closedLane(t *testing.T, notBefore time.Time, n int) *Lane[int] {
	t.Helper()
	l := New[int](Settings{}, t0)
	l.Close(notBefore)
	offerDue(t, l, numbers(n)...)
	return l
}

// rampingLane returns a lane whose probe, item 1, succeeded right away at t0.
func rampingLane(t *testing.T, n int) *Lane[int] {
	t.Helper()
	l := closedLane(t, t0, n)
	wantStart(t, l, t0, 1)
	done(t, l, t0, Success, false)
	return l
}

func TestNothingStartsBeforeNotBefore(t *testing.T) {
	l := closedLane(t, at(15*time.Second), 2)
	wantNoStart(t, l, at(15*time.Second-1))
	wantWake(t, l, t0, at(15*time.Second))
	wantStart(t, l, at(15*time.Second), 1)
}

func TestOneProbeAtATime(t *testing.T) {
	l := closedLane(t, t0, 3)
	wantStart(t, l, t0, 1)
	wantNoStart(t, l, at(time.Minute))
	wantNoWake(t, l, at(time.Minute))
}

func TestProbeWaitsForEarlierAttempts(t *testing.T) {
	l := New[int](Settings{}, t0)
	offer(t, l, 1, 2)
	wantStart(t, l, t0, 1, 2)
	l.Close(at(time.Second))
	offerDue(t, l, 11, 12)
	wantNoWake(t, l, at(5*time.Second))
	done(t, l, at(5*time.Second), Failure, false) // not the probe's
	wantNoStart(t, l, at(5*time.Second))
	done(t, l, at(6*time.Second), Success, false) // neither
	if l.MayOpen(at(6*time.Second), true) {
		t.Error("MayOpen after the success of an attempt that is no probe")
	}
	wantStart(t, l, at(6*time.Second), 11)
	done(t, l, at(7*time.Second), Failure, true)
}

func TestFailedProbeTripsAndWaits(t *testing.T) {
	l := closedLane(t, t0, 2)
	wantStart(t, l, t0, 1)
	done(t, l, at(time.Second), Failure, true)
	wantWake(t, l, at(time.Second), at(16*time.Second)) // until Close says better
	l.Close(at(30 * time.Second))
	wantWake(t, l, at(time.Second), at(30*time.Second))
}

func TestProbeWithoutAVerdictIsRepeatedASecondLater(t *testing.T) {
	for _, v := range []Verdict{Throttle, Neutral} {
		l := closedLane(t, t0, 3)
		wantStart(t, l, t0, 1)
		done(t, l, at(100*time.Millisecond), v, false)
		if l.MayOpen(at(time.Minute), true) {
			t.Errorf("MayOpen after a probe with verdict %d", v)
		}
		wantWake(t, l, at(100*time.Millisecond), at(time.Second))
		wantStart(t, l, at(time.Second), 2)
		wantNoStart(t, l, at(time.Second))
	}
}

func TestClosingAgainStartsOverWithAProbe(t *testing.T) {
	l := rampingLane(t, 10)
	wantStart(t, l, at(time.Second), 2)
	l.Close(at(5 * time.Second))
	done(t, l, at(2*time.Second), Success, false) // of before
	wantWake(t, l, at(2*time.Second), at(5*time.Second))
	wantStart(t, l, at(5*time.Second), 3)
	wantNoStart(t, l, at(10*time.Second)) // one probe
}

func TestRampBeginsWithOneASecond(t *testing.T) {
	l := rampingLane(t, 10)
	wantWake(t, l, t0, at(time.Second))
	wantNoStart(t, l, at(time.Second-1))
	wantStart(t, l, at(time.Second), 2)
	wantNoStart(t, l, at(time.Second))
}

func TestClosedLaneHasRoomForOneProbe(t *testing.T) {
	l := closedLane(t, at(time.Minute), 0)
	if got := l.DueRoom(); got != 1 {
		t.Errorf("DueRoom() = %d before the probe, want 1", got)
	}
	offerDue(t, l, 1)
	if got := l.DueRoom(); got != 0 {
		t.Errorf("DueRoom() = %d with the probe waiting, want 0", got)
	}
	wantStart(t, l, at(time.Minute), 1)
	done(t, l, at(time.Minute), Success, false)
	if got := l.DueRoom(); got != 256 {
		t.Errorf("DueRoom() = %d in the ramp, want 256", got)
	}
}

func TestMayOpenWhenNothingIsDue(t *testing.T) {
	l := closedLane(t, t0, 1)
	if l.MayOpen(at(time.Hour), true) {
		t.Error("MayOpen before any probe")
	}
	wantStart(t, l, t0, 1)
	if l.MayOpen(t0, true) {
		t.Error("MayOpen while the probe runs")
	}
	done(t, l, t0, Success, false)
	if l.MayOpen(t0, false) {
		t.Error("MayOpen although rows are due")
	}
	if !l.MayOpen(t0, true) {
		t.Error("not MayOpen after a probe, with nothing due")
	}
	offerDue(t, l, 2)
	if l.MayOpen(t0, true) {
		t.Error("MayOpen with a row waiting here")
	}
}

// work drives a lane from one time to another, one step of 10 ms after the other: each attempt takes as many steps as
// given and succeeds, and rows are always there. It stops when the lane may open, and returns when.
func work(l *Lane[int], from, to time.Duration, steps int) (opened time.Duration, ok bool) {
	const step = 10 * time.Millisecond
	var ends []time.Duration
	next := 1000
	for d := from; d < to; d += step {
		now := at(d)
		for len(ends) > 0 && ends[0] <= d {
			ends = ends[1:]
			l.Done(now, Success)
		}
		for l.DueWaiting() < 32 {
			l.OfferDue(next, 1)
			next++
		}
		for {
			if _, ok := l.Start(now); !ok {
				break
			}
			ends = append(ends, d+time.Duration(steps)*step)
		}
		if l.MayOpen(now, false) {
			return d, true
		}
	}
	return 0, false
}

func TestMayOpenAfterTenSecondsAtTheLimit(t *testing.T) {
	tests := []struct {
		name     string
		settings Settings
		steps    int // an attempt takes, of 10 ms
		from, to time.Duration
	}{
		// limit 2 and 1 s each is 2/s: the ramp gets there within 10 s
		{"the limit of attempts holds it", Settings{MaxInFlight: 2}, 100, 10 * time.Second, 25 * time.Second},
		{"slow attempts are at the limit from the first", Settings{MaxInFlight: 1}, 300, 10 * time.Second, 15 * time.Second},
		{"the rate limit holds it", Settings{PerSecond: 3, Burst: 1}, 1, 12 * time.Second, 35 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := New[int](tt.settings, t0.Add(-time.Minute))
			l.Close(t0)
			got, ok := work(l, 0, time.Minute, tt.steps)
			if !ok || got < tt.from || got > tt.to {
				t.Errorf("may open after %v, %v, want %v to %v", got, ok, tt.from, tt.to)
			}
		})
	}
}

func TestMayNotOpenWhileTheRampHoldsItBack(t *testing.T) {
	l := New[int](Settings{}, t0)
	l.Close(t0)
	if got, ok := work(l, 0, 20*time.Second, 1); ok {
		t.Errorf("may open after %v although the ramp was still what held it back", got)
	}
}

func TestFailureStartsTheTenSecondsAnew(t *testing.T) {
	l := New[int](Settings{MaxInFlight: 1}, t0)
	l.Close(t0)
	offerDue(t, l, 1, 2, 3)
	wantStart(t, l, t0, 1)
	done(t, l, t0, Success, false)
	wantStart(t, l, at(time.Second), 2) // runs, so the lane is at its limit from 1 s on
	if l.MayOpen(at(11*time.Second-1), false) || !l.MayOpen(at(11*time.Second), false) {
		t.Error("MayOpen: want it 10 s after the lane reached its limit")
	}
	done(t, l, at(10*time.Second), Failure, false)
	wantStart(t, l, at(10*time.Second), 3)
	if l.MayOpen(at(20*time.Second-1), false) || !l.MayOpen(at(20*time.Second), false) {
		t.Error("MayOpen: want it 10 s after the failure")
	}
}

func TestIdleTimeIsNoWorkAtTheLimit(t *testing.T) {
	l := rampingLane(t, 3)
	l.Configure(Settings{MaxInFlight: 1}, t0)
	wantStart(t, l, at(time.Second), 2)
	done(t, l, at(2*time.Second), Success, false)
	if l.MayOpen(at(30*time.Second), false) {
		t.Error("MayOpen after 28 s without work")
	}
}

func TestShortWorkAfterAPauseIsNotTenSecondsOfIt(t *testing.T) {
	l := rampingLane(t, 3)
	l.Configure(Settings{MaxInFlight: 1}, t0)
	wantStart(t, l, at(time.Second), 2)
	done(t, l, at(2*time.Second), Success, false)
	wantStart(t, l, at(30*time.Second), 3)
	if l.MayOpen(at(30*time.Second), false) || !l.MayOpen(at(40*time.Second), false) {
		t.Error("MayOpen: want it 10 s after the pause")
	}
}

func TestWorkBeforeCloseDoesNotCount(t *testing.T) {
	l := rampingLane(t, 3)
	l.Configure(Settings{MaxInFlight: 1}, t0)
	wantStart(t, l, at(time.Second), 2)
	l.Close(at(time.Second))
	done(t, l, at(12*time.Second), Success, false)
	wantStart(t, l, at(12*time.Second), 3)
	done(t, l, at(12*time.Second), Success, false)
	if l.MayOpen(at(12*time.Second), false) {
		t.Error("MayOpen by what was before Close")
	}
}

func TestMayNotOpenWhileAnAttemptRuns(t *testing.T) {
	l := rampingLane(t, 2)
	wantStart(t, l, at(time.Second), 2)
	if l.MayOpen(at(time.Second), true) {
		t.Error("MayOpen with an attempt in flight")
	}
}

func TestRampBeginsAnewAfterClose(t *testing.T) {
	l := New[int](Settings{}, t0)
	l.Close(t0)
	work(l, 0, 20*time.Second, 1)
	for l.InFlight() > 0 {
		l.Done(at(20*time.Second), Success)
	}
	l.Close(at(20 * time.Second))
	now := at(21 * time.Second)
	if _, ok := l.Start(now); !ok {
		t.Fatal("no probe")
	}
	done(t, l, now, Success, false)
	wantWake(t, l, now, now.Add(time.Second))
}

func TestBreakerStartsAfreshWhenTheGateMoves(t *testing.T) {
	tests := []struct {
		name string
		move func(l *Lane[int])
	}{
		{"open", func(l *Lane[int]) { l.Close(t0); l.Open(t0) }},
		{"closed, after a probe", func(l *Lane[int]) {
			l.Close(t0)
			l.OfferDue(99, 1)
			l.Start(t0)
			l.Done(t0, Success)
		}},
		{"opened after failures in the ramp", func(l *Lane[int]) {
			l.Close(t0)
			for i := range 5 {
				l.OfferDue(100+i, 1)
				l.Start(at(time.Duration(i) * time.Second))
				l.Done(at(time.Duration(i)*time.Second), min(Verdict(i), Failure)) // the probe succeeds
			}
			l.Open(at(5 * time.Second))
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := New[int](Settings{MaxInFlight: 4}, t0)
			offer(t, l, 1, 2, 3, 4)
			wantStart(t, l, t0, 1, 2, 3, 4)
			for range 4 {
				done(t, l, t0, Failure, false)
			}
			tt.move(l)
			offerDue(t, l, 5)
			wantStart(t, l, at(20*time.Second), 5)
			done(t, l, at(20*time.Second), Failure, false) // the fifth in a row, were the others not forgotten
		})
	}
}

func TestOpenEndsTheRamp(t *testing.T) {
	l := rampingLane(t, 3)
	l.Open(t0)
	offer(t, l, 10)
	wantStart(t, l, t0, 10, 2, 3)
	if l.Closed() || l.gate.ramp != nil {
		t.Error("after Open the gate is closed, or its ramp still takes memory")
	}
}

func TestBreakerTrippingInTheRampShutsTheLane(t *testing.T) {
	l := rampingLane(t, 100)
	now := time.Second
	for i := 0; ; i++ {
		if _, ok := l.Start(at(now)); !ok {
			t.Fatalf("nothing started at %v", now)
		}
		if l.Done(at(now), Failure) {
			break
		}
		if i > 20 {
			t.Fatal("20 failures in a row over 20 s and no trip")
		}
		now += time.Second
	}
	if now != 11*time.Second { // the first failed at 1 s
		t.Errorf("tripped at %v, want 11s", now)
	}
	wantWake(t, l, at(now), at(now+15*time.Second))
	wantStart(t, l, at(now+15*time.Second), l.peek())
	wantNoStart(t, l, at(now+30*time.Second))
}

// peek returns the first due item.
func (l *Lane[T]) peek() T { return l.waiting.nodes[l.waiting.lists[due].head].item }
