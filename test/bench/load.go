package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// target is what load is driven against: sluice, or the bare relay.
type target interface {
	addr() string
	pid() int
}

// rig is a target between a generator and a receiver.
type rig struct {
	target
	generator *role
	receiver  *role
	types     []string
	conns     int
	postgres  int   // first process of the PostgreSQL server that the target writes to; 0: none, or elsewhere
	next      int64 // number of the next event
	windows   int
	say       func(format string, args ...any)
}

// loadResult is one run at one rate.
type loadResult struct {
	Offered    float64            `json:"offered_per_s"` // 0: as fast as the connections answered
	Seconds    float64            `json:"seconds"`
	Accepted   float64            `json:"accepted_per_s"`
	Delivered  float64            `json:"delivered_per_s"`
	Sent       int64              `json:"sent"`
	Unknown    int64              `json:"unknown"`
	Refused    map[string]int     `json:"refused,omitempty"`
	Missing    int64              `json:"missing"` // accepted and not arrived when the run was over and drained
	Duplicates int64              `json:"duplicates"`
	Signature  int64              `json:"bad_signatures"`
	Ack        quantiles          `json:"ack"`
	EndToEnd   quantiles          `json:"end_to_end"`
	Backlog    []float64          `json:"backlog"` // due and not delivered, each half second
	CPU        map[string]float64 `json:"cpu_us_per_event"`
	Cores      float64            `json:"cores"` // used by all the processes together
	Memory     memory             `json:"memory"`
	Late       float64            `json:"generator_late_ms"`
	Unfit      string             `json:"unfit,omitempty"` // why the rate was not sustained
}

// load is what to run.
type load struct {
	rate          float64
	warm, measure time.Duration
	drain         time.Duration // how long to wait for what was accepted
	endpoints     []int         // that count; none: all
}

const poll = 500 * time.Millisecond

// run offers l.rate for l.warm and l.measure, and measures the latter.
func (r *rig) run(ctx context.Context, l load) (loadResult, error) {
	s := schedule{First: r.next, Rate: l.rate, Conns: r.conns, Types: r.types, Measure: r.next}
	if l.rate > 0 {
		s.N = int64(l.rate * (l.warm + l.measure).Seconds())
		s.Measure += int64(l.rate * l.warm.Seconds())
	} else {
		s.N, s.For = 1<<40, l.measure
	}
	r.windows++
	w := windowArgs{ID: r.windows, From: s.Measure, To: s.First + s.N}
	if err := r.receiver.call("window", w, nil); err != nil {
		return loadResult{}, err
	}
	if err := r.generator.call("start", s, nil); err != nil {
		return loadResult{}, err
	}
	if l.rate > 0 {
		if err := pause(ctx, l.warm); err != nil {
			return loadResult{}, err
		}
	}
	m := &measurement{rig: r, load: l, window: w.ID, result: loadResult{Offered: l.rate, CPU: map[string]float64{}}}
	err := m.run(ctx)
	r.next = s.First + m.sent
	return m.result, err
}

// measurement is a run being watched.
type measurement struct {
	*rig
	load   load
	window int
	sent   int64
	before map[string]time.Duration
	result loadResult
}

func (m *measurement) run(ctx context.Context) error {
	var err error
	if m.before, err = m.cpu(); err != nil {
		return err
	}
	begin := time.Now()
	p, got, err := m.watch(ctx)
	if err != nil {
		return err
	}
	if err := m.account(p, got, time.Since(begin)); err != nil {
		return err
	}
	m.sent = p.Sent
	return m.drain(ctx, p)
}

// watch polls both ends until the generator is done: every half second, and closely once its schedule is over.
func (m *measurement) watch(ctx context.Context) (p progress, got arrivals, err error) {
	over := time.Now().Add(m.load.measure)
	for sampled := time.Now(); !p.Done; {
		if err := pause(ctx, min(poll, max(20*time.Millisecond, time.Until(over)))); err != nil {
			return p, got, err
		}
		if err := m.generator.call("progress", nil, &p); err != nil {
			return p, got, err
		}
		if err := m.receiver.call("stats", statsArgs{Window: m.window, Endpoints: m.load.endpoints}, &got); err != nil {
			return p, got, err
		}
		if now := time.Now(); p.Done || now.Sub(sampled) >= poll {
			sampled = now
			m.result.Backlog = append(m.result.Backlog, float64(p.Waiting+m.accepted(p)-got.Delivered))
		}
	}
	return p, got, nil
}

