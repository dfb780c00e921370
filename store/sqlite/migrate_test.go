package sqlite

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/store"
)

func TestMigrateBuildsTheSchemaOnceForItsOwnerAlone(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/a b?c#d%20.db"
	first, err := Migrate(t.Context(), path, zap.NewNop())
	if err != nil || first == 0 {
		t.Fatalf("Migrate = %d, %v", first, err)
	}
	if again, err := Migrate(t.Context(), path, zap.NewNop()); again != 0 || err != nil {
		t.Errorf("a second Migrate = %d, %v, want 0", again, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	steps, err := Status(t.Context(), path)
	if err != nil || len(steps) != first {
		t.Fatalf("Status = %v, %v, want %d steps", steps, err, first)
	}
	for i, step := range steps {
		if step.Version != int64(i+1) || step.AppliedAt.IsZero() || !strings.HasSuffix(step.Name, ".sql") {
			t.Errorf("step %d = %+v", i, step)
		}
	}
	s := reopen(t, path, store.GenerateKey())
	for name, want := range map[string]int64{"page_size": pageSize, "synchronous": 2} {
		if got, err := pragma(s.writer.conn, name); got != want || err != nil {
			t.Errorf("%s = %d, %v, want %d", name, got, err, want)
		}
	}
}

func TestProcessesThatMigrateAtOnceAllSucceed(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/store.db"
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, err := Migrate(t.Context(), path, zap.NewNop()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	reopen(t, path, store.GenerateKey())
}

func TestInterruptedMigrationGoesOn(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/store.db"
	if err := create(path); err != nil {
		t.Fatal(err)
	}
	provider, err := newProvider(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpByOne(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := provider.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := tryOpen(t, path); err == nil || !strings.Contains(err.Error(), "sluice migrate up") {
		t.Errorf("Open with an older schema = %v, want what to do", err)
	}
	if _, err := Migrate(t.Context(), path, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	reopen(t, path, store.GenerateKey())
}

func TestOpenRefusesWhatItCannotUse(t *testing.T) {
	t.Parallel()
	newer := migrated(t)
	change(t, newer, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)")
	text := t.TempDir() + "/text"
	if err := os.WriteFile(text, []byte(strings.Repeat("no database\n", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir() + "/empty"
	if err := create(empty); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ path, want string }{
		"a newer schema": {newer, "newer Sluice"},
		"no schema":      {empty, "sluice migrate up"},
		"another file":   {text, "not a database"},
		"no file":        {t.TempDir() + "/none", "unable to open"},
		"a directory":    {t.TempDir(), "unable to open"},
	} {
		if _, err := tryOpen(t, tt.path); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Open = %v, want %q", name, err, tt.want)
		}
	}
	if _, err := Open(Config{Path: migrated(t)}, zap.NewNop(), prometheus.NewRegistry()); err == nil {
		t.Error("Open without an encryption key succeeds")
	}
	if _, err := Migrate(t.Context(), t.TempDir()+"/no/such/folder/x.db", zap.NewNop()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Migrate without a folder = %v", err)
	}
}

func tryOpen(t *testing.T, path string) (*Store, error) {
	t.Helper()
	sealer, err := store.ParseKeys(store.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	return Open(Config{Path: path, Sealer: sealer}, zap.NewNop(), prometheus.NewRegistry())
}

// change runs SQL on a file that no store has open.
func change(t *testing.T, path, sql string) {
	t.Helper()
	c, err := openConn(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.exec(sql), c.close()); err != nil {
		t.Fatal(err)
	}
}
