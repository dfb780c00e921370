package postgres

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/test/pgtest"
)

// benchmarked is a store on a server that is durable and has the memory of a small production one.
func benchmarked(b *testing.B) (*Store, *pgtest.Server) {
	server := pgtest.Start(b, pgtest.Options{Settings: map[string]string{
		"shared_buffers": "512MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min", "fsync": "on", "synchronous_commit": "on",
	}})
	url := server.Database(b)
	if _, err := Migrate(b.Context(), url, zap.NewNop()); err != nil {
		b.Fatal(err)
	}
	return openWith(b, Config{URL: url, History: 30 * day}, store.GenerateKey()), server
}

// commonEvents are n events as a busy ingress makes them, each delivered at its first attempt.
func commonEvents(n int) ([]store.SeenQuery, *store.Batch) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	queries, b := make([]store.SeenQuery, n), &store.Batch{}
	for i := range n {
		body := make([]byte, 1024)
		rand.Read(body)
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

// cpu is the processor time of this process and of the server with all that it started.
type cpu struct{ client, server time.Duration }

func cpuOf(tb testing.TB, server *pgtest.Server) cpu {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	c := cpu{client: time.Duration(u.Utime.Nano() + u.Stime.Nano())}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		tb.Fatal(err)
	}
	const tick = 10 * time.Millisecond
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		parent, pid := fields[1], filepath.Base(filepath.Dir(path))
		counted := fields[11:13] // of the process
		switch strconv.Itoa(server.PID()) {
		case pid:
			counted = fields[11:15] // and of its children that have ended
		case parent:
		default:
			continue
		}
		for _, f := range counted {
			n, err := strconv.Atoi(f)
			if err != nil {
				tb.Fatal(err)
			}
			c.server += time.Duration(n) * tick
		}
	}
	return c
}

// report says what n of something cost since before.
func (c cpu) report(b *testing.B, now cpu, n int, what string) {
	client, server := now.client-c.client, now.server-c.server
	b.ReportMetric(float64(client.Microseconds())/float64(n), "client-µs/"+what)
	b.ReportMetric(float64(server.Microseconds())/float64(n), "server-µs/"+what)
	b.ReportMetric(float64((client+server).Microseconds())/float64(n), "µs/"+what)
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), what+"s/s")
}

// BenchmarkRecord measures the recorder alone: batches of events with 1 KiB bodies, each with a delivery that its first
// attempt finished, by as many dispatchers as there are CPUs. Making the batches is not counted. Today's partitions have
// as many rows before as SLUICE_BENCH_PARTITION says (none).
func BenchmarkRecord(b *testing.B) {
	const size = 1000
	s, server := benchmarked(b)
	seedToday(b, s, sizeFromEnv(b, "SLUICE_BENCH_PARTITION", 0))
	for _, with := range []string{"alone", "claims", "attempts"} {
		b.Run(with, func(b *testing.B) {
			prepared := make([]work, b.N)
			for i := range prepared {
				prepared[i].queries, prepared[i].batch = commonEvents(size)
				if with == "attempts" {
					prepared[i].batch.Attempts = failures(prepared[i].batch.Outcomes)
				}
			}
			runtime.GC()
			before, disk, wal := cpuOf(b, server), diskOf(b, s), walOf(b, s)
			b.ResetTimer()
			var next atomic.Int64
			var wg sync.WaitGroup
			for range runtime.NumCPU() {
				wg.Go(func() {
					for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
						if with == "claims" {
							if _, err := s.Seen(b.Context(), prepared[i].queries); err != nil {
								b.Error(err)
							}
						}
						if err := s.Record(b.Context(), prepared[i].batch); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			before.report(b, cpuOf(b, server), b.N*size, "delivery")
			b.ReportMetric(float64(walOf(b, s)-wal)/float64(b.N*size), "WAL-B/delivery")
			b.ReportMetric(float64(diskOf(b, s)-disk)/float64(b.N*size), "B/delivery")
		})
	}
}

type work struct {
	queries []store.SeenQuery
	batch   *store.Batch
}

// failures are an attempt each that failed before.
func failures(outcomes []store.Outcome) []store.Attempt {
	out := make([]store.Attempt, len(outcomes))
	for i := range outcomes {
		out[i] = store.Attempt{
			ID: outcomes[i].ID, Number: 1, Started: outcomes[i].FirstAttempt, Duration: time.Millisecond, Status: 503,
			Error: "503 Service Unavailable", Excerpt: []byte("the server is busy, try again later"),
		}
	}
	return out
}

func sizeFromEnv(b *testing.B, name string, otherwise int) int {
	b.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func walOf(b *testing.B, s *Store) int64 {
	b.Helper()
	return numberOf(b, s, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")
}

// diskOf is what tables and their indexes take.
func diskOf(b *testing.B, s *Store) int64 {
	b.Helper()
	return numberOf(b, s, "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace")
}

func numberOf(b *testing.B, s *Store, sql string, args ...any) (n int64) {
	b.Helper()
	if err := s.people.QueryRow(b.Context(), sql, args...).Scan(&n); err != nil {
		b.Fatal(err)
	}
	return n
}

// BenchmarkQueueCycle measures what a delivery costs beyond its event when it is queued, read as due, and finished, in
// the batches of a busy dispatcher.
func BenchmarkQueueCycle(b *testing.B) {
	const size, endpoints = 500, 200
	s, server := benchmarked(b)
	prepared := make([]*store.Batch, b.N)
	for i := range prepared {
		_, prepared[i] = commonEvents(size)
	}
	runtime.GC()
	before := cpuOf(b, server)
	b.ResetTimer()
	for _, batch := range prepared {
		queue := &store.Batch{}
		for i := range batch.Outcomes {
			id := batch.Outcomes[i].ID
			id.Endpoint = store.EndpointID(1 + i%endpoints)
			queue.Queue = append(queue.Queue, store.Queued{ID: id, Size: 1024, NextAt: time.Now(), Reason: store.ReasonGate})
		}
		if err := s.Record(b.Context(), queue); err != nil {
			b.Fatal(err)
		}
		rows, err := s.Due(b.Context(), store.DueQuery{Shards: everyShard(), Now: time.Now().Add(time.Second), Room: 64, Limit: 2 * size})
		if err != nil || len(rows) != size {
			b.Fatal(len(rows), err)
		}
		done := &store.Batch{}
		for i := range rows {
			done.Outcomes = append(done.Outcomes, store.Outcome{ID: rows[i].ID, State: store.DeliveryDelivered, Attempts: 1, FinishedAt: time.Now()})
		}
		if err := s.Record(b.Context(), done); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	before.report(b, cpuOf(b, server), b.N*size, "cycle")
}

func everyShard() []store.Shard {
	shards := make([]store.Shard, store.Shards)
	for i := range shards {
		shards[i] = store.Shard(i)
	}
	return shards
}
