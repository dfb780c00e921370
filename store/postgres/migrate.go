package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/pkg/wait"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migration is one step of the schema.
type Migration struct {
	Version   int64
	Name      string
	AppliedAt time.Time // zero: not yet
}

const (
	// migrationLock is how long a step waits for a lock, since everybody else waits behind it. Then it is taken back and
	// tried again.
	migrationLock  = time.Second
	migrationTries = 60
)

// Migrate brings the database's schema up to date, each step in a transaction of its own, and returns how many steps it
// took. Several processes may call it at once: one migrates, the others wait for it. It needs a connection of its own to
// the database: a pooler in transaction mode refuses it.
func Migrate(ctx context.Context, url string, logger *zap.Logger) (applied int, err error) {
	return migrate(ctx, url, migrations, logger)
}

func migrate(ctx context.Context, url string, steps fs.FS, logger *zap.Logger) (applied int, err error) {
	provider, err := newProvider(url, steps, map[string]string{
		"lock_timeout":      fmt.Sprint(migrationLock.Milliseconds()),
		"statement_timeout": "0", // whatever the role has: an index of a large table takes its time
	})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, provider.Close()) }()
	for try := 1; ; try++ {
		n, err := up(ctx, provider, logger)
		applied += n
		switch {
		case err == nil:
			return applied, nil
		case hasCode(err, protocolViolation):
			return applied, fmt.Errorf("migrate the store: %w (a pooler cannot be migrated through: give the database's own address)", wrap(err))
		case !hasCode(err, lockNotAvailable) || try == migrationTries || !wait.For(ctx, migrationLock):
			return applied, fmt.Errorf("migrate the store: %w", wrap(err))
		}
		logger.Warn("others hold a lock that the migration needs, it is tried again", zap.Int("try", try))
	}
}

func up(ctx context.Context, provider *goose.Provider, logger *zap.Logger) (applied int, err error) {
	results, err := provider.Up(ctx)
	var partial *goose.PartialError
	if errors.As(err, &partial) {
		results = partial.Applied
	}
	for _, r := range results {
		logger.Info("schema migrated", telemetry.Migration(r.Source.Version, filepath.Base(r.Source.Path)), telemetry.Duration(r.Duration))
	}
	return len(results), err
}

// Status returns every step of the schema, oldest first.
func Status(ctx context.Context, url string) (steps []Migration, err error) {
	provider, err := newProvider(url, migrations, nil)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, provider.Close()) }()
	states, err := provider.Status(ctx)
	if err != nil {
		return nil, fmt.Errorf("migrations of the store: %w", wrap(err))
	}
	for _, s := range states {
		steps = append(steps, Migration{s.Source.Version, filepath.Base(s.Source.Path), s.AppliedAt.UTC()})
	}
	return steps, nil
}

func newProvider(url string, steps fs.FS, settings map[string]string) (*goose.Provider, error) {
	cfg, err := ParseURL(url)
	if err != nil {
		return nil, err
	}
	maps.Copy(cfg.ConnConfig.RuntimeParams, settings)
	// One connection, which the lock lives on.
	db := stdlib.OpenDB(*cfg.ConnConfig)
	db.SetMaxOpenConns(2)
	sources, err := fs.Sub(steps, "migrations")
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	provider, err := newGoose(db, sources)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("migrations: %w", err), db.Close())
	}
	return provider, nil
}

// While another process migrates, its lock is asked for every so many seconds, for this long.
const lockPeriod, lockPeriods = 1, 3600

func newGoose(db *sql.DB, sources fs.FS) (*goose.Provider, error) {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(lockPeriod, lockPeriods))
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, sources, goose.WithDisableGlobalRegistry(true), goose.WithSessionLocker(locker))
}

// schemaVersion is the newest step that the database has. goose keeps them in a table of its own.
const schemaVersion = `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`

// checkSchema refuses a database that is older than this program. A newer one is fine: steps leave what the program
// before them uses as it was.
func checkSchema(ctx context.Context, pool *pgxpool.Pool) error {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return err
	}
	have, want := int64(0), int64(len(names)) // steps are numbered from 1 without gaps
	err = pool.QueryRow(ctx, schemaVersion).Scan(&have)
	if err != nil && !hasCode(err, undefinedTable) && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("read the version of its schema: %w", wrap(err))
	}
	if have < want {
		return fmt.Errorf("the store's schema is at version %d, this program wants %d: run `sluice migrate up`", have, want)
	}
	return nil
}
