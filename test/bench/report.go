package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

// report is what a run of the benchmark found.
type report struct {
	When      time.Time        `json:"when"`
	Sluice    string           `json:"sluice"`
	Machine   machine          `json:"machine"`
	BodySize  int              `json:"body_bytes"`
	Conns     int              `json:"connections"`
	Short     bool             `json:"short"`
	Load      *loadReport      `json:"load,omitempty"`
	Postgres  *loadReport      `json:"postgres,omitempty"`
	Skipped   string           `json:"postgres_skipped,omitempty"` // why nothing was measured on PostgreSQL
	Isolation *isolationReport `json:"isolation,omitempty"`
	Backlog   *backlogReport   `json:"backlog,omitempty"`
}

// save writes the report as JSON and returns where.
func (r *report) save(dir string) (string, error) {
	path := filepath.Join(dir, r.When.Format("20060102-150405")+".json")
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, append(b, '\n'), 0o644)
}

func (r *report) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	m := r.Machine
	fmt.Fprintf(t, "%s\n%d CPUs (%s), Linux %s, %s, fdatasync of 1 KiB %.2f ms (p99 %.2f), load before %.1f\n", r.Sluice, m.CPUs, m.Model, m.Kernel, m.Go, m.SyncMedian, m.SyncP99, m.Load)
	fmt.Fprintf(t, "bodies of %d bytes, %d connections in, generator, receiver and gateway on the same CPUs\n", r.BodySize, r.Conns)
	if r.Load != nil {
		r.Load.print(t, "load", "sluice", "limit")
	}
	if r.Postgres != nil {
		r.Postgres.print(t, "postgres", "postgres", "its limit")
	}
	if r.Skipped != "" {
		fmt.Fprintf(t, "\npostgres: skipped, %s\n", r.Skipped)
	}
	if r.Isolation != nil {
		r.Isolation.print(t)
	}
	if r.Backlog != nil {
		r.Backlog.print(t)
	}
	return t.Flush()
}

func (r *loadReport) print(w io.Writer, title, sluice, limit string) {
	fmt.Fprintf(w, "\n%s\tevents/s\tp50\tp99\tp99.9 ms\tack p99\tµs gateway\tPostgreSQL\tgenerator\treceiver\tcores\tRSS MiB\n", title)
	for _, t := range []struct {
		name string
		figures
	}{{sluice, r.Sluice}, {limit, r.Limit}} {
		t.Capacity.Max.print(w, t.name+", most sustained")
		t.Half.print(w, t.name+", half of that")
		t.Calm.print(w, t.name+", 500/s")
	}
	fmt.Fprintf(w, "%s reaches %.0f %% of its limit\n", sluice, 100*r.Ratio)
	if r.Server != nil {
		fmt.Fprintf(w, "%v\n", r.Server)
	}
	if len(r.Profile) > 0 {
		fmt.Fprintf(w, "\nCPU of sluice by package\t%%\n")
		for _, p := range r.Profile[:min(25, len(r.Profile))] {
			fmt.Fprintf(w, "%s\t%.1f\n", p.Package, p.Percent)
		}
	}
	printChecks(w, r.Checks)
}

func (r *loadResult) print(w io.Writer, name string) {
	q, cpu := r.EndToEnd, r.CPU
	server := "-" // there is none, or it is not on this machine
	if us, ok := cpu["postgres"]; ok {
		server = fmt.Sprintf("%.0f", us)
	}
	fmt.Fprintf(w, "%s\t%.0f\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f\t%s\t%.0f\t%.0f\t%.2f\t%.0f\n", name, r.Delivered, q.P50, q.P99, q.P999,
		r.Ack.P99, cpu["gateway"], server, cpu["generator"], cpu["receiver"], r.Cores, r.Memory.Peak)
}

func (r *isolationReport) print(w io.Writer) {
	fmt.Fprintf(w, "\nisolation: nine of ten endpoints at 70 %% of %.0f/s\tevents/s\tp50\tp99\tp99.9 ms\n", r.Capacity)
	row := func(name string, res loadResult) {
		q := res.EndToEnd
		fmt.Fprintf(w, "%s\t%.0f\t%.2f\t%.2f\t%.2f\n", name, res.Delivered, q.P50, q.P99, q.P999)
	}
	row("the tenth is healthy", r.Healthy)
	row("the tenth hangs", r.Hanging)
	printChecks(w, r.Checks)
}

func (r *backlogReport) print(w io.Writer) {
	fmt.Fprintf(w, "\nbacklog of %d events: taken at %.0f/s, ready again after %.2f s\n", r.Events, r.QueuedPerSec, r.Startup)
	fmt.Fprintf(w, "memory\tpeak %.0f MiB while it grew\t%.0f MiB after the restart\n", r.During.Peak, r.Restarted.Peak)
	fmt.Fprintf(w, "recovery\t%v\n", r.Recovery)
	fmt.Fprintf(w, "requests per second\t%v\n", r.Recovery.PerSecond[:min(90, len(r.Recovery.PerSecond))])
	fmt.Fprintf(w, "drained\t%d of %d, %.0f/s at the end\n", r.Delivered, r.Events, r.DrainRate)
	printChecks(w, r.Checks)
}

func printChecks(w io.Writer, checks map[string]string) {
	for _, what := range slices.Sorted(maps.Keys(checks)) {
		fmt.Fprintf(w, "%s\t%s\n", what, checks[what])
	}
}
