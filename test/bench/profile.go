package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// packageCPU is the CPU a package's own functions took, as a share of all.
type packageCPU struct {
	Package string  `json:"package"`
	Percent float64 `json:"percent"`
}

// profileUnder takes a CPU profile of sluice at a rate, keeps it with the results, and adds it up by package.
func (b *bench) profileUnder(ctx context.Context, s *stage, rate float64) ([]packageCPU, error) {
	span := b.seconds(20, 8)
	path := filepath.Join(b.out, "cpu-"+time.Now().UTC().Format("20060102-150405")+".pprof")
	fetched := make(chan error, 1)
	go func() { fetched <- fetchProfile(ctx, s.gateway.Ops, span, path) }()
	_, err := s.run(ctx, load{rate: rate, measure: span + time.Second, drain: time.Minute})
	if ferr := <-fetched; err == nil {
		err = ferr
	}
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=100000", "-nodefraction=0", path).Output()
	if err != nil {
		return nil, fmt.Errorf("go tool pprof %s: %w", path, err)
	}
	b.say("  profile: %s", path)
	return cpuByPackage(out), nil
}

func fetchProfile(ctx context.Context, ops string, span time.Duration, path string) error {
	url := fmt.Sprintf("http://%s/debug/pprof/profile?seconds=%d", ops, int(span.Seconds()))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("cpu profile: status %d", resp.StatusCode)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.ReadFrom(resp.Body)
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("cpu profile: %w", err)
	}
	return nil
}

// cpuByPackage adds up the flat column of `pprof -top` by package, largest first.
func cpuByPackage(top []byte) []packageCPU {
	sums := map[string]float64{}
	lines, table := bufio.NewScanner(bytes.NewReader(top)), false
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 1 && fields[0] == "flat" {
			table = true
			continue
		}
		if !table || len(fields) < 6 {
			continue
		}
		if percent, err := strconv.ParseFloat(strings.TrimSuffix(fields[1], "%"), 64); err == nil {
			sums[packageOf(fields[5])] += percent
		}
	}
	var out []packageCPU
	for name, percent := range sums {
		out = append(out, packageCPU{name, percent})
	}
	slices.SortFunc(out, func(a, b packageCPU) int {
		if a.Percent != b.Percent {
			return int(1e6 * (b.Percent - a.Percent))
		}
		return strings.Compare(a.Package, b.Package)
	})
	return out
}

// packageOf returns the package of a function as pprof names it: what comes before the first dot behind the last slash.
func packageOf(function string) string {
	function, _, _ = strings.Cut(function, "[") // type arguments hold slashes of their own
	slash := strings.LastIndexByte(function, '/') + 1
	name, _, _ := strings.Cut(function[slash:], ".")
	return function[:slash] + name
}
