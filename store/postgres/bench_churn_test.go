package postgres

import (
	"os"
	"testing"
	"time"

	"github.com/sluicehq/sluice/store"
)

// BenchmarkChurn has rows of the queue, claims, gates and heartbeats come and go for as long as SLUICE_BENCH_CHURN says
// (1m), beside 100,000 rows that wait, and reports what remains: dead rows for each live one, at most and at the end, and
// how the queue grew since a tenth of the time. Each of 200 deliveries a second is queued, fails once, and is delivered.
func BenchmarkChurn(b *testing.B) {
	took := time.Minute
	if text := os.Getenv("SLUICE_BENCH_CHURN"); text != "" {
		var err error
		if took, err = time.ParseDuration(text); err != nil {
			b.Fatal(err)
		}
	}
	const waiting, perSecond = 100_000, 200
	s, _ := benchmarked(b)
	queueMany(b, s, waiting, func(i int) store.EndpointID { return store.EndpointID(1000 + i%50) })
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	began, early, most := time.Now(), int64(0), 0.0
	for last := time.Now(); time.Since(began) < took; <-tick.C {
		churn(b, s, perSecond)
		if early == 0 && time.Since(began) > took/10 {
			early = sizeOf(b, s, "queue")
		}
		if time.Since(last) > 30*time.Second {
			last = time.Now()
			for table, ratio := range deadRatios(b, s) {
				most = max(most, ratio)
				b.Logf("%s %s: %.3f dead for each live row, %d bytes", time.Since(began).Truncate(time.Second), table, ratio, sizeOf(b, s, table))
			}
		}
	}
	worst := 0.0
	for _, ratio := range deadRatios(b, s) {
		worst = max(worst, ratio)
	}
	b.ReportMetric(most, "dead/live-most")
	b.ReportMetric(worst, "dead/live-end")
	b.ReportMetric(float64(sizeOf(b, s, "queue"))/float64(early), "growth")
}

// churn takes n events through the queue, with a claim each.
func churn(b *testing.B, s *Store, n int) {
	ctx := b.Context()
	queries, batch := commonEvents(n)
	if _, err := s.Seen(ctx, queries); err != nil {
		b.Fatal(err)
	}
	if _, err := s.RenewShards(ctx, "node"); err != nil {
		b.Fatal(err)
	}
	retried, finished := &store.Batch{}, &store.Batch{}
	for _, o := range batch.Outcomes {
		batch.Queue = append(batch.Queue, store.Queued{ID: o.ID, Size: 1024, NextAt: time.Now(), Reason: store.ReasonGate})
		retried.Retries = append(retried.Retries, store.Retry{ID: o.ID, Attempt: 1, FirstAttempt: time.Now(), NextAt: time.Now(), Reason: store.ReasonRetry})
		o.Attempts = 2
		finished.Outcomes = append(finished.Outcomes, o)
	}
	batch.Outcomes = nil
	for _, part := range []*store.Batch{batch, retried, finished} {
		if err := s.Record(ctx, part); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := s.Expire(ctx, time.Now().Add(-14*day), time.Now().Add(-30*day), time.Now(), 1000); err != nil {
		b.Fatal(err)
	}
}

func sizeOf(b *testing.B, s *Store, table string) int64 {
	b.Helper()
	return numberOf(b, s, "SELECT pg_total_relation_size($1::regclass)", table)
}

// deadRatios has the tables of 1,000 rows or more.
func deadRatios(b *testing.B, s *Store) map[string]float64 {
	b.Helper()
	rows, err := s.people.Query(b.Context(), `SELECT relname, n_dead_tup::float8 / n_live_tup FROM pg_stat_user_tables WHERE n_live_tup >= 1000`)
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	out := map[string]float64{}
	for rows.Next() {
		var table string
		var ratio float64
		if err := rows.Scan(&table, &ratio); err != nil {
			b.Fatal(err)
		}
		out[table] = ratio
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	return out
}
