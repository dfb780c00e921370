package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// describeMachine fills in a machine; the disk is the one that holds dir.
func describeMachine(dir string) (machine, error) {
	m := machine{CPUs: runtime.NumCPU(), Go: runtime.Version(), Model: cpuModel(), Kernel: "unknown"}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(b))
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		first, _, _ := strings.Cut(string(b), " ")
		if m.Load, err = strconv.ParseFloat(first, 64); err != nil {
			return m, fmt.Errorf("/proc/loadavg: %w", err)
		}
	}
	q, err := syncLatency(filepath.Join(dir, "fdatasync"))
	m.SyncMedian, m.SyncP99 = q.P50, q.P99
	return m, err
}

func cpuModel() string {
	b, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// syncLatency measures writes of 1 KiB with fdatasync into a new file, which it removes.
func syncLatency(path string) (quantiles, error) {
	j, err := openJournal(path)
	if err != nil {
		return quantiles{}, err
	}
	l := newLatencies()
	for buf := make([]byte, 1024); err == nil && l.hist.TotalCount() < 500; {
		begin := time.Now()
		err = j.sync(buf)
		l.record(time.Since(begin))
	}
	return quantilesOf(l), errors.Join(err, j.file.Close(), os.Remove(path))
}
