//go:build linux

package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/sluicehq/sluice/broker"
)

// BenchmarkPublishConsumeAck is the whole way of a message of 1 KiB, and beside it the least that durability costs: a loop
// that appends the same bytes to a file, as many publishers sharing each fdatasync. Compare the CPU columns.
func BenchmarkPublishConsumeAck(b *testing.B) {
	for _, publishers := range []int{1, 16, 64, 512} {
		b.Run(fmt.Sprintf("publishers=%d/broker", publishers), func(b *testing.B) { benchmarkBroker(b, publishers) })
		b.Run(fmt.Sprintf("publishers=%d/bare", publishers), func(b *testing.B) { benchmarkBare(b, publishers) })
	}
}

// counter acks everything and counts.
type counter struct {
	n    atomic.Int64
	wake chan struct{}
}

func (c *counter) Handle(ls []broker.Lease) {
	for _, l := range ls {
		l.Ack()
	}
	c.n.Add(int64(len(ls)))
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
func (c *counter) Revoke(context.Context, []string) {}
func (c *counter) Gap(stream, from, to string)      { panic("gap " + stream + " " + from + " " + to) }

func (c *counter) wait(n int64) {
	for c.n.Load() < n {
		<-c.wake
	}
}

func benchmarkBroker(b *testing.B, publishers int) {
	b.Helper()
	br, err := Open(b.Context(), Defaults(filepath.Join(b.TempDir(), "broker.db")), zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	c := &counter{wake: make(chan struct{}, 1)}
	ran := make(chan error, 1)
	go func() { ran <- br.Consumer("bench", "bench").Run(ctx, c) }()
	body := make([]byte, 1024)
	expected := int64(0)
	measure(b, publishers, func(int) {
		m := &broker.Message{Topic: "bench", Body: body, Headers: []broker.Header{{Name: "content-type", Value: []byte("application/json")}}}
		if err := br.Publisher().Publish(ctx, m); err != nil {
			b.Error(err)
		}
	}, func(n int) {
		expected += int64(n)
		c.wait(expected)
	})
	cancel()
	if err := <-ran; err != nil {
		b.Error(err)
	}
	if err := br.Close(context.WithoutCancel(ctx)); err != nil {
		b.Error(err)
	}
}

func benchmarkBare(b *testing.B, publishers int) {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "bare"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	record := make([]byte, 1024+64)
	in := make(chan chan struct{}, publishers)
	var wg sync.WaitGroup
	wg.Go(func() {
		var waiting []chan struct{}
		for first := range in {
			runtime.Gosched()
			waiting = append(waiting[:0], first)
			for len(in) > 0 {
				waiting = append(waiting, <-in)
			}
			if _, err := f.Write(slices.Repeat(record, len(waiting))); err != nil {
				b.Error(err)
			}
			if err := unix.Fdatasync(int(f.Fd())); err != nil {
				b.Error(err)
			}
			for _, done := range waiting {
				done <- struct{}{}
			}
		}
	})
	done := make([]chan struct{}, publishers)
	for i := range done {
		done[i] = make(chan struct{}, 1)
	}
	measure(b, publishers, func(p int) {
		in <- done[p]
		<-done[p]
	}, func(int) {})
	close(in)
	wg.Wait()
}

// measure has publishers publish in rounds and reports rate, CPU and latency per message.
func measure(b *testing.B, publishers int, publish func(p int), roundDone func(n int)) {
	b.Helper()
	const each = 50
	b.ReportAllocs()
	latencies := make([][]time.Duration, publishers)
	started, cpu, n := time.Now(), cpuTime(b), 0
	for b.Loop() {
		var wg sync.WaitGroup
		for p := range publishers {
			wg.Go(func() {
				for range each {
					t := time.Now()
					publish(p)
					if len(latencies[p]) < 10000 {
						latencies[p] = append(latencies[p], time.Since(t))
					}
				}
			})
		}
		wg.Wait()
		n += publishers * each
		roundDone(publishers * each)
	}
	took := time.Since(started)
	all := slices.Concat(latencies...)
	slices.Sort(all)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(n)/took.Seconds(), "msg/s")
	b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/1000/float64(n), "cpu-µs/msg")
	b.ReportMetric(float64(all[len(all)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
}

func cpuTime(b *testing.B) time.Duration {
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// BenchmarkBacklog reads what was published before: one call of Handle and one ack per message, from the file.
func BenchmarkBacklog(b *testing.B) {
	const backlog = 20_000
	br, err := Open(b.Context(), Defaults(filepath.Join(b.TempDir(), "broker.db")), zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	defer br.Close(context.WithoutCancel(b.Context())) //nolint:errcheck // the test is over
	msgs := slices.Repeat([]*broker.Message{{Topic: "bench", Body: make([]byte, 1024)}}, 64)
	b.ReportAllocs()
	var cpu, took time.Duration
	n := 0
	for b.Loop() {
		b.StopTimer()
		for range backlog / len(msgs) {
			if err := br.Publisher().Publish(b.Context(), msgs...); err != nil {
				b.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(b.Context())
		c := &counter{wake: make(chan struct{}, 1)}
		b.StartTimer()
		started, before := time.Now(), cpuTime(b)
		ran := make(chan error, 1)
		go func() { ran <- br.Consumer("bench", "bench").Run(ctx, c) }()
		c.wait(backlog / int64(len(msgs)) * int64(len(msgs)))
		cancel()
		if err := <-ran; err != nil {
			b.Fatal(err)
		}
		took += time.Since(started)
		cpu += cpuTime(b) - before
		n += int(c.n.Load())
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(n)/took.Seconds(), "msg/s")
	b.ReportMetric(float64(cpu.Nanoseconds())/1000/float64(n), "cpu-µs/msg")
}

// BenchmarkLatency publishes one message at a time, and waits for it to be handed out.
func BenchmarkLatency(b *testing.B) {
	br, err := Open(b.Context(), Defaults(filepath.Join(b.TempDir(), "broker.db")), zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	defer br.Close(context.WithoutCancel(b.Context())) //nolint:errcheck // the test is over
	ctx, cancel := context.WithCancel(b.Context())
	c := &counter{wake: make(chan struct{}, 1)}
	ran := make(chan error, 1)
	go func() { ran <- br.Consumer("bench", "bench").Run(ctx, c) }()
	var latencies []time.Duration
	body := make([]byte, 1024)
	for n := int64(1); b.Loop(); n++ {
		started := time.Now()
		if err := br.Publisher().Publish(ctx, &broker.Message{Topic: "bench", Body: body}); err != nil {
			b.Fatal(err)
		}
		c.wait(n)
		latencies = append(latencies, time.Since(started))
	}
	cancel()
	if err := <-ran; err != nil {
		b.Fatal(err)
	}
	slices.Sort(latencies)
	b.ReportMetric(float64(latencies[len(latencies)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(latencies[len(latencies)*99/100].Microseconds()), "p99-µs")
}
