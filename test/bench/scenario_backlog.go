package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// backlogReport is the scenario backlog: what a great many events waiting for a dead endpoint cost everybody else, and how
// they leave when it recovers.
type backlogReport struct {
	Events       int64             `json:"events"`
	QueuedPerSec float64           `json:"queued_per_s"` // accepted while the endpoint was dead
	Before       loadResult        `json:"before"`       // the other endpoint at 500/s, nothing waiting
	With         loadResult        `json:"with"`         // the same with the backlog
	During       memory            `json:"during"`       // while it was built up
	Restarted    memory            `json:"restarted"`    // of the process that started with it
	Startup      float64           `json:"startup_s"`
	Recovery     ramp              `json:"recovery"`
	Draining     loadResult        `json:"draining"`   // the other endpoint at 500/s while it drains
	DrainRate    float64           `json:"drain_rate"` // in the last ten seconds watched
	Delivered    int64             `json:"delivered"`  // of the backlog, when watching ended
	Drained      bool              `json:"drained"`
	Checks       map[string]string `json:"checks"`
}

const (
	live = 0
	dead = 1
)

// backlog queues n events for a dead endpoint, restarts sluice with them, and lets the endpoint recover.
func (b *bench) backlog(ctx context.Context, n int64) (_ *backlogReport, err error) {
	rep := &backlogReport{Events: n, Checks: map[string]string{}}
	b.say("backlog: %d events for a dead endpoint", n)
	s, err := b.setStage(ctx, "backlog", nil, n+b.events, 0, b.inCap)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.strike()) }()
	if err := s.behave(dead, behaveRefuse, 0); err != nil {
		return nil, err
	}

	calm := func(what string) (loadResult, error) {
		s.types = []string{typeOf(live)}
		res, err := s.run(ctx, load{rate: 500, warm: 2 * time.Second, measure: b.seconds(30, 10), drain: 30 * time.Second, endpoints: []int{live}})
		b.say("  the other endpoint at 500/s, %s: %s", what, verdict(res))
		return res, err
	}
	if rep.Before, err = calm("before"); err != nil {
		return nil, err
	}
	if rep.QueuedPerSec, err = b.pileUp(ctx, s, n); err != nil {
		return nil, err
	}
	if rep.During, err = memoryOf(s.pid()); err != nil {
		return nil, err
	}
	if err := errors.Join(s.gateway.stop(), s.gateway.start(ctx)); err != nil {
		return nil, err
	}
	rep.Startup = s.gateway.startup.Seconds()
	b.say("  queued at %.0f/s, peak %.0f MiB; started again in %.2f s", rep.QueuedPerSec, rep.During.Peak, rep.Startup)
	if rep.With, err = calm("with the backlog"); err != nil {
		return nil, err
	}

	recovered := time.Now()
	if err := s.behave(dead, behaveOK, 2*time.Millisecond); err != nil {
		return nil, err
	}
	if err := b.awaitProbe(ctx, s); err != nil {
		return nil, err
	}
	if rep.Draining, err = calm("while the backlog drains"); err != nil {
		return nil, err
	}
	if err := b.watchDrain(ctx, s, rep, recovered); err != nil {
		return nil, err
	}
	rep.check(b.inCap)
	return rep, nil
}

func (s *stage) behave(endpoint int, mode string, delay time.Duration) error {
	return s.receiver.call("behave", behavior{Endpoint: endpoint, Mode: mode, Delay: delay}, nil)
}

// backlogWindow is the window of the events that wait; no run of a rig takes its number.
const backlogWindow = 1 << 20

