package main

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// latencies is a histogram of 1 µs to 10 min with three digits, safe for concurrent use. What is longer counts as 10 min.
type latencies struct {
	mu   sync.Mutex
	hist *hdrhistogram.Histogram
}

const longestLatency = 10 * time.Minute

func newLatencies() *latencies {
	return &latencies{hist: hdrhistogram.New(1, longestLatency.Microseconds(), 3)}
}

func (l *latencies) record(d time.Duration) {
	us := min(max(d, time.Microsecond), longestLatency).Microseconds()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.hist.RecordValue(us); err != nil {
		panic(err) // cannot be: the value is within bounds
	}
}

// quantiles are in milliseconds.
type quantiles struct {
	N    int64   `json:"n"`
	P50  float64 `json:"p50_ms"`
	P90  float64 `json:"p90_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`
	Max  float64 `json:"max_ms"`
}

// quantilesOf merges the histograms.
func quantilesOf(ls ...*latencies) quantiles {
	sum := newLatencies().hist
	for _, l := range ls {
		l.mu.Lock()
		sum.Merge(l.hist)
		l.mu.Unlock()
	}
	at := func(p float64) float64 { return float64(sum.ValueAtQuantile(p)) / 1000 }
	return quantiles{N: sum.TotalCount(), P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: float64(sum.Max()) / 1000}
}
