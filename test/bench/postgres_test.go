package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluicehq/sluice/test/pgtest"
)

// onPostgres calls f with a database on a server of the test's.
func onPostgres(t *testing.T, f func(*bench, *database) error) error {
	t.Helper()
	server := pgtest.Start(t, pgtest.Options{NoSync: true})
	b := &bench{out: t.TempDir(), size: 512, conns: 4, events: 10_000, postgresURL: server.URL("postgres")}
	if err := b.prepare(); err != nil {
		t.Fatal(err)
	}
	p, err := b.startPostgres(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if p.Settings["fsync"] != "off" || p.Version == "" {
		t.Errorf("a server without fsync: got %v", p)
	}
	err = p.with(t.Context(), func(db *database) error {
		if db.pid != server.PID() {
			t.Errorf("the server's first process is %d, got %d", server.PID(), db.pid)
		}
		return f(b, db)
	})
	if left := server.Exec(t, "postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'sluice_bench%'"); len(left) != 0 {
		t.Errorf("databases %v are left, want none", left)
	}
	return errors.Join(err, p.stop())
}

func TestRelayWritesRowsOfWhatItDelivers(t *testing.T) {
	const joined = `SELECT count(*) FROM events JOIN deliveries ON event = id
		WHERE length(body) = 512 AND convert_from(body, 'UTF8') LIKE '{"seq":"%' AND finished_at >= received_at AND status = 200`
	err := onPostgres(t, func(b *bench, db *database) error {
		err := b.withRelay(t.Context(), db, func(r *rig) error {
			res, err := r.run(t.Context(), load{rate: 200, measure: 1500 * time.Millisecond, drain: 10 * time.Second})
			if res.Sent != 300 || res.Missing != 0 {
				t.Errorf("300 events at 200/s: got %+v", res)
			}
			if _, ok := res.CPU["postgres"]; !ok {
				t.Errorf("CPU of the server is missing: got %v", res.CPU)
			}
			return err
		})
		return errors.Join(err, use(t.Context(), db.url, func(conn *pgx.Conn) error {
			var n int
			err := conn.QueryRow(t.Context(), joined).Scan(&n)
			if n != 300 {
				t.Errorf("events with their deliveries: got %d, want 300", n)
			}
			return err
		}))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRelayThatCannotWriteRowsIsNoLimit(t *testing.T) {
	err := onPostgres(t, func(b *bench, db *database) error {
		return b.withRelay(t.Context(), db, func(r *rig) error {
			if err := execute(t.Context(), db.url, "DROP TABLE deliveries"); err != nil {
				t.Fatal(err)
			}
			res, err := r.run(t.Context(), load{rate: 200, measure: time.Second})
			if res.Refused["503"] == 0 || res.Unfit == "" {
				t.Errorf("events that leave no rows: got %+v, want them refused", res)
			}
			return err
		})
	})
	if err == nil {
		t.Error("no error, though nothing was written")
	}
}

func TestGatewayGetsTheDatabaseAndNothingOfOthers(t *testing.T) {
	t.Setenv("SLUICE_STORE_URL", "postgres://somebody/else")
	for name, tc := range map[string]struct {
		db   *database
		want []string
	}{
		"embedded":   {nil, nil},
		"PostgreSQL": {&database{url: "postgres://here/it", key: "k"}, []string{"SLUICE_STORE_URL=postgres://here/it", "SLUICE_ENCRYPTION_KEY=k"}},
	} {
		g := &gateway{setup: setup{Database: tc.db}}
		env := g.command(t.Context(), "serve").Env
		if got := env[len(env)-len(tc.want):]; !slices.Equal(got, tc.want) {
			t.Errorf("%s: environment ends %q, want %q", name, got, tc.want)
		}
		if slices.Contains(env, "SLUICE_STORE_URL=postgres://somebody/else") {
			t.Errorf("%s: it has another's store", name)
		}
	}
}

func TestWithDatabaseKeepsEverythingElse(t *testing.T) {
	got, err := withDatabase("postgres://u:p@h:1/old?sslmode=disable", "new")
	if want := "postgres://u:p@h:1/new?sslmode=disable"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	for _, bad := range []string{"host=h dbname=x", "mysql://h/x", "%zz"} {
		if _, err := withDatabase(bad, "new"); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestWantedScenarios(t *testing.T) {
	for name, tc := range map[string]struct {
		names    []string
		postgres bool
		want     []string
	}{
		"none is all":                   {nil, true, scenarios},
		"all":                           {[]string{"all"}, true, scenarios},
		"all without PostgreSQL":        {[]string{"all"}, false, []string{"load", "isolation", "backlog"}},
		"the load is on PostgreSQL too": {[]string{"load"}, true, []string{"load", "postgres"}},
		"the embedded load alone":       {[]string{"load"}, false, []string{"load"}},
		"PostgreSQL alone":              {[]string{"postgres", "postgres"}, true, []string{"postgres"}},
		"in their order":                {[]string{"backlog", "postgres"}, true, []string{"postgres", "backlog"}},
		"a contradiction":               {[]string{"postgres"}, false, nil},
		"unknown":                       {[]string{"load", "lod"}, true, nil},
	} {
		got, err := wantedScenarios(tc.names, tc.postgres)
		if !slices.Equal(got, tc.want) || (err != nil) != (tc.want == nil) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, tc.want)
		}
	}
}

func TestFamilyTimeCountsChildrenAliveAndEnded(t *testing.T) {
	const burn = `end=$(($(date +%s%N) + 300000000)); while [ $(date +%s%N) -lt $end ]; do :; done`
	// The shell waits for one child that burns CPU; a second burns it and stays.
	script := fmt.Sprintf("(%s); ( i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo; exec sleep 60 ) & wait", burn)
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // with its children
		_ = cmd.Wait()
	}()
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	own, err1 := cpuTime(cmd.Process.Pid)
	family, err2 := familyTime(cmd.Process.Pid)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	stat, err := readStat(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if stat.parent != os.Getpid() {
		t.Errorf("parent: got %d, want %d", stat.parent, os.Getpid())
	}
	if stat.reaped <= 0 || family <= own+stat.reaped {
		t.Errorf("its own %v, of ended children %v, the family's %v: want a living child in it", own, stat.reaped, family)
	}
}
