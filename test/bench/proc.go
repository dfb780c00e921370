package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// procStat is what the kernel knows of a process. Times are user and system time, to 10 ms.
type procStat struct {
	parent int
	own    time.Duration
	reaped time.Duration // of children that have ended and been waited for, and theirs
}

func readStat(pid int) (procStat, error) {
	path := fmt.Sprintf("/proc/%d/stat", pid)
	b, err := os.ReadFile(path)
	if err != nil {
		return procStat{}, err
	}
	_, rest, _ := strings.Cut(string(b), ") ") // the name before may hold spaces
	fields := strings.Fields(rest)             // from the third on: proc(5)
	if len(fields) < 15 {
		return procStat{}, fmt.Errorf("%s: cannot be read", path)
	}
	var numbers [5]int64 // ppid, utime, stime, cutime, cstime
	for i, f := range append(fields[1:2:2], fields[11:15]...) {
		if numbers[i], err = strconv.ParseInt(f, 10, 64); err != nil {
			return procStat{}, fmt.Errorf("%s: %w", path, err)
		}
	}
	const perTick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	ticks := func(i int) time.Duration { return time.Duration(numbers[i]+numbers[i+1]) * perTick }
	return procStat{parent: int(numbers[0]), own: ticks(1), reaped: ticks(3)}, nil
}

// cpuTime returns the user and system time process pid has used.
func cpuTime(pid int) (time.Duration, error) {
	s, err := readStat(pid)
	return s.own, err
}

// familyTime returns what process pid has used together with its children, those that have ended too.
func familyTime(pid int) (time.Duration, error) {
	var sum time.Duration
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		child, err := strconv.Atoi(e.Name())
		if err != nil {
			continue // not a process
		}
		if s, err := readStat(child); err == nil && s.parent == pid { // an error: it ended meanwhile
			sum += s.own
		}
	}
	s, err := readStat(pid) // last: time of a child that ends now is counted twice rather than not at all
	return sum + s.own + s.reaped, err
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
