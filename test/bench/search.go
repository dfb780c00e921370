package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

// capacity is the highest rate a target sustains with a flat backlog.
type capacity struct {
	Max   loadResult   `json:"max"`   // over the whole window
	Steps []loadResult `json:"steps"` // that led there
}

// findMax searches for it: a flood tells the region, steps of a fifth up or down bracket it, and halving narrows it to a
// twelfth. The last rate sustained is confirmed over the whole window, less a tenth each time it is not.
func (r *rig) findMax(ctx context.Context, step, window time.Duration) (capacity, error) {
	var c capacity
	try := func(rate float64, warm, measure time.Duration) (loadResult, error) {
		res, err := r.run(ctx, load{rate: rate, warm: warm, measure: measure, drain: 2 * time.Minute})
		if err == nil && res.Missing > 0 {
			err = fmt.Errorf("at %.0f/s %d accepted events had not arrived two minutes later", rate, res.Missing)
		}
		return res, err
	}
	flood, err := try(0, 0, step)
	if err != nil {
		return c, err
	}
	r.say("  flood: %.0f/s accepted, %.0f/s delivered", flood.Accepted, flood.Delivered)
	c.Steps = append(c.Steps, flood)
	if flood.Delivered < 10 {
		return c, fmt.Errorf("%.0f events/s arrive under a flood, refused: %v", flood.Delivered, flood.Refused)
	}

	rate, best, tooMuch := 0.9*flood.Delivered, 0.0, 0.0
	for range 9 {
		res, err := try(rate, step/5, step)
		if err != nil {
			return c, err
		}
		c.Steps = append(c.Steps, res)
		r.say("  %.0f/s: %s", rate, verdict(res))
		if res.Unfit == "" {
			best = rate
		} else {
			tooMuch = rate
		}
		switch {
		case tooMuch == 0:
			rate *= 1.2
		case best == 0:
			rate /= 1.2
		default:
			rate = math.Sqrt(best * tooMuch)
		}
		if best > 0 && tooMuch > 0 && tooMuch/best < 1.08 {
			break
		}
	}
	if best == 0 {
		return c, errors.New("no rate near the flood's was sustained")
	}
	for range 6 {
		if c.Max, err = try(best, step/5, window); err != nil {
			return c, err
		}
		r.say("  %.0f/s over %v: %s", best, window, verdict(c.Max))
		if c.Max.Unfit == "" {
			return c, nil
		}
		best *= 0.9
	}
	return c, errors.New("no rate near the best step's was sustained over the whole window")
}

func verdict(res loadResult) string {
	if res.Unfit != "" {
		return res.Unfit
	}
	return fmt.Sprintf("sustained, p50 %.1f ms, p99 %.1f ms", res.EndToEnd.P50, res.EndToEnd.P99)
}
