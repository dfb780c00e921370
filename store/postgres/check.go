package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/store"
)

const (
	// oldestServer is the first version with all that is used: pg_current_xact_id and pg_xact_status of a number of 64
	// bits, by which the end of a lost transaction is looked up, and vacuums for inserts alone (autovacuum_vacuum_insert_…).
	oldestServer = 13
	// fewConnections is less than a small fleet wants: each process takes up to dispatchConns + peopleConns.
	fewConnections = 50
	mostSkew       = time.Second
	oldTransaction = 10 * time.Minute
)

// Check opens a database without changing its schema, as Open would by making partitions, and reports what (*Store).Check does.
func Check(ctx context.Context, cfg Config) error {
	s, err := connect(ctx, cfg, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	return errors.Join(s.Check(ctx), s.Close())
}

// Check reports everything that keeps Sluice from working on this database, or breaks a promise (a server that may lose
// what it has committed), and as store.Warning what will hurt later. It writes a row and deletes it again.
func (s *Store) Check(ctx context.Context) error {
	server, err := s.askServer(ctx)
	if err != nil {
		return s.describe("ask the server for its settings", err)
	}
	problems := server.problems()
	problems = append(problems, s.checkTransactions(ctx, oldTransaction))
	if err := checkSchema(ctx, s.people); err != nil {
		return errors.Join(append(problems, err)...) // nothing else is as it should be
	}
	problems = append(problems, s.checkPrivileges(ctx), s.checkPartitions(ctx))
	if !server.readOnly {
		problems = append(problems, s.describe("write to the database", s.write(ctx, func(tx pgx.Tx) error { return probe(ctx, tx) })))
	}
	if _, err := s.Changes(ctx, 0); err != nil { // which opens every secret
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// server is what a session of ours finds set.
type server struct {
	version       int // major
	encoding      string
	readOnly      bool
	connections   int
	schema        *string
	createsTables bool
	settings      map[string]string
	skew          time.Duration // of its clock
}

const (
	// serverSettings asks for what holds in this session: roles and databases may have settings of their own.
	serverSettings = `SELECT current_setting('server_version_num')::int / 10000, current_setting('server_encoding'),
		pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean, current_setting('max_connections')::int,
		current_schema(), coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)`
	serverSwitches = `SELECT name, current_setting(name) FROM unnest(ARRAY['fsync', 'full_page_writes', 'synchronous_commit', 'autovacuum',
		'track_counts']) AS name`
	serverClock = `SELECT ` + dbNow
)

func (s *Store) askServer(ctx context.Context) (*server, error) {
	v := &server{settings: map[string]string{}}
	err := s.people.QueryRow(ctx, serverSettings).Scan(&v.version, &v.encoding, &v.readOnly, &v.connections, &v.schema, &v.createsTables)
	if err != nil {
		return nil, err
	}
	rows, err := s.people.Query(ctx, serverSwitches)
	if err != nil {
		return nil, err
	}
	var name, value string
	if _, err := pgx.ForEachRow(rows, []any{&name, &value}, func() error { v.settings[name] = value; return nil }); err != nil {
		return nil, err
	}
	v.skew, err = s.askSkew(ctx)
	return v, err
}

// askSkew returns how far the server's clock is ahead of this process's, at least.
func (s *Store) askSkew(ctx context.Context) (time.Duration, error) {
	var now int64
	before := s.localNow()
	if err := s.people.QueryRow(ctx, serverClock).Scan(&now); err != nil {
		return 0, err
	}
	after, there := s.localNow(), millis(now)
	switch {
	case there.Before(before):
		return there.Sub(before), nil
	case there.After(after):
		return there.Sub(after), nil
	}
	return 0, nil
}

// problems names what is set badly.
func (v *server) problems() (found []error) {
	wrong := func(is bool, format string, args ...any) {
		if is {
			found = append(found, fmt.Errorf(format, args...))
		}
	}
	warn := func(is bool, format string, args ...any) {
		if is {
			found = append(found, store.Warning(fmt.Sprintf(format, args...)))
		}
	}
	wrong(v.version < oldestServer, "the server is PostgreSQL %d, want %d or later", v.version, oldestServer)
	wrong(v.encoding != "UTF8", "the database's encoding is %s: make one with ENCODING 'UTF8' TEMPLATE template0", v.encoding)
	wrong(v.readOnly, "the server takes no writes: name the primary, or all hosts with target_session_attrs=read-write in store.url")
	wrong(v.settings["fsync"] == "off", "fsync is off: a crash of the machine loses what was answered with a 2xx, set it on")
	wrong(v.settings["synchronous_commit"] == "off", "synchronous_commit is off: a crash of the server loses what was answered with a 2xx, set it on for this role or database")
	wrong(v.schema == nil, "no schema of the search_path exists, or this role may use none of them")
	wrong(v.schema != nil && !v.createsTables, "this role may not create tables in its schema, as each new day asks for: GRANT CREATE ON SCHEMA")
	warn(v.settings["full_page_writes"] == "off", "full_page_writes is off: set it on, unless the file system never writes half a page")
	warn(v.settings["autovacuum"] == "off" || v.settings["track_counts"] == "off", "autovacuum is off: the queue grows without end, set autovacuum and track_counts on")
	warn(v.connections < fewConnections, "max_connections is %d: each process takes up to %d, set %d or more", v.connections, dispatchConns+peopleConns, fewConnections)
	warn(v.skew.Abs() > mostSkew, "the database's clock is %v off this machine's: have both follow a time server", v.skew.Round(time.Millisecond))
	return found
}

// oldTransactions lists sessions that have kept dead rows from being vacuumed for long. What others do is seen by members
// of pg_read_all_stats alone.
const oldTransactions = `SELECT pid, state, extract(epoch FROM clock_timestamp() - xact_start)::bigint FROM pg_stat_activity
	WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
		AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL) AND xact_start < clock_timestamp() - make_interval(secs => $1)
	ORDER BY xact_start LIMIT 5`

func (s *Store) checkTransactions(ctx context.Context, age time.Duration) error {
	rows, err := s.people.Query(ctx, oldTransactions, age.Seconds())
	if err != nil {
		return s.describe("look for old transactions", err)
	}
	var pid int32
	var state string
	var seconds int64
	var found []error
	_, err = pgx.ForEachRow(rows, []any{&pid, &state, &seconds}, func() error {
		found = append(found, store.Warning(fmt.Sprintf("process %d of the server has a transaction open for %v (%s) and holds vacuum back: end it, or set idle_in_transaction_session_timeout",
			pid, time.Duration(seconds)*time.Second, state)))
		return nil
	})
	return errors.Join(append(found, s.describe("look for old transactions", err))...)
}

// tables are all that the migrations make.
var tables = []string{
	"attempts", "bodies", "claims", "counters", "deliveries", "duplicates", "endpoints", "events", "gates", "keys", "kinds",
	"nodes", "quarantine", "queue", "released", "shards", "sources",
}

// tablePrivileges tells what is missing of each table: rights to its rows and to its sequence, and for partitioned ones
// ownership, which attaching and dropping partitions take.
const tablePrivileges = `SELECT name, coalesce(has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
			AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')
			AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_class q ON q.oid = d.objid WHERE d.refobjid = c.oid
				AND d.classid = 'pg_class'::regclass AND CASE q.relkind WHEN 'S' THEN NOT has_sequence_privilege(q.oid, 'USAGE') END), false),
		relkind IS DISTINCT FROM 'p' OR pg_has_role(relowner, 'USAGE')
	FROM unnest($1::text[]) AS name LEFT JOIN pg_class c ON c.oid = to_regclass(name) ORDER BY name`

func (s *Store) checkPrivileges(ctx context.Context) error {
	rows, err := s.people.Query(ctx, tablePrivileges, tables)
	if err != nil {
		return s.describe("look up privileges", err)
	}
	var name string
	var usable, owner bool
	var closed, foreign []string
	_, err = pgx.ForEachRow(rows, []any{&name, &usable, &owner}, func() error {
		if !usable {
			closed = append(closed, name)
		}
		if !owner {
			foreign = append(foreign, name)
		}
		return nil
	})
	problems := []error{s.describe("look up privileges", err)}
	if len(closed) > 0 {
		problems = append(problems, fmt.Errorf("this role may not SELECT, INSERT, UPDATE and DELETE, or not use the sequence, of %s: GRANT it", strings.Join(closed, ", ")))
	}
	if len(foreign) > 0 {
		problems = append(problems, fmt.Errorf("this role does not own %s, so it cannot make the partitions of days to come: run as the role that migrated, or as a member of it",
			strings.Join(foreign, ", ")))
	}
	return errors.Join(problems...)
}

// checkPartitions warns about days that are to be there ahead. A running process makes what is missing once an hour, and
// when it starts; so today and tomorrow are missing only if none could for a week, or none has run yet.
func (s *Store) checkPartitions(ctx context.Context) error {
	missing, some, err := s.missingDays(ctx, -1, s.ahead)
	switch {
	case err != nil:
		return err
	case !some:
		return store.Warning("there are no partitions yet: the first process that starts makes them")
	case len(missing) == 0:
		return nil
	}
	text := fmt.Sprintf("partitions of %s are missing: a process makes them when it starts and once an hour, see its log", strings.Join(missing, ", "))
	if urgent, _, err := s.missingDays(ctx, 0, 1); err != nil || len(urgent) > 0 {
		return errors.Join(err, errors.New(text))
	}
	return store.Warning(text)
}

// CheckDays reports partitions of today and tomorrow that are missing. Without them events of the day cannot be recorded.
func (s *Store) CheckDays(ctx context.Context) error {
	missing, _, err := s.missingDays(ctx, 0, 1)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("partitions of %s are missing, see the log", strings.Join(missing, ", "))
	}
	return err
}

// allPartitions is selectPartitions for several tables.
const allPartitions = `SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
	WHERE i.inhparent = ANY ($1::text[]::regclass[])`

// missingDays names the days, counted from today, of which a table has no partition, and reports whether any table has any.
func (s *Store) missingDays(ctx context.Context, from, to int) (missing []string, some bool, err error) {
	var parents []string
	for _, p := range partitioned {
		parents = append(parents, p.table)
	}
	rows, err := s.people.Query(ctx, allPartitions, parents)
	if err != nil {
		return nil, false, s.describe("look up partitions", err)
	}
	have, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, false, s.describe("look up partitions", err)
	}
	today := dayOf(s.localNow())
	for d := from; d <= to; d++ {
		at := today.AddDate(0, 0, d)
		if slices.ContainsFunc(parents, func(table string) bool { return !slices.Contains(have, partitionName(table, at)) }) {
			missing = append(missing, at.Format(time.DateOnly))
		}
	}
	return missing, len(have) > 0, nil
}

// probe writes a row, as every process does every few seconds, and takes it away again.
func probe(ctx context.Context, tx pgx.Tx) error {
	const node = "check"
	if _, err := tx.Exec(ctx, `INSERT INTO nodes (name, expires) VALUES ($1, 0) ON CONFLICT (name) DO NOTHING`, node); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `DELETE FROM nodes WHERE name = $1`, node)
	return err
}
