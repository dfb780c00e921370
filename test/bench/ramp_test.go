package main

import (
	"math"
	"testing"
)

// tenths spreads the counts of seconds over their ticks.
func tenths(seconds ...int) (ticks []uint32) {
	for _, n := range seconds {
		for i := range 10 {
			ticks = append(ticks, uint32((n*(i+1))/10-(n*i)/10))
		}
	}
	return ticks
}

func TestRampAsTheGateMakesItIsAccepted(t *testing.T) {
	// One per second for a start, then twice what the last ten seconds held, event by event.
	var times []float64
	recent := 0 // times[recent:] lie within the last ten seconds
	for now := 0.5; now < 50; {
		times = append(times, now)
		for times[recent] <= now-10 {
			recent++
		}
		now += 1 / math.Max(1, 2*float64(len(times)-recent)/10)
	}
	ticks := make([]uint32, 500)
	for _, at := range times {
		ticks[int(at*10)]++
	}
	if r := analyzeRamp(ticks); r.Violations != 0 || r.Steepest > 2*rampAllowance || r.First != 0.5 {
		t.Errorf("a ramp by the rule: got %v, per second %v", r, r.PerSecond)
	}
}

func TestHerdIsAViolation(t *testing.T) {
	for name, seconds := range map[string][]int{
		"all at once":             {0, 500, 500, 500},
		"a jump after a quiet":    {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 6},
		"tripling when under way": {10, 10, 10, 10, 10, 10, 10, 10, 10, 10, 30},
	} {
		if r := analyzeRamp(tenths(seconds...)); r.Violations == 0 {
			t.Errorf("%s, %v: got no violation, steepest %.2f", name, seconds, r.Steepest)
		}
	}
}

func TestNothingComes(t *testing.T) {
	if r := analyzeRamp(make([]uint32, 50)); r.First >= 0 || r.Violations != 0 || len(r.PerSecond) != 5 {
		t.Errorf("five empty seconds: got %+v", r)
	}
}
