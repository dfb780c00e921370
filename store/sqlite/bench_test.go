package sqlite

import (
	"crypto/rand"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// commonEvents are n events as a busy ingress makes them, each delivered at its first attempt.
func commonEvents(n int) ([]store.SeenQuery, *store.Batch) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	queries, b := make([]store.SeenQuery, n), &store.Batch{}
	body := make([]byte, 1024)
	rand.Read(body)
	for i := range n {
		e := &event.Event{
			ID: event.NewID(now), Tenant: event.DefaultTenant, Source: "github", Type: "push", Time: now, Method: "POST",
			ContentType: "application/json", Body: body, TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		}
		e.GivenID = fmt.Sprintf("%x-72d3-11ee-8c99-0242ac120002", e.ID[8:12])
		e.Headers = map[string]string{"x-github-event": "push", "x-github-delivery": e.GivenID}
		queries[i] = store.SeenQuery{ID: e.ID, Until: now.Add(store.ClaimTTL)}
		rand.Read(queries[i].Claim[:])
		b.Events = append(b.Events, store.EventRow{Event: e, Matched: 1})
		b.Outcomes = append(b.Outcomes, store.Outcome{
			ID: store.DeliveryID{Event: e.ID, Endpoint: store.EndpointID(1 + i%3)}, State: store.DeliveryDelivered, Attempts: 1,
			FirstAttempt: now, FinishedAt: now.Add(12 * time.Millisecond), LastStatus: 200, LastDuration: 11 * time.Millisecond,
		})
	}
	return queries, b
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCommonEvent measures what an event costs that is delivered at its first attempt: a claim, a row, a body, a
// delivery. The file grows as it runs: -benchtime 200x makes 100,000 events.
func BenchmarkCommonEvent(b *testing.B) {
	const batch = 500
	s := reopen(b, migrated(b), store.GenerateKey())
	var cpu, seen, record time.Duration
	runtime.GC()
	for b.Loop() {
		b.StopTimer()
		queries, rows := commonEvents(batch)
		b.StartTimer()
		c0, t0 := cpuTime(), time.Now()
		if _, err := s.Seen(b.Context(), queries); err != nil {
			b.Fatal(err)
		}
		t1 := time.Now()
		if err := s.Record(b.Context(), rows); err != nil {
			b.Fatal(err)
		}
		cpu, seen, record = cpu+cpuTime()-c0, seen+t1.Sub(t0), record+time.Since(t1)
	}
	per := float64(b.N * batch)
	b.ReportMetric(float64(cpu.Microseconds())/per, "cpu-µs/event")
	b.ReportMetric(float64(seen.Microseconds())/per, "seen-µs/event")
	b.ReportMetric(float64(record.Microseconds())/per, "record-µs/event")
	if info, err := os.Stat(s.path); err == nil {
		b.ReportMetric(float64(info.Size())/per, "B/event")
	}
}

// BenchmarkSteadyLoad measures latency at 500 events a second, each seen and recorded by itself: what a batch of one
// waits for Seen and for Record, checkpoints included. Run it with -benchtime 5000x.
func BenchmarkSteadyLoad(b *testing.B) {
	s := reopen(b, migrated(b), store.GenerateKey())
	for range 100 {
		if _, rows := commonEvents(500); s.Record(b.Context(), rows) != nil {
			b.Fatal("not recorded")
		}
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var seen, record []time.Duration
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for b.Loop() {
		<-tick.C
		wg.Go(func() {
			queries, rows := commonEvents(1)
			t0 := time.Now()
			if _, err := s.Seen(b.Context(), queries); err != nil {
				b.Error(err)
			}
			t1 := time.Now()
			if err := s.Record(b.Context(), rows); err != nil {
				b.Error(err)
			}
			t2 := time.Now()
			mu.Lock()
			defer mu.Unlock()
			seen, record = append(seen, t1.Sub(t0)), append(record, t2.Sub(t1))
		})
	}
	wg.Wait()
	for name, all := range map[string][]time.Duration{"seen": seen, "record": record} {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Microseconds()), name+"-p50-µs")
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), name+"-p99-µs")
		b.ReportMetric(float64(all[len(all)*999/1000].Microseconds()), name+"-p99.9-µs")
	}
}
