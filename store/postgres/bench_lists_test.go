package postgres

import (
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// BenchmarkLists measures what the API asks for, over a history of 30 days with as many deliveries as
// SLUICE_BENCH_HISTORY says (1,000,000): 50 endpoints of 10 tenants, 20 types, one event in 50 dead; and one tenant with
// one event, the rarest thing to look for.
func BenchmarkLists(b *testing.B) {
	n := sizeFromEnv(b, "SLUICE_BENCH_HISTORY", 1_000_000)
	s, _ := benchmarked(b)
	rare := seedHistory(b, s, n)
	weekAgo := time.Now().Add(-7 * day)
	middle := firstID(time.Now().Add(-15 * day))
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
	conn, err := s.dispatch.Acquire(b.Context()) // the temporary table is its own
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Release()
	exec := func(sql string, args ...any) {
		b.Helper()
		if _, err := conn.Exec(b.Context(), sql, args...); err != nil {
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

// seedToday writes n events of earlier today, with small bodies and deliveries, and a claim for each tenth.
func seedToday(b *testing.B, s *Store, n int) {
	if n == 0 {
		return
	}
	const step = 1_000_000
	conn, err := s.dispatch.Acquire(b.Context()) // the temporary table is its own
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Release()
	began := dayOf(time.Now()).UnixMilli()
	for at := 0; at < n; at += step {
		for _, sql := range []string{
			`CREATE TEMP TABLE seed AS SELECT g, (lpad(to_hex($1::bigint + g / 1000), 12, '0') || substr(md5(g::text), 1, 20))::uuid AS id
				FROM generate_series($2::bigint, $3::bigint) g`,
			`INSERT INTO events SELECT id, 1 + g % 200, 1024, 1, (($1::bigint + g / 1000) >> 19)::int4, hashtext(g::text), g::text::bytea, NULL, '\x'
				FROM seed WHERE g BETWEEN $2 AND $3 ORDER BY id`,
			`INSERT INTO bodies SELECT id, 'x' FROM seed WHERE $1::bigint > 0 AND g BETWEEN $2 AND $3 ORDER BY id`,
			`INSERT INTO deliveries SELECT id, 1 + g % 50, 0, 0, 0, 1, 1000, 3, 0, 200, NULL FROM seed WHERE $1::bigint > 0 AND g BETWEEN $2 AND $3 ORDER BY id`,
			`INSERT INTO claims SELECT md5(g::text)::uuid, id, $1::bigint + 259200000 FROM seed WHERE g BETWEEN $2 AND $3 AND g % 10 = 0`,
			`DROP TABLE seed`,
		} {
			var args []any
			if strings.Contains(sql, "$1") {
				args = []any{began, at, min(n, at+step) - 1}
			}
			if _, err := conn.Exec(b.Context(), sql, args...); err != nil {
				b.Fatal(err)
			}
		}
	}
}
