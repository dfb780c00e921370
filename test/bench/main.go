package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	if err := start(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			os.Exit(2)
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func start(args []string) error {
	roles := map[string]func([]string) error{"role-generate": generateMain, "role-receive": receiveMain, "role-relay": relayMain}
	if len(args) > 0 && roles[args[0]] != nil {
		signal.Ignore(os.Interrupt) // the driver says when to stop
		return roles[args[0]](args[1:])
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return drive(ctx, args)
}

var scenarios = []string{"load", "isolation", "backlog"}

// drive runs the scenarios that args name.
func drive(ctx context.Context, args []string) (err error) {
	b := &bench{}
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.StringVar(&b.sluice, "sluice", "bin/sluice", "the binary to measure")
	fs.StringVar(&b.out, "out", "test/bench/results", "directory for results; the data is kept there too while it runs")
	fs.BoolVar(&b.short, "short", false, "shorter windows: for a look, not for figures to compare")
	fs.BoolVar(&b.profile, "profile", false, "also take a CPU profile of sluice and add it up by package")
	fs.IntVar(&b.size, "size", 1024, "bytes of a body")
	fs.IntVar(&b.conns, "conns", 64, "connections of the generator")
	fs.IntVar(&b.inCap, "max-in-flight", 32, "of the endpoint that is dead in the scenario backlog")
	queued := fs.Int64("events", 1_000_000, "events that wait in the scenario backlog")
	fs.Usage = func() {
		fmt.Fprintf(fs.Output(), "usage: bench [flags] %s | all\n", strings.Join(scenarios, " | "))
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		return err
	}
	b.events = 64 << 20 // 8 MiB of bits an endpoint: more than two cores deliver in the time this takes
	wanted := fs.Args()
	if len(wanted) == 0 || slices.Contains(wanted, "all") {
		wanted = scenarios
	}
	for _, name := range wanted {
		if !slices.Contains(scenarios, name) {
			fs.Usage()
			return fmt.Errorf("unknown scenario %q", name)
		}
	}

	rep := &report{When: time.Now().UTC(), BodySize: max(b.size, minBody), Conns: b.conns, Short: b.short}
	if rep.Sluice, err = version(ctx, b.sluice); err != nil {
		return err
	}
	if err := b.prepare(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.work)) }()
	rep.Machine = b.machine
	for _, name := range wanted {
		switch name {
		case "load":
			rep.Load, err = b.load(ctx)
		case "isolation":
			rep.Isolation, err = b.isolation(ctx)
		case "backlog":
			rep.Backlog, err = b.backlog(ctx, *queued)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
			break // what was measured before is worth keeping
		}
	}
	path, serr := rep.save(b.out)
	b.say("\n%s\n", path)
	return errors.Join(err, serr, rep.print(os.Stdout))
}
