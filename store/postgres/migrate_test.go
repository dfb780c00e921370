package postgres

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sync/errgroup"

	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/test/pgtest"
)

// steps is how many migrations there are.
func steps(t *testing.T) int {
	t.Helper()
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func openErr(t *testing.T, url string) error {
	t.Helper()
	sealer, err := store.ParseKeys(store.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Config{URL: url, Sealer: sealer, History: keepLong}, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	return s.Close()
}

func TestMigratingTwiceAtOnceTakesEachStepOnce(t *testing.T) {
	t.Parallel()
	url := pgtest.Shared(t).Database(t)
	var applied [3]int
	g, ctx := errgroup.WithContext(t.Context())
	for i := range applied {
		g.Go(func() (err error) {
			applied[i], err = Migrate(ctx, url, zap.NewNop())
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if sum := applied[0] + applied[1] + applied[2]; sum != steps(t) {
		t.Errorf("%v steps taken, want %d in all", applied, steps(t))
	}
	if err := openErr(t, url); err != nil {
		t.Error(err)
	}
	if n, err := Migrate(t.Context(), url, zap.NewNop()); n != 0 || err != nil {
		t.Errorf("Migrate of a database that is up to date = %d, %v", n, err)
	}
}

func TestStatusTellsWhichStepsAreTaken(t *testing.T) {
	t.Parallel()
	url := pgtest.Shared(t).Database(t)
	for taken := range 2 {
		all, err := Status(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		if len(all) != steps(t) {
			t.Fatalf("%d steps, want %d", len(all), steps(t))
		}
		for i, step := range all {
			if step.Version != int64(i+1) || !strings.HasSuffix(step.Name, ".sql") {
				t.Errorf("step %d is %+v", i+1, step)
			}
			if got := !step.AppliedAt.IsZero(); got != (i < taken) {
				t.Errorf("after %d steps, step %d is taken: %v", taken, i+1, got)
			}
		}
		oneStep(t, url)
	}
}

// oneStep takes the next migration alone.
func oneStep(t *testing.T, url string) {
	t.Helper()
	provider, err := newProvider(url, migrations, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := provider.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := provider.UpByOne(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestOlderSchemaIsRefusedWithWhatToRun(t *testing.T) {
	t.Parallel()
	url := pgtest.Shared(t).Database(t)
	for version := range steps(t) {
		err := openErr(t, url)
		if err == nil || !strings.Contains(err.Error(), "`sluice migrate up`") || !strings.Contains(err.Error(), fmt.Sprintf("version %d,", version)) {
			t.Errorf("Open on version %d = %v, want the version, and to run `sluice migrate up`", version, err)
		}
		oneStep(t, url)
	}
	if err := openErr(t, url); err != nil {
		t.Errorf("Open on the newest version = %v", err)
	}
}

func TestNewerSchemaIsAccepted(t *testing.T) {
	t.Parallel()
	url := pgtest.Shared(t).Database(t)
	s := opened(t, url, url)
	_, err := s.people.Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES ($1, true)`, steps(t)+1)
	if err != nil {
		t.Fatal(err)
	}
	if err := openErr(t, url); err != nil {
		t.Errorf("Open on a newer schema = %v", err)
	}
}

// withStep are the migrations and one more.
func withStep(t *testing.T, sql string) fs.FS {
	t.Helper()
	all := fstest.MapFS{}
	names, err := fs.Glob(migrations, "migrations/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		text, err := migrations.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = &fstest.MapFile{Data: text}
	}
	all[fmt.Sprintf("migrations/%05d_more.sql", len(names)+1)] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + sql)}
	return all
}

func TestMigrationThatGetsNoLockLetsOthersPassAndTriesAgain(t *testing.T) {
	t.Parallel()
	url := pgtest.Shared(t).Database(t)
	s := opened(t, url, url)
	if err := s.Record(t.Context(), delivered(1)); err != nil {
		t.Fatal(err)
	}
	release := locked(t, url, "SELECT count(*) FROM events") // a dump, say
	logs, logged := observer.New(zap.WarnLevel)
	result := make(chan error, 1)
	go func() {
		n, err := migrate(t.Context(), url, withStep(t, "ALTER TABLE events ADD COLUMN more integer;"), zap.New(logs))
		if err == nil && n != 1 {
			err = fmt.Errorf("%d steps taken, want 1", n)
		}
		result <- err
	}()
	for range 2 {
		awaitWaiting(t, s)
		began := time.Now()
		if err := s.Record(t.Context(), delivered(1)); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > migrationLock+500*time.Millisecond {
			t.Errorf("a batch took %v beside the migration, want %v at most", took, migrationLock)
		}
	}
	release()
	if err := <-result; err != nil {
		t.Error(err)
	}
	if logged.FilterMessageSnippet("tried again").Len() == 0 {
		t.Error("the migration did not say that it waits for others")
	}
	if err := s.Record(t.Context(), delivered(1)); err != nil {
		t.Errorf("Record on the schema of a newer program: %v", err)
	}
}

func TestMigrationThatFailsSaysWhichAndKeepsWhatWasTaken(t *testing.T) {
	t.Parallel()
	url := pgtest.Shared(t).Database(t)
	n, err := migrate(t.Context(), url, withStep(t, "ALTER TABLE nowhere ADD COLUMN more integer;"), zap.NewNop())
	if n != steps(t) || !hasCode(err, undefinedTable) {
		t.Errorf("migrate = %d, %v, want %d and the reason", n, err, steps(t))
	}
	if err := openErr(t, url); err != nil {
		t.Error(err)
	}
}

// What makes and drops partitions waits for whoever reads the tables, and everybody else behind it: a moment at most.
func TestPartitionsAreMadeAndDroppedWithoutHoldingBatchesUp(t *testing.T) {
	t.Parallel()
	url := pgtest.Shared(t).Database(t)
	s := opened(t, url, url)
	release := locked(t, url, "SELECT count(*) FROM events") // a dump, say
	now := time.Now()
	old := dayOf(now).AddDate(0, 0, -20)
	if err := s.makeDays(t.Context(), []time.Time{old}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var working sync.WaitGroup
	longest := time.Duration(0)
	working.Go(func() {
		for ctx.Err() == nil {
			began := time.Now()
			if err := s.Record(t.Context(), delivered(1)); err != nil {
				t.Error(err)
				return
			}
			longest = max(longest, time.Since(began))
		}
	})
	before := dayOf(now).AddDate(0, 0, -10)
	soon, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	_, err := s.Expire(soon, before, before, now, 10)
	cancel()
	stop()
	working.Wait()
	if err == nil {
		t.Error("Expire has dropped what another transaction reads")
	}
	t.Logf("the longest batch took %v", longest)
	if longest > time.Second {
		t.Errorf("a batch took %v, want a second at most", longest)
	}
	release()
	if _, err := s.Expire(t.Context(), before, before, now, 10); err != nil {
		t.Fatal(err)
	}
	var there bool
	if err := s.people.QueryRow(t.Context(), `SELECT to_regclass($1) IS NOT NULL`, partitionName("events", old)).Scan(&there); err != nil || there {
		t.Errorf("the old partition is there: %v, %v", there, err)
	}
}