// pileUp posts n events for the dead endpoint as fast as they are taken, and returns the rate.
func (b *bench) pileUp(ctx context.Context, s *stage, n int64) (float64, error) {
	if err := s.receiver.call("window", windowArgs{ID: backlogWindow, From: s.next, To: s.next + n}, nil); err != nil {
		return 0, err
	}
	sch := schedule{First: s.next, N: n, Conns: b.conns, Types: []string{typeOf(dead)}, Measure: s.next}
	s.next += n
	if err := s.generator.call("start", sch, nil); err != nil {
		return 0, err
	}
	for said := time.Now(); ; {
		var p progress
		if err := errors.Join(pause(ctx, poll), s.generator.call("progress", nil, &p)); err != nil {
			return 0, err
		}
		if time.Since(said) > 15*time.Second {
			said = time.Now()
			b.say("  %d of %d accepted", p.OK, n)
		}
		if p.Done {
			if p.OK < n {
				return 0, fmt.Errorf("%d of %d events were accepted: %v", p.OK, n, p.Refused)
			}
			return float64(n) / p.Elapsed.Seconds(), nil
		}
	}
}

// awaitProbe waits until the recovered endpoint is noticed: as long as the longest pause between probes, and a little.
func (b *bench) awaitProbe(ctx context.Context, s *stage) error {
	for deadline := time.Now().Add(7 * time.Minute); ; {
		var got arrivals
		args := statsArgs{Window: backlogWindow, Endpoints: []int{dead}}
		if err := errors.Join(pause(ctx, poll), s.receiver.call("stats", args, &got)); err != nil {
			return err
		}
		if got.Delivered > 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.New("the endpoint recovered, and nothing was sent to it for seven minutes")
		}
	}
}

// watchDrain follows the recovered endpoint until nothing waits, at most five minutes.
func (b *bench) watchDrain(ctx context.Context, s *stage, rep *backlogReport, recovered time.Time) error {
	deadline := time.Now().Add(b.seconds(300, 60))
	for said := time.Now(); ; {
		var got arrivals
		args := statsArgs{Window: backlogWindow, Endpoints: []int{dead}}
		if err := errors.Join(pause(ctx, poll), s.receiver.call("stats", args, &got)); err != nil {
			return err
		}
		rep.Delivered, rep.Drained = got.Delivered, got.Delivered >= rep.Events
		if time.Since(said) > 15*time.Second {
			said = time.Now()
			b.say("  %d of %d drained", got.Delivered, rep.Events)
		}
		if rep.Drained || time.Now().After(deadline) {
			rep.Recovery.PeakInFlight = got.PeakInFlight
			break
		}
	}
	var ticks []uint32
	if err := s.receiver.call("trace", traceArgs{Endpoint: dead, From: recovered.UnixNano()}, &ticks); err != nil {
		return err
	}
	peak := rep.Recovery.PeakInFlight
	rep.Recovery = analyzeRamp(ticks)
	rep.Recovery.PeakInFlight = peak
	last := rep.Recovery.PerSecond
	rep.DrainRate = mean(last[max(0, len(last)-10):])
	var err error
	rep.Restarted, err = memoryOf(s.pid())
	b.say("  recovery: %v", rep.Recovery)
	return err
}

func (r *backlogReport) check(inCap int) {
	peak := max(r.During.Peak, r.Restarted.Peak)
	expect(r.Checks, "at most 300 MiB", peak <= 300, "%.0f MiB", peak)
	expect(r.Checks, "ready within 2 s", r.Startup <= 2, "%.2f s", r.Startup)
	expect(r.Checks, "others' p99 unchanged (1.25 times or 5 ms)", r.With.EndToEnd.P99 <= max(1.25*r.Before.EndToEnd.P99, r.Before.EndToEnd.P99+5),
		"%.2f ms before, %.2f ms with it, %.2f ms while it drains", r.Before.EndToEnd.P99, r.With.EndToEnd.P99, r.Draining.EndToEnd.P99)
	expect(r.Checks, fmt.Sprintf("never above max_in_flight %d", inCap), r.Recovery.PeakInFlight <= int64(inCap), "%d", r.Recovery.PeakInFlight)
	expect(r.Checks, "never above twice the ten seconds before", r.Recovery.Violations == 0 && r.Recovery.First >= 0,
		"steepest %.2f times, %d s above", r.Recovery.Steepest, r.Recovery.Violations)
}
