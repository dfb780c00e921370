package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/pkg/wait"
	"github.com/sluicehq/sluice/store"
)

// Config says where the database is and how it is used.
type Config struct {
	URL     string        // postgres://user@host/db, with pgx's parameters; several hosts with target_session_attrs
	Sealer  *store.Sealer // keeps secrets; required
	History time.Duration // how long history is kept: the oldest day that has partitions

	daysAhead int // that partitions are made for; 0: 7. Tests need fewer.
}

const (
	dispatchConns  = 8 // recording, look-ups, due rows, ownership, gates: each has at most one statement under way, but Seen
	peopleConns    = 4 // the API, partitions, retention
	connectTimeout = 5 * time.Second
	serverRetry    = 2 * time.Second // for one that did not answer at the start
	idleTime       = 5 * time.Minute
	lifeTime       = 30 * time.Minute // so that load balancers and failovers are followed
)

// Store is a PostgreSQL database. Its methods are safe for concurrent use.
type Store struct {
	sealer   *store.Sealer
	log      *zap.Logger
	metrics  *telemetry.Postgres
	history  time.Duration
	ahead    int           // days that partitions are made for
	dispatch *pgxpool.Pool // what deliveries wait for
	people   *pgxpool.Pool // what people wait for: a slow list takes no connection from deliveries

	kinds  kinds
	heads  heads // of the queue
	sweep  claimSweep
	skew   atomic.Int64 // nanoseconds that tests have moved the store's clock
	offset clockOffset

	stop    context.CancelFunc
	working sync.WaitGroup
}

var _ store.Store = (*Store)(nil)

// Open connects to a database that Migrate has brought up to date. It fails when the schema is not one that this
// program can use, and says what to run. A database that does not answer is waited for in the background: until it does,
// everything fails with store.ErrUnavailable.
func Open(ctx context.Context, cfg Config, logger *zap.Logger, reg prometheus.Registerer) (*Store, error) {
	s, err := connect(ctx, cfg, logger, reg)
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func poolStat(pool *pgxpool.Pool) func() (used, most int32) {
	return func() (used, most int32) {
		stat := pool.Stat()
		return stat.AcquiredConns(), stat.MaxConns()
	}
}

// connect makes a store that nothing runs in yet.
func connect(ctx context.Context, cfg Config, logger *zap.Logger, reg prometheus.Registerer) (s *Store, err error) {
	if cfg.Sealer == nil {
		return nil, errors.New("postgres store: no encryption key")
	}
	s = &Store{sealer: cfg.Sealer, log: logger.With(telemetry.Component("store")), history: cfg.History, ahead: cmp.Or(cfg.daysAhead, daysAhead)}
	if s.dispatch, err = openPool(ctx, cfg.URL, dispatchConns); err != nil {
		return nil, err
	}
	if s.people, err = openPool(ctx, cfg.URL, peopleConns); err != nil {
		s.dispatch.Close()
		return nil, err
	}
	s.metrics = telemetry.NewPostgres(reg, poolStat(s.dispatch), poolStat(s.people))
	return s, nil
}

// openPool makes a pool that connects when it is first used. The URL may set pool_max_conns for both pools.
func openPool(ctx context.Context, url string, conns int32) (*pgxpool.Pool, error) {
	cfg, err := ParseURL(url)
	if err != nil {
		return nil, err
	}
	if cfg.MaxConns == 0 {
		cfg.MaxConns = conns
	}
	return pgxpool.NewWithConfig(ctx, cfg)
}

func (s *Store) start(ctx context.Context) error {
	err := s.prepare(ctx)
	ready := err == nil
	if !ready {
		if !errors.Is(err, store.ErrUnavailable) {
			return err
		}
		s.log.Warn("the store does not answer, it is waited for", zap.Error(err))
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	s.working.Go(func() {
		if ready || s.awaitServer(background) {
			s.keepPartitions(background)
		}
	})
	return nil
}

// prepare looks whether the database can be used, and makes the partitions that are missing.
func (s *Store) prepare(ctx context.Context) error {
	if err := checkSchema(ctx, s.people); err != nil {
		return err
	}
	return s.makePartitions(ctx)
}

// awaitServer prepares a database that did not answer at the start, until ctx ends.
func (s *Store) awaitServer(ctx context.Context) bool {
	for wait.For(ctx, serverRetry) {
		err := s.prepare(ctx)
		if err == nil {
			s.log.Info("the store answers")
			return true
		}
		if !errors.Is(err, store.ErrUnavailable) {
			s.log.Error("the store cannot be used", zap.Error(err))
		}
	}
	return false
}

// Close waits for what is under way and closes the connections.
func (s *Store) Close() error {
	if s.stop != nil {
		s.stop()
	}
	s.working.Wait()
	s.dispatch.Close()
	s.people.Close()
	return nil
}

// read runs f in one read-only snapshot.
func (s *Store) read(ctx context.Context, f func(tx pgx.Tx) error) error {
	return s.transact(ctx, s.people, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, f)
}

// write runs f in one transaction.
func (s *Store) write(ctx context.Context, f func(tx pgx.Tx) error) error {
	return s.transact(ctx, s.people, pgx.TxOptions{}, f)
}

func (s *Store) describe(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, wrap(err))
}
