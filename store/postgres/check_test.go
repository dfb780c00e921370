package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/test/pgtest"
)

// goodSettings are the server's whose check finds nothing.
var goodSettings = pgtest.Options{Settings: map[string]string{"max_connections": "60"}}

// checked returns what Check finds of a database: problems and warnings, as text.
func checked(t *testing.T, s *Store) (problems, warnings []string) {
	t.Helper()
	err := s.Check(t.Context())
	if err == nil {
		return nil, nil
	}
	for _, line := range flatten(err) {
		var w store.Warning
		if errors.As(line, &w) {
			warnings = append(warnings, line.Error())
		} else {
			problems = append(problems, line.Error())
		}
	}
	return problems, warnings
}

func flatten(err error) (all []error) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	for _, e := range joined.Unwrap() {
		all = append(all, flatten(e)...)
	}
	return all
}

// wantFound compares what was found with a piece of the text of each.
func wantFound(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	ok := len(got) == len(want)
	for i := range min(len(got), len(want)) {
		ok = ok && strings.Contains(got[i], want[i])
	}
	if !ok {
		t.Errorf("%s: got %q, want %q in them", what, got, want)
	}
}

// migrated returns the URL of a database with its tables.
func migrated(t *testing.T, s *pgtest.Server) string {
	t.Helper()
	url := s.Database(t)
	if _, err := Migrate(t.Context(), url, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	return url
}

func databaseIn(t *testing.T, text string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

// with returns a URL as another user, or with another parameter.
func with(t *testing.T, text, user, parameter, value string) string {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		u.User = url.User(user)
	}
	if parameter != "" {
		q := u.Query()
		q.Set(parameter, value)
		u.RawQuery = q.Encode()
	}
	return u.String()
}

func checkURL(t *testing.T, url string) (problems, warnings []string) {
	t.Helper()
	sealer, err := store.ParseKeys(store.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	s, err := connect(t.Context(), Config{URL: url, Sealer: sealer, History: keepLong, daysAhead: 1}, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	return checked(t, s)
}

func TestCheckFindsNothingWhereAllIsWell(t *testing.T) {
	t.Parallel()
	s := open(t, migrated(t, pgtest.Start(t, goodSettings)), store.GenerateKey())
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check = %v, want nothing", err)
	}
}

func TestCheckNamesSettingsThatHurt(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{NoSync: true, Settings: map[string]string{
		"full_page_writes": "off", "autovacuum": "off", "max_connections": "30", "synchronous_commit": "off",
	}})
	s := open(t, migrated(t, server), store.GenerateKey())
	problems, warnings := checked(t, s)
	wantFound(t, "problems", problems, "fsync is off", "synchronous_commit is off")
	wantFound(t, "warnings", warnings, "full_page_writes is off", "autovacuum is off", "max_connections is 30: each process takes up to 12")
}

func TestCheckNamesWhatIsSetForTheRoleOrDatabase(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, goodSettings)
	url := migrated(t, server)
	open(t, url, store.GenerateKey()) // makes the partitions
	server.Exec(t, "postgres", "ALTER DATABASE "+databaseIn(t, url)+" SET synchronous_commit = off")
	problems, warnings := checkURL(t, url)
	wantFound(t, "problems", problems, "synchronous_commit is off")
	wantFound(t, "warnings", warnings)

	server.Exec(t, "postgres", "ALTER DATABASE "+databaseIn(t, url)+" RESET ALL; ALTER DATABASE "+databaseIn(t, url)+" SET default_transaction_read_only = on")
	problems, _ = checkURL(t, url)
	wantFound(t, "problems of a database that takes no writes", problems, "takes no writes")
}

func TestCheckNamesAnEncodingThatIsNotUTF8(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, goodSettings)
	server.Exec(t, "postgres", "CREATE DATABASE latin ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'")
	problems, _ := checkURL(t, server.URL("latin"))
	wantFound(t, "problems", problems, "encoding is SQL_ASCII", "schema is at version 0")
}

func TestCheckNamesWhatTheRoleMayNot(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, goodSettings)
	url := migrated(t, server)
	open(t, url, store.GenerateKey()) // makes the partitions
	name := databaseIn(t, url)
	server.Exec(t, name, `CREATE ROLE worker LOGIN; GRANT USAGE ON SCHEMA public TO worker;
		GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO worker; REVOKE INSERT ON queue FROM worker`)
	problems, warnings := checkURL(t, with(t, url, "worker", "", ""))
	wantFound(t, "problems", problems, "may not create tables", "of endpoints, keys, kinds, quarantine, queue, sources: GRANT it",
		"does not own attempts, bodies, deliveries, duplicates, events,")
	wantFound(t, "warnings", warnings)

	server.Exec(t, name, `GRANT CREATE ON SCHEMA public TO worker; GRANT INSERT ON queue TO worker; GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO worker;
		ALTER TABLE attempts OWNER TO worker; ALTER TABLE bodies OWNER TO worker; ALTER TABLE deliveries OWNER TO worker;
		ALTER TABLE duplicates OWNER TO worker; ALTER TABLE events OWNER TO worker`)
	problems, _ = checkURL(t, with(t, url, "worker", "", ""))
	wantFound(t, "problems after all was granted", problems)

	server.Exec(t, name, `REVOKE SELECT ON counters FROM worker`)
	problems, _ = checkURL(t, with(t, url, "worker", "", ""))
	wantFound(t, "problems without the configuration's version", problems, "of counters: GRANT it", "permission denied for table counters")
}

