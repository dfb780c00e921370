package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// bench is the driver: what it was asked for, and where things are.
type bench struct {
	sluice      string // the binary
	out         string // directory of results
	work        string // directory of this run, removed at the end
	postgresURL string // a server to use; empty: one is started
	short       bool
	profile     bool
	size        int // bytes of a body
	conns       int // of the generator
	events      int64
	inCap       int
	machine     machine
	secret      string // of the source
	signing     string // of the endpoints
}

// prepare makes the working directory and looks at the machine.
func (b *bench) prepare() error {
	if err := os.MkdirAll(b.out, 0o755); err != nil {
		return err
	}
	var err error
	if b.work, err = os.MkdirTemp(b.out, "run-"); err != nil {
		return err
	}
	if b.work, err = filepath.Abs(b.work); err != nil {
		return err
	}
	key := make([]byte, 24)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	b.secret = base64.RawURLEncoding.EncodeToString(key)
	b.signing = "whsec_" + base64.StdEncoding.EncodeToString(key)
	b.machine, err = describeMachine(b.work)
	return err
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// seconds returns long, or short in the short form.
func (b *bench) seconds(long, short int) time.Duration {
	if b.short {
		long = short
	}
	return time.Duration(long) * time.Second
}

// startReceiver starts a receiver with n endpoints, which take events numbered below events, and returns their addresses.
func (b *bench) startReceiver(ctx context.Context, n int, events int64) (*role, []string, error) {
	r, err := startRole(ctx, "receive", "-endpoints", fmt.Sprint(n), "-events", fmt.Sprint(events), "-secret", b.signing)
	if err != nil {
		return nil, nil, err
	}
	var addrs []string
	if err := r.call("addrs", nil, &addrs); err != nil {
		return nil, nil, errors.Join(err, r.stop())
	}
	return r, addrs, nil
}

// startGenerator starts a generator that posts to addr.
func (b *bench) startGenerator(ctx context.Context, addr string) (*role, error) {
	return startRole(ctx, "generate", "-addr", addr, "-secret", b.secret, "-size", fmt.Sprint(b.size))
}

// stage is sluice with a generator before it and a receiver behind it. Endpoint i takes events of type typeOf(i).
type stage struct {
	rig
	gateway *gateway
}

func typeOf(endpoint int) string { return fmt.Sprintf("bench%d", endpoint) }

// setStage starts all three. Sluice keeps its store in db, or in what is embedded when that is nil. limits are the
// endpoints' max_in_flight, 0 for adaptive.
func (b *bench) setStage(ctx context.Context, name string, db *database, events int64, limits ...int) (_ *stage, err error) {
	s := &stage{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.strike())
		}
	}()
	var addrs []string
	if s.receiver, addrs, err = b.startReceiver(ctx, len(limits), events); err != nil {
		return nil, err
	}
	cfg := setup{Dir: filepath.Join(b.work, name), Secret: b.secret, Database: db}
	for i, limit := range limits {
		s.types = append(s.types, typeOf(i))
		cfg.Endpoints = append(cfg.Endpoints, endpointSetup{
			Name: fmt.Sprintf("endpoint-%d", i), URL: "http://" + addrs[i] + "/hook", Type: typeOf(i), Signing: b.signing, MaxInFlight: limit,
		})
	}
	g, err := newGateway(b.sluice, cfg)
	if err != nil {
		return nil, err
	}
	if db != nil {
		s.postgres = db.pid
		if err := g.migrate(ctx); err != nil {
			return nil, err
		}
	}
	if err := g.start(ctx); err != nil {
		return nil, err
	}
	s.gateway, s.target = g, g
	s.conns, s.say = b.conns, b.say
	s.generator, err = b.startGenerator(ctx, g.addr())
	return s, err
}

// strike stops what was started, the source of events first.
func (s *stage) strike() error {
	var errs []error
	if s.generator != nil {
		errs = append(errs, s.generator.stop())
	}
	if s.gateway != nil {
		errs = append(errs, s.gateway.stop())
	}
	if s.receiver != nil {
		errs = append(errs, s.receiver.stop())
	}
	return errors.Join(errs...)
}
