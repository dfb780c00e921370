package lane

import (
	"testing"
	"time"
)

func TestIdle(t *testing.T) {
	tests := []struct {
		name string
		do   func(l *Lane[int])
		want bool
	}{
		{"a new lane is", func(*Lane[int]) {}, true},
		{"not while something waits", func(l *Lane[int]) { l.Offer(1, 1) }, false},
		{"not while something runs", func(l *Lane[int]) { l.Offer(1, 1); l.Start(t0) }, false},
		{"not with a closed gate", func(l *Lane[int]) { l.Close(t0) }, false},
		{"not with a closed gate, however long", func(l *Lane[int]) { l.Close(t0); l.Age(at(time.Hour)) }, false},
		{"not with a result to remember", func(l *Lane[int]) { l.Offer(1, 1); l.Start(t0); l.Done(t0, Success) }, false},
		{"nor with a limit that was cut", func(l *Lane[int]) { l.Offer(1, 1); l.Start(t0); l.Done(t0, Throttle) }, false},
		{"but ten minutes later", func(l *Lane[int]) { l.Offer(1, 1); l.Start(t0); l.Done(t0, Failure); l.Age(at(10 * time.Minute)) }, true},
		{"not sooner", func(l *Lane[int]) { l.Offer(1, 1); l.Start(t0); l.Done(t0, Failure); l.Age(at(10*time.Minute - 1)) }, false},
		{"not with a rate limit, whose tokens a new lane would not have", func(l *Lane[int]) {
			l.Configure(Settings{PerSecond: 1}, t0)
			l.Age(at(time.Hour))
		}, false},
		{"again once its gate has opened", func(l *Lane[int]) { l.Close(t0); l.Open(t0) }, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := New[int](Settings{}, t0)
			tt.do(l)
			if got := l.Idle(); got != tt.want {
				t.Errorf("Idle() = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestAgeForgetsNothingWhileAnAttemptRuns(t *testing.T) {
	l := New[int](Settings{}, t0)
	offer(t, l, 1, 2)
	wantStart(t, l, t0, 1, 2)
	done(t, l, t0, Failure, false)
	l.Age(at(time.Hour))
	if l.Limit() != 2 {
		t.Errorf("limit %d, want 2 still", l.Limit())
	}
}
