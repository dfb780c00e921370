package main

import (
	"math"
	"testing"
	"time"
)

func TestGrowing(t *testing.T) {
	line := func(n int, from, by float64) (ys []float64) {
		for i := range n {
			ys = append(ys, from+by*float64(i))
		}
		return ys
	}
	for name, tc := range map[string]struct {
		backlog []float64
		flat    bool
	}{
		"nothing waits":                       {line(20, 0, 0), true},
		"a little waits all the time":         {line(20, 30, 0), true},
		"it wavers":                           {[]float64{0, 40, 0, 40, 0, 40, 0, 40, 0, 40, 0, 40}, true},
		"it grew at first only":               {append(line(6, 0, 20), line(12, 100, 0)...), true},
		"it grows by a fiftieth of the rate":  {line(40, 0, 10), false},
		"it is flat but seconds of load wait": {line(20, 5000, 0), false},
		"it rises at the very end":            {append(line(20, 0, 0), 600, 900, 1200), false},
		"no sample":                           {nil, false},
	} {
		if got := growing(tc.backlog, 500*time.Millisecond, 1000); (got == "") != tc.flat {
			t.Errorf("%s: got %q, want flat %v", name, got, tc.flat)
		}
	}
}

func TestSlopeOfALineIsItsSlope(t *testing.T) {
	if got := slopeOf([]float64{5, 8, 11, 14}); math.Abs(got-3) > 1e-9 {
		t.Errorf("slope of 5, 8, 11, 14: got %v, want 3", got)
	}
	if got := slopeOf([]float64{7}); got != 0 {
		t.Errorf("slope of one point: got %v, want 0", got)
	}
}
