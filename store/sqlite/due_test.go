package sqlite

import (
	"strings"
	"testing"
	"time"

	lib "modernc.org/sqlite/lib"

	"github.com/sluicehq/sluice/store"
)

// fillQueue queues rows of one endpoint that are due, as fast as SQLite can: events one millisecond apart up to at.
const fillQueue = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
	INSERT INTO queue (endpoint, event, replay, size, attempt, next_at, reason, queued_at)
	SELECT ?2, CAST(unhex(printf('%012x', ?3 - ?1 + i)) || zeroblob(10) AS BLOB), 0, 1024, NULL, ?3 - ?1 + i, 'gate', ?3 FROM n`

func fill(t testing.TB, s *Store, endpoint store.EndpointID, rows int, at time.Time) {
	t.Helper()
	err := s.write(t.Context(), volatile, rows, func(c *conn) error {
		return c.prepare(fillQueue).int(int64(rows)).int(int64(endpoint)).int(at.UnixMilli()).run()
	})
	if err != nil {
		t.Fatal(err)
	}
}

// steps returns how many steps of its virtual machine SQLite made for Due since it was last asked.
func steps(t *testing.T, s *Store) (n int32) {
	t.Helper()
	err := s.read(t.Context(), func(c *conn) error {
		for _, sql := range []string{nextWaiting, dueOf} {
			n += lib.Xsqlite3_stmt_status(c.tls, c.prepare(sql).handle, lib.SQLITE_STMTSTATUS_VM_STEP, 1)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func allShards() (shards []store.Shard) {
	for i := range store.Shards {
		shards = append(shards, store.Shard(i))
	}
	return shards
}

func TestRowsOfADeadEndpointCostTheOthersNothing(t *testing.T) {
	t.Parallel()
	sealer, err := store.ParseKeys(store.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	s := openWith(t, Config{Path: migrated(t), Sealer: sealer, Readers: 1}) // one, so that its statements can be asked
	now := time.Now()
	for _, id := range []store.EndpointID{1, 9} {
		fill(t, s, id, 3, now)
	}
	q := store.DueQuery{Shards: allShards(), Now: now, Room: 10, Limit: 100, Rooms: map[store.EndpointID]int{5: 0}}
	cost := func() int32 {
		steps(t, s)
		rows, err := s.Due(t.Context(), q)
		if err != nil || len(rows) != 6 {
			t.Fatalf("Due = %d rows, %v, want 6", len(rows), err)
		}
		return steps(t, s)
	}
	fill(t, s, 5, 1, now.Add(-time.Hour))
	few := cost()
	fill(t, s, 5, manyRows, now)
	if many := cost(); many != few {
		t.Errorf("Due took %d steps beside a row of a dead endpoint, and %d beside %d", few, many, manyRows)
	}
}

// TestPlans checks that statements go the way their comments say: down an index, without sorting.
func TestPlans(t *testing.T) {
	t.Parallel()
	s := reopen(t, migrated(t), store.GenerateKey())
	id := store.DeliveryID{Endpoint: 1, Event: [16]byte{1}}
	deliveries := func(q store.DeliveryQuery) [2]string { return [2]string{historyQuery(&q), queueQuery(&q)} }
	all, dead := deliveries(store.DeliveryQuery{Before: id}), deliveries(store.DeliveryQuery{State: store.DeliveryDead})
	end, endDead := deliveries(store.DeliveryQuery{Endpoint: 1, Before: id}), deliveries(store.DeliveryQuery{Endpoint: 1, State: store.DeliveryDead})
	tenant := deliveries(store.DeliveryQuery{Tenant: "acme"})
	tests := []struct{ name, sql, want string }{
		{"next endpoint with rows", nextWaiting, "SEARCH queue USING COVERING INDEX queue_due (endpoint>?)"},
		{"due rows of one", dueOf, "SEARCH queue USING INDEX queue_due (endpoint=? AND next_at<?)"},
		{"an endpoint's oldest row", depths, "SEARCH queue USING PRIMARY KEY (endpoint=?)"},
		{"a claim's holder", holderOf, "SEARCH claims USING PRIMARY KEY (digest=?)"},
		{"an event", isRecorded, "SEARCH events USING PRIMARY KEY (id=?)"},
		{"known deliveries, queued", knownDeliveries, "SEARCH queue USING COVERING INDEX queue_event (event=?)"},
		{"known deliveries, finished", knownDeliveries, "SEARCH deliveries USING PRIMARY KEY (event=?)"},
		{"a body", selectBody, "SEARCH bodies USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"},
		{"deliveries", all[0], "SEARCH deliveries USING PRIMARY KEY (event"},
		{"queued deliveries", all[1], "SEARCH queue USING INDEX queue_event (event"},
		{"dead deliveries", dead[0], "SEARCH deliveries USING INDEX deliveries_failed (state=? AND event>? AND event<?)"},
		{"an endpoint's deliveries", end[0], "SEARCH deliveries USING INDEX deliveries_endpoint (endpoint=? AND event"},
		{"an endpoint's queued deliveries", end[1], "SEARCH queue USING PRIMARY KEY (endpoint=? AND event"},
		{"an endpoint's dead deliveries", endDead[0], "deliveries_endpoint_failed (endpoint=? AND state=? AND event>? AND event<?)"},
		{"a tenant's deliveries", tenant[0], "SEARCH deliveries USING PRIMARY KEY (event"},
		{"gates of the last 30 s", changedGates, "SEARCH gates USING INDEX gates_changed_at (changed_at>?)"},
		{"old bodies", expireBodies, "SEARCH bodies USING INTEGER PRIMARY KEY (rowid<?)"},
		{"old events", expireEvents, "SEARCH events USING PRIMARY KEY (id<?)"},
		{"old deliveries", expireDeliveries, "SEARCH deliveries USING PRIMARY KEY (event<?)"},
		{"old attempts", expireAttempts, "SEARCH attempts USING PRIMARY KEY (event<?)"},
		{"old quarantine", expireQuarantine, "SEARCH quarantine USING COVERING INDEX quarantine_at (at<?)"},
		{"changed endpoints", changedSinceEndpoints, "SEARCH endpoints USING INDEX endpoints_version (version>?)"},
	}
	for _, tt := range tests {
		plan := planOf(t, s, tt.sql)
		if !strings.Contains(plan, tt.want) || strings.Contains(plan, "TEMP B-TREE") && tt.name != "changed endpoints" && !strings.Contains(tt.name, "known") {
			t.Errorf("%s: want %q and nothing sorted, got\n%s", tt.name, tt.want, plan)
		}
	}
}

func planOf(t *testing.T, s *Store, sql string) string {
	t.Helper()
	var lines []string
	err := s.read(t.Context(), func(c *conn) error {
		st := c.prepare("EXPLAIN QUERY PLAN " + sql)
		for st.next() {
			st.column = 3
			lines = append(lines, st.readText())
		}
		return st.end()
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	return strings.Join(lines, "\n")
}
