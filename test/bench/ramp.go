package main

import (
	"fmt"
	"time"
)

// ramp is how an endpoint that recovered was sent what had been waiting.
type ramp struct {
	PerSecond    []int   `json:"per_second"` // requests in each second since it recovered
	First        float64 `json:"first_s"`    // when the first came, in seconds; negative: none did
	Steepest     float64 `json:"steepest"`   // highest ratio of a second to the mean of the ten before
	SteepestAt   int     `json:"steepest_at_s"`
	Violations   int     `json:"violations"` // seconds above the allowance
	PeakInFlight int64   `json:"peak_in_flight"`
}

// rampAllowance is the slack over "twice the rate of the ten seconds before": a second is measured whole, and what is
// sent early in it has raised the allowance for what is sent late in it by then.
const rampAllowance = 1.1

// analyzeRamp takes arrivals by tick. A second may hold twice the mean of the ten before it, or of one per second, from which
// the ramp starts; and one request more, since the edges of measured seconds are not the sender's.
func analyzeRamp(ticks []uint32) ramp {
	perSecond := int(time.Second / tick)
	r := ramp{First: -1}
	for i := range len(ticks) / perSecond {
		n := 0
		for j, t := range ticks[i*perSecond : (i+1)*perSecond] {
			if n += int(t); t > 0 && r.First < 0 {
				r.First = float64(i) + float64(j)/float64(perSecond)
			}
		}
		r.PerSecond = append(r.PerSecond, n)
	}
	for i, n := range r.PerSecond {
		before := max(1, mean(r.PerSecond[max(0, i-10):i]))
		ratio := float64(n-1) / before
		if ratio > r.Steepest {
			r.Steepest, r.SteepestAt = ratio, i
		}
		if ratio > 2*rampAllowance {
			r.Violations++
		}
	}
	return r
}

// mean returns the mean per second over ten seconds, those before the trace began counting as empty.
func mean(seconds []int) float64 {
	sum := 0
	for _, n := range seconds {
		sum += n
	}
	return float64(sum) / 10
}

func (r ramp) String() string {
	return fmt.Sprintf("first after %.1f s, steepest %.2f times at %d s, peak in flight %d", r.First, r.Steepest, r.SteepestAt, r.PeakInFlight)
}
