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

	"github.com/sluicehq/sluice/test/pgtest"
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

// scenarios are in the order they run in.
var scenarios = []string{"load", "postgres", "isolation", "backlog"}

// noPostgres is the value of -postgres that leaves PostgreSQL out.
const noPostgres = "none"

const usage = `usage: bench [flags] %s | all

load       throughput, latency and cost on the embedded store and then, unless -postgres none, on PostgreSQL
postgres   the latter alone: the installed server with shared_buffers 512MB, max_wal_size 4GB and fsync, or -postgres URL
isolation  nine endpoints while the tenth hangs
backlog    events that wait for an endpoint that is dead, and how they leave

Load and postgres find the highest rate that is sustained, then measure half of it and 500/s. Their limit is a bare relay
with the same I/O; with PostgreSQL it also writes the row of an event and of its delivery, a transaction at a time.

`

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
	fs.StringVar(&b.postgresURL, "postgres", "", "`URL` of a PostgreSQL server to measure on, as a user who may make databases; none: do without; empty: start the installed one")
	fs.Usage = func() {
		fmt.Fprintf(fs.Output(), usage, strings.Join(scenarios, " | "))
		fs.PrintDefaults()
	}
	if err := fs.Parse(args); err != nil {
		return err
	}
	b.events = 64 << 20 // 8 MiB of bits an endpoint: more than two cores deliver in the time this takes
	wanted, err := wantedScenarios(fs.Args(), b.postgresURL != noPostgres)
	if err != nil {
		fs.Usage()
		return err
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
		case "postgres":
			if rep.Postgres, err = b.postgres(ctx); errors.Is(err, pgtest.ErrMissing) {
				rep.Skipped, err = err.Error(), nil
				b.say("postgres: skipped, %s", rep.Skipped)
			}
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

// wantedScenarios returns those that are named, each once: PostgreSQL wherever the load is, unless there is to be none.
func wantedScenarios(names []string, postgres bool) (wanted []string, err error) {
	for _, name := range names {
		if name != "all" && !slices.Contains(scenarios, name) {
			return nil, fmt.Errorf("unknown scenario %q", name)
		}
		if name == "postgres" && !postgres {
			return nil, errors.New("the scenario postgres is named, and -postgres " + noPostgres)
		}
	}
	all := len(names) == 0 || slices.Contains(names, "all")
	for _, name := range scenarios {
		named := slices.Contains(names, name) || name == "postgres" && slices.Contains(names, "load")
		if (all || named) && (postgres || name != "postgres") {
			wanted = append(wanted, name)
		}
	}
	return wanted, nil
}
