package postgres

import (
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// BenchmarkDue measures one query for due rows in the worst company: a million due rows of endpoints whose gates are
// closed, 300,000 of one that may take few, 200 endpoints whose rows come and go, and a transaction that keeps vacuum
// from removing what went. Each turn queues a row for each of the 200, asks, and finishes what came.
func BenchmarkDue(b *testing.B) {
	const waiting, closed, throttled, busy = 1_000_000, 100, 300_000, 200
	s, server := benchmarked(b)
	queueMany(b, s, waiting, func(i int) store.EndpointID { return store.EndpointID(1001 + i%closed) })
	queueMany(b, s, throttled, func(int) store.EndpointID { return 2000 })
	idle, err := s.people.Begin(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = idle.Rollback(b.Context()) }() // the benchmark's own, and over
	if _, err := idle.Exec(b.Context(), "SELECT pg_current_xact_id(), count(*) FROM nodes"); err != nil {
		b.Fatal(err)
	}
	q := store.DueQuery{Shards: everyShard(), Room: 64, Rooms: map[store.EndpointID]int{2000: 5}, Limit: 1000}
	for i := range closed {
		q.Rooms[store.EndpointID(1001+i)] = 0
	}
	var took []time.Duration
	before := cpuOf(b, server)
	for b.Loop() {
		queueMany(b, s, busy, func(i int) store.EndpointID { return store.EndpointID(1 + i) })
		q.Now = time.Now().Add(10 * time.Millisecond)
		began := time.Now()
		rows, err := s.Due(b.Context(), q)
		took = append(took, time.Since(began))
		if err != nil {
			b.Fatal(err)
		}
		done, own := &store.Batch{}, 0
		for i := range rows {
			if rows[i].ID.Endpoint <= busy {
				own++
			}
			if rows[i].ID.Endpoint != 2000 {
				done.Outcomes = append(done.Outcomes, store.Outcome{ID: rows[i].ID, State: store.DeliveryDelivered, Attempts: 1, FinishedAt: time.Now()})
			}
		}
		if own != busy || len(rows) != busy+5 {
			b.Fatalf("%d rows, %d of them of those that should have one each", len(rows), own)
		}
		if err := s.Record(b.Context(), done); err != nil {
			b.Fatal(err)
		}
	}
	before.report(b, cpuOf(b, server), b.N*busy, "row")
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(took[len(took)-1].Microseconds()), "max-µs")
}

// queueMany queues n deliveries of events that have no row.
func queueMany(tb testing.TB, s *Store, n int, to func(i int) store.EndpointID) {
	const size = 5000
	now := time.Now()
	for at := 0; at < n; at += size {
		batch := &store.Batch{}
		for i := at; i < min(n, at+size); i++ {
			id := store.DeliveryID{Event: event.NewID(now), Endpoint: to(i)}
			batch.Queue = append(batch.Queue, store.Queued{ID: id, Size: 1024, NextAt: now, Reason: store.ReasonGate})
		}
		if err := s.Record(tb.Context(), batch); err != nil {
			tb.Fatal(err)
		}
	}
}

// BenchmarkDepths measures the count of a queue of a million rows of 100 endpoints.
func BenchmarkDepths(b *testing.B) {
	s, server := benchmarked(b)
	queueMany(b, s, 1_000_000, func(i int) store.EndpointID { return store.EndpointID(1 + i%100) })
	before := cpuOf(b, server)
	for b.Loop() {
		depths, err := s.Depths(b.Context(), everyShard())
		if err != nil || len(depths) != 100 {
			b.Fatal(len(depths), err)
		}
	}
	before.report(b, cpuOf(b, server), b.N, "count")
}
