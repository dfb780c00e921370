package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// cpuTime returns the user and system time process pid has used, to 10 ms.
func cpuTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, ok := strings.Cut(string(b), ") ") // the name before may hold spaces
	fields := strings.Fields(rest)
	if !ok || len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: cannot be read", pid)
	}
	const perTick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	var sum time.Duration
	for _, f := range fields[11:13] { // utime, stime
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
		}
		sum += time.Duration(n) * perTick
	}
	return sum, nil
}

// memory is the resident memory of a process in MiB: now, and at its peak since it began.
type memory struct {
	Now  float64 `json:"now_mib"`
	Peak float64 `json:"peak_mib"`
}

func memoryOf(pid int) (memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, err
	}
	var m memory
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		kb, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		switch {
		case err != nil:
		case name == "VmRSS":
			m.Now = kb / 1024
		case name == "VmHWM":
			m.Peak = kb / 1024
		}
	}
	if m.Peak == 0 {
		return m, fmt.Errorf("/proc/%d/status: no memory in it", pid)
	}
	return m, nil
}

// machine describes where figures were measured.
type machine struct {
	CPUs       int     `json:"cpus"`
	Model      string  `json:"model"`
	Kernel     string  `json:"kernel"`
	Go         string  `json:"go"`
	Load       float64 `json:"load"`                // average over the minute before: others at work spoil the figures
	SyncMedian float64 `json:"fdatasync_median_ms"` // of 1 KiB
	SyncP99    float64 `json:"fdatasync_p99_ms"`
}
