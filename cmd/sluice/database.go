package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/config"
	"github.com/sluicehq/sluice/pkg/ops"
	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/postgres"
	storesqlite "github.com/sluicehq/sluice/store/sqlite"
)

// database is what store.url names, before it is opened.
type database interface {
	String() string // where it is, for people; without what is secret

	migrate(ctx context.Context, log *zap.Logger) (steps int, err error)
	status(ctx context.Context) ([]migration, error)

	// sealer returns what seals its secrets. One that is shared wants a configured key; of another the key may lie in
	// data_dir, where it is made if may is set.
	sealer(may bool) (*store.Sealer, error)
	// open opens it with what readiness depends on beside its answering. One that is not shared is migrated first.
	open(ctx context.Context, sealer *store.Sealer, log *zap.Logger, reg prometheus.Registerer) (store.Store, []ops.Check, error)
	// check reports every problem, and warnings as store.Warning. It changes as little as it can.
	check(ctx context.Context) error
}

// migration is one step of a schema.
type migration struct {
	Version   int64
	Name      string
	AppliedAt time.Time // zero: not yet
}

// databaseOf is the one place that knows the stores there are.
func databaseOf(cfg *config.Config) (database, error) {
	if cfg.Store.URL == config.SQLite {
		return embedded{cfg, filepath.Join(cfg.DataDir, storeFile)}, nil
	}
	parsed, err := postgres.ParseURL(cfg.Store.URL)
	if err != nil {
		return nil, fmt.Errorf("store.url: %w", err)
	}
	first := parsed.ConnConfig // of several hosts
	return shared{cfg, "postgres://" + net.JoinHostPort(first.Host, strconv.Itoa(int(first.Port))) + "/" + first.Database}, nil
}

// openStoreBeside opens the store beside a process that may be running on it.
func openStoreBeside(ctx context.Context, cfg *config.Config) (store.Store, error) {
	return openStoreFirst(ctx, cfg, false)
}

// openStoreFirst is openStoreBeside, and if first is set no process need have been there yet.
func openStoreFirst(ctx context.Context, cfg *config.Config, first bool) (store.Store, error) {
	db, err := databaseOf(cfg)
	if err != nil {
		return nil, err
	}
	sealer, err := db.sealer(first)
	if err != nil {
		return nil, err
	}
	st, _, err := db.open(ctx, sealer, zap.NewNop(), prometheus.NewRegistry())
	return st, err
}

// embedded is the SQLite file in data_dir.
type embedded struct {
	cfg  *config.Config
	path string
}

func (e embedded) String() string { return e.path }

func (e embedded) migrate(ctx context.Context, log *zap.Logger) (int, error) {
	return storesqlite.Migrate(ctx, e.path, log)
}

func (e embedded) status(ctx context.Context) ([]migration, error) {
	steps, err := storesqlite.Status(ctx, e.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no database at %s: 'sluice migrate up', 'sluice serve' or 'sluice dev' makes it", e.path)
	}
	out := make([]migration, len(steps))
	for i, s := range steps {
		out[i] = migration(s)
	}
	return out, err
}

func (e embedded) sealer(may bool) (*store.Sealer, error) {
	if may {
		if err := os.MkdirAll(e.cfg.DataDir, 0o700); err != nil {
			return nil, dataDirProblem(e.cfg.DataDir, "cannot be made", err)
		}
	}
	sealer, err := openSealer(e.cfg, may)
	if err != nil && !may {
		err = fmt.Errorf("%w; on a new data_dir run 'sluice serve' or 'sluice dev' first, which makes it", err)
	}
	return sealer, err
}

func (e embedded) open(ctx context.Context, sealer *store.Sealer, log *zap.Logger, reg prometheus.Registerer) (store.Store, []ops.Check, error) {
	if _, err := e.migrate(ctx, log); err != nil {
		return nil, nil, err
	}
	st, err := storesqlite.Open(storesqlite.Config{Path: e.path, Sealer: sealer}, log, reg)
	if err != nil {
		return nil, nil, err
	}
	return st, nil, nil
}

func (e embedded) check(ctx context.Context) error {
	if _, err := os.Stat(e.path); errors.Is(err, fs.ErrNotExist) {
		return store.Warning("there is no database yet, it is made at the first start")
	}
	st, err := openStoreBeside(ctx, e.cfg)
	if err != nil {
		return err
	}
	return errors.Join(st.Check(ctx), st.Close())
}

// shared is a PostgreSQL database.
type shared struct {
	cfg  *config.Config
	name string // postgres://HOST:PORT/DATABASE
}

func (s shared) String() string { return s.name }

func (s shared) migrate(ctx context.Context, log *zap.Logger) (int, error) {
	return postgres.Migrate(ctx, s.cfg.Store.URL, log)
}

func (s shared) status(ctx context.Context) ([]migration, error) {
	steps, err := postgres.Status(ctx, s.cfg.Store.URL)
	out := make([]migration, len(steps))
	for i, step := range steps {
		out[i] = migration(step)
	}
	return out, err
}

// sealer takes no key of data_dir: the next process on this database would not have it, and could read no secret.
func (s shared) sealer(bool) (*store.Sealer, error) {
	sealer, err := s.cfg.Sealer()
	if err == nil && sealer == nil {
		err = advise(errors.New("encryption_key: missing, every process on one PostgreSQL database needs the same"),
			"make one with 'openssl rand -base64 32', and set it as encryption_key or SLUICE_ENCRYPTION_KEY")
	}
	return sealer, err
}

func (s shared) config(sealer *store.Sealer) postgres.Config {
	return postgres.Config{URL: s.cfg.Store.URL, Sealer: sealer, History: time.Duration(s.cfg.Store.Retention.History)}
}

func (s shared) open(ctx context.Context, sealer *store.Sealer, log *zap.Logger, reg prometheus.Registerer) (store.Store, []ops.Check, error) {
	st, err := postgres.Open(ctx, s.config(sealer), log, reg)
	if err != nil {
		return nil, nil, fmt.Errorf("store %s: %w", s, err)
	}
	return st, []ops.Check{{Name: "partitions", Check: st.CheckDays}}, nil
}

func (s shared) check(ctx context.Context) error {
	sealer, err := s.sealer(false)
	if err != nil {
		return err
	}
	return postgres.Check(ctx, s.config(sealer))
}
