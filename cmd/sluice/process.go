package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/sluicehq/sluice/broker"
	brokersqlite "github.com/sluicehq/sluice/broker/sqlite"
	"github.com/sluicehq/sluice/dispatcher"
	"github.com/sluicehq/sluice/egress"
	"github.com/sluicehq/sluice/ingress"
	"github.com/sluicehq/sluice/pkg/config"
	"github.com/sluicehq/sluice/pkg/control"
	"github.com/sluicehq/sluice/pkg/dialguard"
	"github.com/sluicehq/sluice/pkg/ops"
	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/pkg/wait"
	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/snapshot"
)

// roles are the parts a process runs.
type roles struct{ ingress, egress, control bool }

// process is what the roles of one process share. Closing it undoes opening it, in reverse.
type process struct {
	cfg       *config.Config
	roles     roles
	log       *zap.Logger
	metrics   *prometheus.Registry
	tracer    trace.Tracer
	bodies    *semaphore.Weighted
	sealer    *store.Sealer
	store     store.Store
	checks    []ops.Check // of the store, for readiness
	unapplied bool        // the store was down when the configuration file was to be applied
	broker    broker.Broker
	snapshot  *snapshot.Watcher
	guard     *dialguard.Guard

	ingressOn, controlOn, opsOn net.Listener
	undo                        []func(context.Context) error
}

const (
	closeTimeout = 15 * time.Second
	// memoryBeside is what a process needs beside the bodies it holds, before the garbage collector works harder.
	memoryBeside = 192 << 20
	applyRetry   = 2 * time.Second
)

// open opens everything the roles need. On an error what was opened is closed.
func open(ctx context.Context, cfg *config.Config, rs roles, log *zap.Logger) (p *process, err error) {
	p = &process{cfg: cfg, roles: rs, log: log, metrics: prometheus.NewRegistry(), bodies: semaphore.NewWeighted(int64(cfg.Egress.Bodies))}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.close(context.WithoutCancel(ctx)))
		}
	}()
	telemetry.BuildInfo(p.metrics, version)
	debug.SetMemoryLimit(int64(cfg.Egress.Bodies) + memoryBeside)
	for _, step := range []func(context.Context) error{
		p.openDataDir, p.openListeners, p.openTracer, p.openStore, p.openSnapshot, p.openBroker, p.openGuard,
	} {
		if err := step(ctx); err != nil {
			return p, err
		}
	}
	return p, nil
}

// close releases what open opened.
func (p *process) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout)
	defer cancel()
	var errs []error
	for i := len(p.undo) - 1; i >= 0; i-- {
		errs = append(errs, p.undo[i](ctx))
	}
	p.undo = nil
	return errors.Join(errs...)
}

func (p *process) onClose(f func(context.Context) error) { p.undo = append(p.undo, f) }

func (p *process) openDataDir(context.Context) error {
	unlock, err := openDataDir(p.cfg.DataDir)
	if err != nil {
		return err
	}
	p.onClose(func(context.Context) error { unlock(); return nil })
	return nil
}

// openListeners takes the ports before anything else is started, so that a port in use is told at once.
func (p *process) openListeners(context.Context) error {
	for _, l := range []struct {
		on      bool
		setting string
		addr    string
		to      *net.Listener
	}{
		{p.roles.ingress, "ingress.listen", p.cfg.Ingress.Listen, &p.ingressOn},
		{p.roles.control, "control.listen", p.cfg.Control.Listen, &p.controlOn},
		{true, "ops.listen", p.cfg.Ops.Listen, &p.opsOn},
	} {
		if !l.on {
			continue
		}
		ln, err := net.Listen("tcp", l.addr)
		if err != nil {
			return portTaken(l.setting, err, fmt.Sprintf("set %s, or SLUICE_%s, to another HOST:PORT", l.setting,
				strings.ToUpper(strings.ReplaceAll(l.setting, ".", "_"))))
		}
		*l.to = ln
		p.onClose(func(context.Context) error {
			if err := ln.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
				return err
			}
			return nil
		})
	}
	return nil
}

