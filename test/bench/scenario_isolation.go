package main

import (
	"context"
	"errors"
	"time"
)

// isolationReport is the scenario isolation: what nine endpoints get while the tenth hangs, beside what they get while all
// ten are healthy.
type isolationReport struct {
	Capacity float64           `json:"capacity_per_s"` // with ten healthy endpoints
	Healthy  loadResult        `json:"healthy"`        // of the nine, while the tenth is healthy too
	Hanging  loadResult        `json:"hanging"`        // of the nine, while the tenth hangs
	Ratio    float64           `json:"throughput_ratio"`
	P99Ratio float64           `json:"p99_ratio"`
	Checks   map[string]string `json:"checks"`
}

// isolation offers 70 % of capacity, evenly to ten endpoints. The figures of each run are those of the first nine.
func (b *bench) isolation(ctx context.Context) (_ *isolationReport, err error) {
	const endpoints, sick = 10, 9
	rep := &isolationReport{Checks: map[string]string{}}
	b.say("isolation: capacity with ten endpoints")
	s, err := b.setStage(ctx, "isolation", nil, b.events, make([]int, endpoints)...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.strike()) }()
	c, err := s.findMax(ctx, b.seconds(10, 5), b.seconds(20, 10))
	if err != nil {
		return nil, err
	}
	rep.Capacity = c.Max.Delivered

	nine := make([]int, 0, sick)
	for i := range sick {
		nine = append(nine, i)
	}
	offer := load{rate: 0.7 * rep.Capacity, warm: 5 * time.Second, measure: b.seconds(60, 10), drain: 30 * time.Second, endpoints: nine}
	if rep.Healthy, err = s.run(ctx, offer); err != nil {
		return nil, err
	}
	b.say("  ten healthy: %.0f/s to the nine, p99 %.1f ms", rep.Healthy.Delivered, rep.Healthy.EndToEnd.P99)
	if err := s.receiver.call("behave", behavior{Endpoint: sick, Mode: behaveHang}, nil); err != nil {
		return nil, err
	}
	if rep.Hanging, err = s.run(ctx, offer); err != nil {
		return nil, err
	}
	b.say("  one hangs: %.0f/s to the nine, p99 %.1f ms", rep.Hanging.Delivered, rep.Hanging.EndToEnd.P99)

	rep.Ratio = rep.Hanging.Delivered / rep.Healthy.Delivered
	rep.P99Ratio = rep.Hanging.EndToEnd.P99 / rep.Healthy.EndToEnd.P99
	expect(rep.Checks, "the nine keep 95 % of their throughput", rep.Ratio >= 0.95, "%.1f %%", 100*rep.Ratio)
	expect(rep.Checks, "their p99 within 1.25 times", rep.P99Ratio <= 1.25, "%.2f times", rep.P99Ratio)
	expect(rep.Checks, "every event was accepted", len(rep.Hanging.Refused) == 0, "refused: %v", rep.Hanging.Refused)
	return rep, nil
}
