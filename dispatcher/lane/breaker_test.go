package lane

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// result is one result told to a breaker.
type result struct {
	after time.Duration // the one before
	ok    bool
}

func times(n int, after time.Duration, ok bool) []result {
	rs := make([]result, n)
	for i := range rs {
		rs[i] = result{after, ok}
	}
	return rs
}

func sequence(parts ...[]result) (all []result) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// trips tells a breaker results, in a bubble because it reads the clock, and returns those that tripped it.
func trips(t *testing.T, rs []result) (tripped []int) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		var b breaker
		for i, r := range rs {
			time.Sleep(r.after)
			if r.ok {
				b.succeed()
			} else if b.fail(time.Now()) {
				tripped = append(tripped, i)
			}
		}
	})
	return tripped
}

func TestBreaker(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name    string
		results []result
		want    int // which result trips it; -1: none
	}{
		{"five failures in a row over ten seconds trip", times(5, 2500*time.Millisecond, false), 4},
		{"five failures at once are one event", times(5, 0, false), -1},
		{"the first failure ten seconds later trips then", sequence(times(6, 0, false), times(1, 10*s, false)), 6},
		{"four failures over an hour do not", times(4, 20*time.Minute, false), -1},
		{"five failures far apart do: the streak has no window", times(5, 20*time.Minute, false), 4},
		{"a success ends the streak", sequence(times(4, 5*s, false), times(1, s, true), times(4, 5*s, false)), -1},
		{"twenty failures at once trip", times(20, 0, false), 19},
		{"nineteen do not", times(19, 0, false), -1},
		{"half of twenty trip", sequence(times(10, 0, true), times(10, 0, false)), 19},
		{"less than half does not", sequence(times(11, 0, true), times(10, 0, false)), -1},
		{"a success alone never trips", sequence(times(15, 0, false), times(5, 0, true)), -1},
		{"successes of more than a minute ago do not count", sequence(times(1000, 0, true), times(1, 70*s, true), times(20, 0, false)), 1019},
		{"successes of the last minute do", sequence(times(1000, 0, true), times(1, 40*s, true), times(20, 0, false)), -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := trips(t, tt.results)
			if tt.want < 0 && len(got) > 0 || tt.want >= 0 && (len(got) == 0 || got[0] != tt.want) {
				t.Errorf("tripped at %v, want %d first (-1: never)", got, tt.want)
			}
		})
	}
}

func TestBreakerIsFreshAfterATrip(t *testing.T) {
	got := trips(t, times(60, 0, false))
	if len(got) != 3 || got[0] != 19 || got[1] != 39 || got[2] != 59 {
		t.Errorf("sixty failures tripped at %v, want at every twentieth", got)
	}
}

// expected returns which results trip a breaker, counted in the plainest way.
func expected(rs []result) (tripped []int) {
	type counted struct {
		bucket int
		ok     bool
	}
	var now, began, since time.Duration
	var window []counted
	streak := 0
	for i, r := range rs {
		now += r.after
		if len(window) == 0 {
			began = now
		}
		bucket := int((now - began) / windowBucket)
		window = append(window, counted{bucket, r.ok})
		if r.ok {
			streak = 0
			continue
		}
		if streak++; streak == 1 {
			since = now
		}
		all, failed := 0, 0
		for _, c := range window {
			if c.bucket > bucket-6 {
				all++
				if !c.ok {
					failed++
				}
			}
		}
		if all >= 20 && failed*2 >= all || streak >= 5 && now-since >= 10*time.Second {
			tripped = append(tripped, i)
			window, streak = nil, 0
		}
	}
	return tripped
}

func TestBreakerModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		failing := rapid.IntRange(1, 9).Draw(rt, "failing of ten")
		longest := rapid.SampledFrom([]time.Duration{time.Millisecond, time.Second, 4 * time.Second, 30 * time.Second}).Draw(rt, "longest pause")
		rs := make([]result, rapid.IntRange(1, 150).Draw(rt, "results"))
		for i := range rs {
			rs[i] = result{
				after: time.Duration(rapid.Int64Range(0, int64(longest)).Draw(rt, "after")),
				ok:    rapid.IntRange(0, 9).Draw(rt, "roll") >= failing,
			}
		}
		got, want := trips(t, rs), expected(rs)
		if len(got) != len(want) {
			rt.Fatalf("tripped at %v, want %v", got, want)
		}
		for i := range got {
			if got[i] != want[i] {
				rt.Fatalf("tripped at %v, want %v", got, want)
			}
		}
	})
}