func (p *process) openTracer(ctx context.Context) error {
	tracer, shutdown, err := telemetry.NewTracer(ctx, telemetry.TraceConfig{
		Endpoint: p.cfg.Telemetry.OTLPEndpoint, Sample: p.cfg.Telemetry.TraceSample, Service: "sluice", Version: version,
	}, p.log)
	if err != nil {
		return err
	}
	p.tracer = tracer
	p.onClose(shutdown)
	return nil
}

func (p *process) openStore(ctx context.Context) error {
	db, err := databaseOf(p.cfg)
	if err != nil {
		return err
	}
	if p.sealer, err = db.sealer(true); err != nil {
		return err
	}
	st, checks, err := db.open(ctx, p.sealer, p.log, p.metrics)
	if err != nil {
		return err
	}
	p.store, p.checks = st, checks
	p.onClose(func(context.Context) error { return st.Close() })
	return nil
}

// openSnapshot applies what the file manages and loads the configuration.
func (p *process) openSnapshot(ctx context.Context) error {
	if err := p.applyFile(ctx); err != nil {
		return err
	}
	p.snapshot = snapshot.New(snapshot.Config{Dir: p.cfg.DataDir}, p.store, p.sealer, p.log, p.metrics)
	return p.snapshot.Load(ctx)
}

// applyFile does what `sluice apply` does. A file that names no resources at all manages none: they may be in one that is
// applied by itself.
func (p *process) applyFile(ctx context.Context) error {
	r := &p.cfg.Resources
	if p.cfg.Sources == nil && p.cfg.Endpoints == nil && len(r.Sources)+len(r.Endpoints) == 0 {
		return nil
	}
	applied, err := p.store.ApplyFile(ctx, p.cfg.Resources.Sources, p.cfg.Resources.Endpoints)
	switch {
	case errors.Is(err, store.ErrUnavailable) && !p.unapplied:
		p.log.Warn("sources and endpoints of the configuration file are applied when the store is back", zap.Error(err))
		p.unapplied = true
		return nil
	case err != nil:
		return fmt.Errorf("apply sources and endpoints of the configuration file: %w", err)
	}
	for _, name := range applied.Released {
		p.log.Warn("the configuration file names it no longer, the API manages it now", zap.String("resource", name))
	}
	return nil
}

// applyLater applies the file when the store is back.
func (p *process) applyLater(ctx context.Context) error {
	for p.unapplied && wait.For(ctx, applyRetry) {
		err := p.applyFile(ctx)
		switch {
		case err == nil:
			p.unapplied = false
		case !errors.Is(err, store.ErrUnavailable):
			p.log.Error("the configuration file could not be applied, it is tried again", zap.Error(err))
		}
	}
	return nil
}

// openBroker is the one place that knows the brokers there are.
func (p *process) openBroker(ctx context.Context) error {
	cfg, err := brokersqlite.Parse(p.cfg.Broker.URL, p.cfg.DataDir)
	if err != nil {
		return err
	}
	cfg.Bodies, cfg.Drain = p.bodies, time.Duration(p.cfg.Egress.Drain)
	b, err := brokersqlite.Open(ctx, cfg, p.log, p.metrics)
	if err != nil {
		return err
	}
	p.broker = b
	p.onClose(b.Close)
	return nil
}

func (p *process) openGuard(context.Context) error {
	var own []netip.AddrPort
	for _, ln := range []net.Listener{p.ingressOn, p.controlOn, p.opsOn} {
		if ln != nil {
			own = append(own, ln.Addr().(*net.TCPAddr).AddrPort())
		}
	}
	guard, err := dialguard.New(p.cfg.ForDialGuard(), own...)
	p.guard = guard
	return err
}