// account takes down what was reached when the generator was done.
func (m *measurement) account(p progress, got arrivals, elapsed time.Duration) error {
	after, err := m.cpu()
	if err != nil {
		return err
	}
	if m.result.Memory, err = memoryOf(m.pid()); err != nil {
		return err
	}
	res, seconds := &m.result, elapsed.Seconds()
	res.Seconds, res.Sent, res.Unknown, res.Refused = seconds, p.Sent, p.Unknown, p.Refused
	res.Accepted, res.Delivered = float64(m.accepted(p))/seconds, float64(got.Delivered)/seconds
	res.Ack, res.Late = p.Ack, float64(p.Lag.Microseconds())/1000
	for name, cpu := range after {
		used := (cpu - m.before[name]).Seconds()
		res.Cores += used / seconds
		if got.Delivered > 0 {
			res.CPU[name] = used * 1e6 / float64(got.Delivered)
		}
	}
	switch {
	case p.Overloaded:
		res.Unfit = "the schedule could not be kept: two seconds of it waited for a connection"
	case p.OK < p.Sent:
		res.Unfit = fmt.Sprintf("%d of %d events were not accepted", p.Sent-p.OK, p.Sent)
	case res.Delivered < 0.97*m.due():
		res.Unfit = fmt.Sprintf("%.0f/s arrived", res.Delivered)
	default:
		res.Unfit = growing(res.Backlog, poll, m.load.rate)
	}
	return nil
}

// drain waits for what was accepted to arrive.
func (m *measurement) drain(ctx context.Context, p progress) error {
	deadline := time.Now().Add(m.load.drain)
	for {
		var got arrivals
		args := statsArgs{Window: m.window, Endpoints: m.load.endpoints, Quantiles: true}
		if err := m.receiver.call("stats", args, &got); err != nil {
			return err
		}
		m.result.Missing = max(0, m.accepted(p)-got.Delivered)
		m.result.Duplicates, m.result.Signature, m.result.EndToEnd = got.Duplicates, got.BadSignature, got.Latency
		if m.result.Missing == 0 || !time.Now().Before(deadline) {
			return nil
		}
		if err := pause(ctx, poll/5); err != nil {
			return err
		}
	}
}

// accepted returns how many of the events that are measured, and go to the endpoints that count, were accepted.
func (m *measurement) accepted(p progress) (n int64) {
	for kind, ok := range p.Measured {
		if len(m.load.endpoints) == 0 || slices.Contains(m.load.endpoints, kind) {
			n += ok
		}
	}
	return n
}

// due is the rate that is to arrive at the endpoints that count.
func (m *measurement) due() float64 {
	if len(m.load.endpoints) == 0 {
		return m.load.rate
	}
	return m.load.rate * float64(len(m.load.endpoints)) / float64(len(m.types))
}

func (m *measurement) cpu() (map[string]time.Duration, error) {
	used := map[string]time.Duration{}
	if m.postgres != 0 {
		t, err := familyTime(m.postgres)
		if err != nil {
			return nil, err
		}
		used["postgres"] = t
	}
	for name, pid := range map[string]int{"generator": m.generator.cmd.Process.Pid, "receiver": m.receiver.cmd.Process.Pid, "gateway": m.pid()} {
		t, err := cpuTime(pid)
		if err != nil {
			return nil, err
		}
		used[name] = t
	}
	return used, nil
}

// growing says why a backlog, sampled at even steps, is not flat; empty: it is. It is flat when the line fitted through its
// last two thirds rises by less than a hundredth of the rate, and less than half a second of the rate is left at the end.
func growing(backlog []float64, step time.Duration, rate float64) string {
	tail := backlog[len(backlog)/3:]
	if len(tail) == 0 {
		return "it ended before it could be measured"
	}
	if last := slices.Min(tail[max(0, len(tail)-3):]); last > rate/2+1 {
		return fmt.Sprintf("%.0f events waited at the end", last)
	}
	if slope := slopeOf(tail) / step.Seconds(); len(tail) >= 6 && slope > rate/100+1 {
		return fmt.Sprintf("the backlog grew by %.0f events/s", slope)
	}
	return ""
}

// slopeOf returns the slope per step of the least-squares line.
func slopeOf(ys []float64) float64 {
	n := float64(len(ys))
	var sx, sy, sxx, sxy float64
	for i, y := range ys {
		x := float64(i)
		sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	if d := n*sxx - sx*sx; d > 0 {
		return (n*sxy - sx*sy) / d
	}
	return 0
}

// pause waits for d or until ctx ends.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return errors.Join(errors.New("interrupted"), ctx.Err())
	}
}
