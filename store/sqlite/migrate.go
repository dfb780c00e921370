package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"
	"go.uber.org/zap"
	_ "modernc.org/sqlite" // the driver that goose uses

	"github.com/sluicehq/sluice/pkg/telemetry"
)

//go:embed migrations/*.sql
var migrations embed.FS

// pageSize of the file: what a random row of claims dirties, and how many bodies of 1 KiB share a leaf. See doc.go.
const pageSize = 8192

// migrationTries bounds how often Migrate begins again when another process migrates at the same time.
const migrationTries = 5

// Migration is one step of the schema.
type Migration struct {
	Version   int64
	Name      string
	AppliedAt time.Time // zero: not yet
}

// Migrate creates the database file if there is none (for its owner alone) and brings its schema up to date, each step
// in a transaction of its own, so that one which was interrupted is simply run again. It returns how many steps it took.
// Several processes may call it at once.
func Migrate(ctx context.Context, path string, logger *zap.Logger) (int, error) {
	if err := create(path); err != nil {
		return 0, err
	}
	applied := 0
	for try := 1; ; try++ {
		n, err := migrate(ctx, path, logger)
		applied += n
		if err == nil || try == migrationTries || ctx.Err() != nil {
			return applied, err
		}
	}
}

// create makes an empty file that only its owner may read: it holds bodies of events.
func create(path string) error {
	if path == "" {
		return errors.New("sqlite store: no path")
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("create store: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("create store: %w", err)
	}
	// The size of pages is settled by the first write. Not by the driver, which sets pragmas in an order of its own.
	c, err := openConn(path, fmt.Sprintf("PRAGMA page_size = %d", pageSize), "PRAGMA journal_mode = WAL")
	if err != nil {
		return err
	}
	return c.close()
}

func migrate(ctx context.Context, path string, logger *zap.Logger) (applied int, err error) {
	provider, err := newProvider(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, provider.Close()) }()
	results, err := provider.Up(ctx)
	for _, r := range results {
		logger.Info("schema migrated", telemetry.Migration(r.Source.Version, filepath.Base(r.Source.Path)), telemetry.Duration(r.Duration))
	}
	if err != nil {
		return len(results), fmt.Errorf("migrate %s: %w", path, err)
	}
	return len(results), nil
}

// Status returns every step of the schema, oldest first. The file must exist.
func Status(ctx context.Context, path string) (steps []Migration, err error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	provider, err := newProvider(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, provider.Close()) }()
	states, err := provider.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrations of %s: %w", path, err)
	}
	for _, s := range states {
		steps = append(steps, Migration{s.Source.Version, filepath.Base(s.Source.Path), s.AppliedAt.UTC()})
	}
	return steps, nil
}

func newProvider(path string) (*goose.Provider, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", path, err)
	}
	// Migrations take the write lock at once: two processes that both read first could not both write.
	file := url.URL{Scheme: "file", Path: filepath.ToSlash(absolute), RawQuery: url.Values{
		"_pragma": {
			fmt.Sprintf("busy_timeout(%d)", busyTimeout.Milliseconds()), "synchronous(FULL)",
		},
		"_txlock": {"immediate"},
	}.Encode()}
	db, err := sql.Open("sqlite", file.String())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	sources, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, sources, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("migrations: %w", err), db.Close())
	}
	return provider, nil
}

// schemaVersion is the newest step that the database has. goose keeps them in a table of its own.
const schemaVersion = `SELECT max(version_id) FROM goose_db_version WHERE is_applied`

// checkSchema refuses a database of another version than this program's.
func checkSchema(c *conn) error {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	have, want := int64(0), int64(len(names)) // steps are numbered from 1 without gaps
	found, err := c.prepare(schemaVersion).one(func(s *stmt) { have = s.readInt() })
	switch {
	case err != nil || !found || have < want:
		if err != nil && interrupted(err) {
			return err
		}
		return fmt.Errorf("the store's schema is at version %d, this program wants %d: run `sluice migrate up`", have, want)
	case have > want:
		return fmt.Errorf("the store's schema is at version %d, this program knows %d: it was written by a newer Sluice", have, want)
	}
	return nil
}