// run runs the roles until ctx ends or one of them fails. Readiness is told before and during, by the ops listener,
// which outlives the roles.
func (p *process) run(ctx context.Context) error {
	beside, endBeside := context.WithCancel(context.WithoutCancel(ctx))
	defer endBeside()
	o := p.newOps()
	defer context.AfterFunc(ctx, o.Drain)()
	parts := errgroup.Group{}
	parts.Go(func() error { return p.snapshot.Run(beside) })
	parts.Go(func() error { return p.applyLater(beside) })
	parts.Go(func() error { return o.Run(beside, p.opsOn) })

	work, ctx := errgroup.WithContext(ctx)
	for _, role := range []struct {
		on  bool
		new func() (func(context.Context) error, error)
	}{
		{p.roles.ingress, p.newIngress}, {p.roles.egress, p.newEgress}, {p.roles.control, p.newControl},
	} {
		if !role.on {
			continue
		}
		run, err := role.new()
		if err != nil {
			endBeside()
			return errors.Join(err, parts.Wait())
		}
		work.Go(func() error { return run(ctx) })
	}
	err := work.Wait()
	endBeside()
	return errors.Join(err, parts.Wait())
}

func (p *process) newOps() *ops.Server {
	stored := append([]ops.Check{{Name: "store", Check: func(ctx context.Context) error {
		_, err := p.store.Changes(ctx, p.snapshot.Current().Version)
		return err
	}}}, p.checks...)
	for i := range stored {
		stored[i].Partial = p.roles.ingress // which goes on without
	}
	return ops.New(ops.Options{
		Checks: append(stored, ops.Check{Name: "broker", Check: func(ctx context.Context) error {
			problems, _ := sortProblems(p.broker.Check(ctx))
			return errors.Join(problems...)
		}}),
		Registry: p.metrics, Log: p.log,
	})
}

func (p *process) newIngress() (func(context.Context) error, error) {
	s, err := ingress.New(p.cfg.ForIngress(), ingress.Deps{
		Publisher: p.broker.Publisher(), MaxMessage: p.broker.Caps().MaxMessage, Topic: p.cfg.Broker.Topic,
		Snapshot: func() ingress.Snapshot { return p.snapshot.Current() },
		Bodies:   p.bodies, Anonymous: p.cfg.Control.Auth == control.AuthNone, Listener: p.ingressOn,
		Log: p.log, Registerer: p.metrics, Tracer: p.tracer,
	})
	if err != nil {
		return nil, err
	}
	return s.Run, nil
}

func (p *process) newEgress() (func(context.Context) error, error) {
	cfg := p.cfg.ForEgress()
	cfg.Version = version
	sender := egress.New(cfg, p.guard, p.log, p.metrics, p.tracer)
	d := dispatcher.New(p.cfg.ForDispatcher(), dispatcher.Deps{
		Node: rand.Text(), Consumer: p.broker.Consumer(p.cfg.Broker.Topic, p.cfg.Broker.Group), Store: p.store, Sender: sender,
		Configuration: watched{p.snapshot}, Bodies: p.bodies, Log: p.log, Metrics: p.metrics,
	})
	return func(ctx context.Context) error {
		defer sender.Close()
		return d.Run(ctx)
	}, nil
}

// watched is the snapshot as the dispatcher sees it.
type watched struct{ *snapshot.Watcher }

func (w watched) Current() dispatcher.Snapshot { return w.Watcher.Current() }

func (p *process) newControl() (func(context.Context) error, error) {
	s, err := control.New(control.Options{
		Config: p.cfg.ForControl(), Rules: control.Rules{CheckURL: p.guard.CheckURL}, Store: p.store,
		Keys: keyring{p.snapshot}, PublicURL: p.cfg.Ingress.PublicURL, Log: p.log, Registerer: p.metrics, Settle: p.settle,
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error { return s.Run(ctx, p.controlOn) }, nil
}

// keyring looks API keys up in the current snapshot.
type keyring struct{ *snapshot.Watcher }

func (k keyring) Key(hash [32]byte) (*store.Key, bool) { return k.Current().Key(hash) }

// settle has this process take in a change of the configuration before the API answers it.
func (p *process) settle(ctx context.Context) {
	asked := time.Now()
	p.snapshot.Wake()
	for p.snapshot.Confirmed().Before(asked) {
		select {
		case <-time.After(2 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
}