func TestCheckNamesASchemaThatIsNotThere(t *testing.T) {
	t.Parallel()
	url := migrated(t, pgtest.Shared(t))
	problems, _ := checkURL(t, with(t, url, "", "search_path", "nowhere"))
	if !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, "no schema of the search_path exists") }) {
		t.Errorf("problems %q, want that there is no schema", problems)
	}
}

func TestCheckNamesMissingDays(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, goodSettings)
	url := migrated(t, server)
	problems, warnings := checkURL(t, url)
	wantFound(t, "problems before the first start", problems)
	wantFound(t, "warnings before the first start", warnings, "there are no partitions yet")

	s := open(t, url, store.GenerateKey())
	s.ahead = 3
	if err := s.makePartitions(t.Context()); err != nil {
		t.Fatal(err)
	}
	on := func(days int) time.Time { return dayOf(time.Now()).AddDate(0, 0, days) }
	drop := func(table string, days int) {
		server.Exec(t, databaseIn(t, url), "DROP TABLE "+partitionName(table, on(days)))
	}
	drop("attempts", 3)
	drop("events", -1)
	problems, warnings = checked(t, s)
	wantFound(t, "problems", problems)
	wantFound(t, "warnings", warnings, fmt.Sprintf("partitions of %s, %s are missing", on(-1).Format(time.DateOnly), on(3).Format(time.DateOnly)))
	if err := s.CheckDays(t.Context()); err != nil {
		t.Errorf("CheckDays = %v, want nil: today and tomorrow are there", err)
	}

	drop("bodies", 1)
	problems, _ = checked(t, s)
	wantFound(t, "problems", problems, on(1).Format(time.DateOnly))
	if err := s.CheckDays(t.Context()); err == nil || !strings.Contains(err.Error(), "partitions of "+on(1).Format(time.DateOnly)+" are missing") {
		t.Errorf("CheckDays = %v, want that tomorrow is missing", err)
	}
}

func TestCheckNamesClocksThatDiffer(t *testing.T) {
	t.Parallel()
	s := open(t, migrated(t, pgtest.Shared(t)), store.GenerateKey())
	for _, ahead := range []time.Duration{3 * time.Second, -3 * time.Second, 500 * time.Millisecond} {
		s.skew.Store(int64(ahead))
		_, warnings := checked(t, s)
		if found := slices.ContainsFunc(warnings, func(w string) bool { return strings.Contains(w, "clock is ") }); found != (ahead.Abs() > time.Second) {
			t.Errorf("this process's clock is %v ahead: warnings %q", ahead, warnings)
		}
	}
}

func TestCheckNamesOldTransactions(t *testing.T) {
	t.Parallel()
	url := migrated(t, pgtest.Shared(t))
	s := open(t, url, store.GenerateKey())
	other, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close(context.Background()) }()
	if _, err := other.Exec(t.Context(), "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM queue"); err != nil {
		t.Fatal(err)
	}
	if err := s.checkTransactions(t.Context(), oldTransaction); err != nil {
		t.Errorf("a transaction of a moment ago: %v, want nothing", err)
	}
	err = s.checkTransactions(t.Context(), 0)
	if want := fmt.Sprintf("process %d of the server has a transaction open", other.PgConn().PID()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestCheckKnowsEveryTable(t *testing.T) {
	t.Parallel()
	s := open(t, migrated(t, pgtest.Shared(t)), store.GenerateKey())
	rows, err := s.people.Query(t.Context(), `SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
		AND NOT relispartition AND relname <> 'goose_db_version' ORDER BY relname`)
	if err != nil {
		t.Fatal(err)
	}
	have, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(have, tables) {
		t.Errorf("the database has %q, Check looks at %q", have, tables)
	}
}

func TestCheckOfANewDatabaseChangesNothing(t *testing.T) {
	t.Parallel()
	server := pgtest.Shared(t)
	url := server.Database(t)
	sealer, err := store.ParseKeys(store.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	err = Check(t.Context(), Config{URL: url, Sealer: sealer})
	if err == nil || !strings.Contains(err.Error(), "run `sluice migrate up`") {
		t.Errorf("Check = %v, want what to run", err)
	}
	if made := server.Exec(t, databaseIn(t, url), "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"); len(made) > 0 {
		t.Errorf("Check made %q", made)
	}
}
