package pgtest_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluicehq/sluice/test/pgtest"
)

const patience = 10 * time.Second

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestDatabasesAreEmptyAndGoWithTheirTest(t *testing.T) {
	server := pgtest.Shared(t)
	if again := pgtest.Shared(t); again != server {
		t.Fatal("two shared servers, want one")
	}
	t.Run("a test", func(t *testing.T) {
		first, second := server.Database(t), server.Database(t)
		do(t, first, "CREATE TABLE here()")
		do(t, second, "CREATE TABLE here()")
		do(t, server.Copy(t, second), "SELECT FROM here")
	})
	left := server.Exec(t, "postgres", "SELECT datname FROM pg_database WHERE datname LIKE 'test%'")
	if len(left) != 0 {
		t.Fatalf("databases %v are left, want none", left)
	}
}

func TestServerKeepsWhatIsCommittedOverACrash(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{Settings: map[string]string{"synchronous_commit": "on", "work_mem": "5MB"}})
	url := server.Database(t)
	if got := server.Exec(t, "postgres", "SELECT current_setting('fsync'), current_setting('work_mem')"); got[0][0] != "on" || got[0][1] != "5MB" {
		t.Fatalf("fsync and work_mem are %v, want on and 5MB", got)
	}
	do(t, url, "CREATE TABLE kept AS SELECT 1")
	server.Stop(t, pgtest.Immediate)
	if err := try(url, patience, "SELECT 1"); err == nil {
		t.Fatal("a stopped server answers")
	}
	server.Start(t)
	do(t, url, "SELECT * FROM kept")
	server.Restart(t, pgtest.Fast)
	do(t, url, "SELECT * FROM kept")
}

func TestFrozenServerDoesNotAnswer(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{NoSync: true})
	url := server.Database(t)
	server.Freeze(t)
	err := try(url, 100*time.Millisecond, "SELECT 1")
	server.Thaw(t)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a frozen server: %v, want the deadline", err)
	}
	do(t, url, "SELECT 1")
}

func TestPgBouncerReachesEveryDatabase(t *testing.T) {
	server := pgtest.Shared(t)
	bouncer := pgtest.PgBouncer(t, server)
	for range 2 {
		do(t, bouncer.URL(server.Database(t)), "CREATE TABLE here()")
	}
}

func TestNothingRunsAsRoot(t *testing.T) {
	server := pgtest.Shared(t)
	data := server.Exec(t, "postgres", "SELECT current_setting('data_directory')")[0][0]
	if !filepath.IsAbs(data) {
		t.Fatalf("data folder %q, want an absolute path", data)
	}
	info, err := os.Stat(data)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o700 {
		t.Fatalf("data folder has mode %v, want 0700", info.Mode().Perm())
	}
}

func do(t *testing.T, url, sql string) {
	t.Helper()
	if err := try(url, patience, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func try(url string, within time.Duration, sql string) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, sql)
	return errors.Join(err, conn.Close(ctx))
}
