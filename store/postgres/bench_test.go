package postgres

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
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
	return open(b, url, store.GenerateKey()), server
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
// attempt finished, by as many dispatchers as there are CPUs. Making the batches is not counted.
func BenchmarkRecord(b *testing.B) {
	const size = 1000
	for _, claims := range []bool{false, true} {
		b.Run(fmt.Sprintf("claims=%v", claims), func(b *testing.B) {
			s, server := benchmarked(b)
			type work struct {
				queries []store.SeenQuery
				batch   *store.Batch
			}
			prepared := make([]work, b.N)
			for i := range prepared {
				prepared[i].queries, prepared[i].batch = commonEvents(size)
			}
			runtime.GC()
			before := cpuOf(b, server)
			b.ResetTimer()
			var next atomic.Int64
			var wg sync.WaitGroup
			for range runtime.NumCPU() {
				wg.Go(func() {
					for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
						if claims {
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
		})
	}
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

// BenchmarkLists measures what the API asks for, over a history of 30 days with as many deliveries as
// SLUICE_BENCH_HISTORY says (1,000,000): 50 endpoints of 10 tenants, 20 types, one event in 50 dead; and one tenant with
// one event, the rarest thing to look for.
func BenchmarkLists(b *testing.B) {
	n := 1_000_000
	if text := os.Getenv("SLUICE_BENCH_HISTORY"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	s, _ := benchmarked(b)
	rare := seedHistory(b, s, n)
	weekAgo := time.Now().Add(-7 * day)
	middle := event.ID(firstID(time.Now().Add(-15 * day)))
	events := map[string]store.EventQuery{
		"all": {}, "page in the middle": {Before: middle}, "tenant": {Tenant: "t3"}, "type": {Type: "type.7"}, "source": {Source: "github"},
		"tenant and type": {Tenant: "t4", Type: "type.4"}, "rare tenant": {Tenant: "rare"}, "rare type": {Type: "rare.type"},
		"unknown type": {Type: "none"}, "given id": {GivenID: "given-777"}, "unknown given id": {GivenID: "none"},
		"key": {Key: "key-12"}, "unknown key": {Key: "none"}, "type of a week": {Type: "type.7", Since: weekAgo, Until: weekAgo.Add(day)},
	}
	deliveries := map[string]store.DeliveryQuery{
		"all": {}, "page in the middle": {Before: store.DeliveryID{Event: middle, Endpoint: 1}}, "endpoint": {Endpoint: 7},
		"dead": {State: store.DeliveryDead}, "canceled": {State: store.DeliveryCanceled}, "endpoint's dead": {Endpoint: 7, State: store.DeliveryDead},
		"endpoint's delivered": {Endpoint: 7, State: store.DeliveryDelivered}, "tenant": {Tenant: "t3"}, "tenant's dead": {Tenant: "t3", State: store.DeliveryDead},
		"rare tenant": {Tenant: "rare"}, "unknown endpoint": {Endpoint: 9999}, "queued": {State: store.DeliveryQueued},
		"event": {Event: rare}, "dead of a day": {State: store.DeliveryDead, Since: weekAgo, Until: weekAgo.Add(day)},
	}
	for name, q := range events {
		q.Limit = 50
		b.Run("events/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.ListEvents(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for name, q := range deliveries {
		q.Limit = 50
		b.Run("deliveries/"+name, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.ListDeliveries(b.Context(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("drop a day", func(b *testing.B) {
		began := time.Now()
		for d := 30; b.Loop(); d-- {
			cut := dayOf(time.Now()).AddDate(0, 0, 1-d)
			if _, err := s.Expire(b.Context(), cut, cut, time.Now(), 1000); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(time.Since(began).Milliseconds())/float64(b.N), "ms/day")
	})
}

// seedHistory writes a history of n events with a delivery each, straight into the tables.
func seedHistory(b *testing.B, s *Store, n int) (rare event.ID) {
	b.Helper()
	exec := func(sql string, args ...any) {
		b.Helper()
		if _, err := s.people.Exec(b.Context(), sql, args...); err != nil {
			b.Fatal(err)
		}
	}
	exec(`INSERT INTO kinds (tenant, source, type) SELECT 't' || t, CASE p % 2 WHEN 0 THEN 'github' ELSE 'stripe' END::bytea, ('type.' || p)::bytea
		FROM generate_series(0, 9) t, generate_series(0, 19) p`)
	exec(`INSERT INTO endpoints (tenant, name, spec, state, state_since, managed_by, created_at, updated_at, version)
		SELECT 't' || n % 10, 'e' || n, '{}', 'active', 0, 'api', 0, 0, 2 FROM generate_series(1, 50) n`)
	const days = 30
	var all []time.Time
	for d := range days + 1 {
		all = append(all, dayOf(time.Now()).AddDate(0, 0, -d))
	}
	if err := s.makeDays(b.Context(), all); err != nil {
		b.Fatal(err)
	}
	for _, d := range all[1:] {
		// ids: the day's milliseconds in order, and the md5 of a number as chance
		exec(`CREATE TEMP TABLE seed AS SELECT g, (lpad(to_hex($1::bigint + g * 86400000 / $2::bigint), 12, '0') || substr(md5(g::text), 1, 20))::uuid AS id
			FROM generate_series(0, $2::bigint - 1) g`, d.UnixMilli(), int64(n/days))
		exec(`INSERT INTO events SELECT id, 1 + g % 200, 1024, 1, (($1::bigint + g * 86400000 / $2::bigint) >> 19)::int4, hashtext('given-' || g), ('given-' || g)::bytea,
			CASE WHEN g % 10 = 0 THEN ('key-' || g % 1000)::bytea END, '\x010064'::bytea || repeat('x', 100)::bytea || '\x000000000000'::bytea FROM seed ORDER BY id`, d.UnixMilli(), int64(n/days))
		exec(`INSERT INTO deliveries SELECT id, 1 + g % 50, 0, 0, 0, 1, 1000, CASE WHEN g % 50 = 7 THEN 1 ELSE 3 END, 0, 200, NULL FROM seed ORDER BY id`)
		exec(`DROP TABLE seed`)
	}
	e := &event.Event{ID: event.NewID(time.Now().Add(-20 * day)), Tenant: "rare", Source: "github", Type: "rare.type", GivenID: "given-777", Time: time.Now()}
	if err := s.Record(b.Context(), &store.Batch{Events: []store.EventRow{{Event: e}}}); err != nil {
		b.Fatal(err)
	}
	exec("VACUUM ANALYZE")
	return e.ID
}
