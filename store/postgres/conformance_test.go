package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/storetest"
	"github.com/sluicehq/sluice/test/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// keepLong has storetest's events of long ago find a day.
const keepLong = 400 * day

func TestConformance(t *testing.T) {
	t.Parallel()
	database := pgtest.Shared(t).Database(t)
	storetest.Run(t, func(t *testing.T) storetest.Harness { return harness(t, schema(t, database)) })
}

// schema makes an empty schema in a database and returns the URL for it: much cheaper than a database.
func schema(t testing.TB, database string) string {
	t.Helper()
	name := fmt.Sprintf("s%x", rand.Uint64())
	run := func(ctx context.Context, sql string) {
		conn, err := pgx.Connect(ctx, database)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := conn.Close(ctx); err != nil {
				t.Error(err)
			}
		}()
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	run(t.Context(), "CREATE SCHEMA "+name)
	t.Cleanup(func() { run(context.Background(), "DROP SCHEMA "+name+" CASCADE") })
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", name)
	u.RawQuery = q.Encode()
	return u.String()
}

func harness(t *testing.T, url string) storetest.Harness {
	if _, err := Migrate(t.Context(), url, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	return harnessOf(t, url)
}

// harnessOf is the harness of a database that has its schema.
func harnessOf(t *testing.T, url string) storetest.Harness {
	key := store.GenerateKey()
	s := open(t, url, key)
	return storetest.Harness{
		Store:   s,
		Advance: func(d time.Duration) { s.skew.Add(int64(d)) },
		Reopen: func(t *testing.T) store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			again := open(t, url, key)
			again.skew.Store(s.skew.Load())
			s = again
			return s
		},
		WholeDays: true,
		AtRest:    func(t *testing.T) []byte { return atRest(t, s) },
	}
}

var hexadecimal = regexp.MustCompile(`\\\\x([0-9a-f]+)`)

// atRest returns all rows of all tables as text, and once more what that has in hexadecimal.
func atRest(t *testing.T, s *Store) []byte {
	rows, err := s.people.Query(t.Context(), `SELECT tablename FROM pg_tables WHERE schemaname = current_schema()`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, table := range tables {
		var text string
		query := fmt.Sprintf(`SELECT coalesce(string_agg(t::text, E'\n'), '') FROM %s t`, pgx.Identifier{table}.Sanitize())
		if err := s.people.QueryRow(t.Context(), query).Scan(&text); err != nil {
			t.Fatal(err)
		}
		all = append(all, text...)
		for _, found := range hexadecimal.FindAllStringSubmatch(text, -1) {
			decoded, err := hex.DecodeString(found[1])
			if err != nil {
				t.Fatal(err)
			}
			all = append(append(all, '\n'), decoded...)
		}
	}
	return all
}

// open opens a store as tests need it.
func open(t testing.TB, url string, key store.Secret) *Store {
	t.Helper()
	return openWith(t, Config{URL: url, History: keepLong, daysAhead: 1}, key)
}

func openWith(t testing.TB, cfg Config, key store.Secret) *Store {
	t.Helper()
	sealer, err := store.ParseKeys(key)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Sealer = sealer
	s, err := Open(t.Context(), cfg, zaptest.NewLogger(t), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
