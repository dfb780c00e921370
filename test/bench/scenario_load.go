package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// loadReport is the scenario load: how much, how fast and at what cost, beside the limit of the machine.
type loadReport struct {
	Sluice  figures           `json:"sluice"`
	Limit   figures           `json:"limit"`
	Ratio   float64           `json:"ratio"` // of the two highest rates
	Server  *postgresReport   `json:"server,omitempty"`
	Profile []packageCPU      `json:"profile,omitempty"`
	Checks  map[string]string `json:"checks"`
}

// figures are what one target was measured at.
type figures struct {
	Capacity capacity   `json:"capacity"`
	Calm     loadResult `json:"at_500"` // events per second
	Half     loadResult `json:"at_half"`
}

// load measures sluice and then the bare relay in the same way, on what is embedded.
func (b *bench) load(ctx context.Context) (*loadReport, error) {
	rep, err := b.compare(ctx, "load", nil)
	if err != nil {
		return nil, err
	}
	rep.check()
	return rep, nil
}

// compare measures both. With a PostgreSQL server each has a database of its own there: Sluice as its store, the relay for
// the rows that a delivery needs at the least.
func (b *bench) compare(ctx context.Context, name string, server *postgres) (*loadReport, error) {
	rep := &loadReport{Checks: map[string]string{}}
	b.say("%s: sluice", name)
	err := server.with(ctx, func(db *database) error {
		stage, err := b.setStage(ctx, name, db, b.events, 0)
		if err != nil {
			return err
		}
		if rep.Sluice, err = b.measure(ctx, &stage.rig); err == nil && b.profile {
			rep.Profile, err = b.profileUnder(ctx, stage, rep.Sluice.Capacity.Max.Offered)
		}
		return errors.Join(err, stage.strike())
	})
	if err != nil {
		return nil, err
	}

	b.say("%s: the limit, a bare relay", name)
	err = server.with(ctx, func(db *database) error {
		return b.withRelay(ctx, db, func(r *rig) (err error) {
			rep.Limit, err = b.measure(ctx, r)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	rep.Ratio = rep.Sluice.Capacity.Max.Delivered / rep.Limit.Capacity.Max.Delivered
	return rep, nil
}

func (b *bench) measure(ctx context.Context, r *rig) (f figures, err error) {
	if f.Capacity, err = r.findMax(ctx, b.seconds(10, 5), b.seconds(60, 10)); err != nil {
		return f, err
	}
	at := func(rate float64) (loadResult, error) {
		return r.run(ctx, load{rate: rate, warm: 2 * time.Second, measure: b.seconds(30, 10), drain: 30 * time.Second})
	}
	if f.Calm, err = at(500); err != nil {
		return f, err
	}
	r.say("  500/s: %s", verdict(f.Calm))
	half := f.Capacity.Max.Offered / 2
	f.Half, err = at(half)
	r.say("  %.0f/s, half of it: %s", half, verdict(f.Half))
	return f, err
}

// withRelay sets up the bare relay with a generator before it and a receiver behind it, and stops them after f. The relay
// keeps its history in db, or none when that is nil.
func (b *bench) withRelay(ctx context.Context, db *database, f func(*rig) error) (err error) {
	receiver, addrs, err := b.startReceiver(ctx, 1, b.events)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, receiver.stop()) }()
	var env []string
	pid := 0
	if db != nil {
		env, pid = []string{relayDatabase + "=" + db.url}, db.pid
	}
	relay, err := startRoleIn(ctx, env, "relay", "-to", addrs[0], "-file", filepath.Join(b.work, "journal"), "-secret", b.secret, "-signing", b.signing)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, relay.stop()) }()
	t := relayTarget{role: relay}
	if err := relay.call("addr", nil, &t.address); err != nil {
		return err
	}
	generator, err := b.startGenerator(ctx, t.address)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, generator.stop()) }()
	return f(&rig{
		target: t, generator: generator, receiver: receiver, postgres: pid, types: []string{typeOf(0)}, conns: b.conns, say: b.say,
	})
}

type relayTarget struct {
	role    *role
	address string
}

func (t relayTarget) addr() string { return t.address }
func (t relayTarget) pid() int     { return t.role.cmd.Process.Pid }

// check holds the figures against what Sluice promises on two cores.
func (r *loadReport) check() {
	s := r.Sluice
	calm, top := s.Calm.EndToEnd, s.Capacity.Max
	expect(r.Checks, "at least 6,000 events/s", top.Delivered >= 6000, "%.0f", top.Delivered)
	expect(r.Checks, "p50 at 500/s at most 5 ms", calm.P50 <= 5, "%.2f ms", calm.P50)
	expect(r.Checks, "p99 at 500/s at most 25 ms", calm.P99 <= 25, "%.2f ms", calm.P99)
	expect(r.Checks, "at most 200 MiB", top.Memory.Peak <= 200, "%.0f MiB", top.Memory.Peak)
	r.checkWhole()
}

func (r *loadReport) checkWhole() {
	top, calm, half := r.Sluice.Capacity.Max, r.Sluice.Calm, r.Sluice.Half
	wrong := top.Duplicates + top.Missing + top.Signature + calm.Duplicates + calm.Missing + half.Duplicates + half.Missing
	expect(r.Checks, "nothing missing, twice or wrongly signed", wrong == 0, "%d", wrong)
}

// expect notes whether something promised was reached, and what was measured.
func expect(checks map[string]string, what string, ok bool, format string, args ...any) {
	word := "ok"
	if !ok {
		word = "MISSED"
	}
	checks[what] = word + ": " + fmt.Sprintf(format, args...)
}
