package sqlite

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	driver "modernc.org/sqlite"

	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/store"
)

// Config says where the store is and how it is opened.
type Config struct {
	Path    string        // of the file, which Migrate made
	Sealer  *store.Sealer // keeps secrets; required
	Readers int           // connections for reading; 0: 4
}

const (
	defaultReaders = 4
	// What these say is half of what they cost: modernc.org/memory rounds a page of 8 KiB and its header up to 16 KiB.
	// The kernel keeps the file too, so a page that is not here costs a copy, not a read of the disk.
	writerCache = "PRAGMA cache_size = -16384" // 16 MiB: what one group dirties, and the upper levels of each tree
	seeingCache = "PRAGMA cache_size = -8192"  // 8 MiB: digests are looked up in random order
	readerCache = "PRAGMA cache_size = -2048"  // 2 MiB each
)

// Store is the embedded store. Its methods are safe for concurrent use.
type Store struct {
	path    string
	sealer  *store.Sealer
	log     *zap.Logger
	metrics *telemetry.Store

	readers chan *conn // idle ones
	seeing  chan *conn // the one that Seen reads with: who holds it is the only one that claims
	claims  claims
	tenants tenants
	given   givenIDs
	writer  *writer

	ageing  claimSweep
	skew    atomic.Int64 // nanoseconds that tests have moved the clock
	working sync.WaitGroup
}

var _ store.Store = (*Store)(nil)

// Open opens a store that Migrate has brought up to date. Only one process may consume with it; others may open it
// beside that one to change the configuration.
func Open(cfg Config, logger *zap.Logger, reg prometheus.Registerer) (*Store, error) {
	if cfg.Sealer == nil {
		return nil, errors.New("sqlite store: no encryption key")
	}
	path, err := filepath.Abs(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("store %s: %w", cfg.Path, err)
	}
	// What commits wait for is the log's data: fdatasync spares them the journal that only moves a timestamp. The switch
	// is for the whole process.
	if _, err := driver.Fdatasync(true); err != nil && !errors.Is(err, driver.ErrFdatasyncUnavailable) {
		return nil, fmt.Errorf("store %s: %w", path, err)
	}
	n := cfg.Readers
	if n == 0 {
		n = defaultReaders
	}
	s := &Store{
		path: path, sealer: cfg.Sealer, log: logger.With(telemetry.Component("store")),
		readers: make(chan *conn, n), seeing: make(chan *conn, 1),
	}
	s.claims.pending = map[[16]byte]claim{}
	if err := s.open(n); err != nil {
		return nil, err
	}
	s.metrics = telemetry.NewStore(reg, s.writer.waiting, s.claims.len)
	s.working.Go(s.writer.run)
	s.working.Go(s.writer.checkpoints.run)
	return s, nil
}

// open opens the connections.
func (s *Store) open(readers int) (err error) {
	var opened []*conn
	defer func() {
		if err != nil {
			for _, c := range opened {
				err = errors.Join(err, c.close())
			}
		}
	}()
	connect := func(pragmas ...string) *conn {
		if err != nil {
			return nil
		}
		var c *conn
		if c, err = openConn(s.path, pragmas...); err == nil {
			opened = append(opened, c)
		}
		return c
	}
	writing := connect(writerCache, "PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA wal_autocheckpoint = 0", "PRAGMA temp_store = MEMORY")
	moving := connect("PRAGMA wal_autocheckpoint = 0", "PRAGMA synchronous = FULL")
	seeing := connect(seeingCache, "PRAGMA query_only = ON")
	reading := make([]*conn, readers)
	for i := range reading {
		reading[i] = connect(readerCache, "PRAGMA query_only = ON")
	}
	if err != nil {
		return err
	}
	if err := checkSchema(writing); err != nil {
		return err
	}
	if err := s.given.open(writing); err != nil {
		return err
	}
	s.writer = newWriter(s, writing, moving)
	s.seeing <- seeing
	for _, c := range reading {
		s.readers <- c
	}
	return nil
}

// now is the store's clock: UTC, whole milliseconds.
func (s *Store) now() time.Time {
	return time.Now().Add(time.Duration(s.skew.Load())).UTC().Truncate(time.Millisecond)
}

// read runs f with a connection, in one transaction, so that all it reads is of one moment and includes everything
// that was recorded before.
func (s *Store) read(ctx context.Context, f func(*conn) error) error {
	return readWith(ctx, s.readers, f)
}

func readWith(ctx context.Context, conns chan *conn, f func(*conn) error) error {
	var c *conn
	var open bool
	select {
	case c, open = <-conns:
	case <-ctx.Done():
		return ctx.Err()
	}
	if !open {
		return errClosed
	}
	defer func() { conns <- c }()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	defer c.rollback() // it has written nothing; after stop, which would interrupt it
	stop := c.interruptWith(ctx)
	defer stop()
	if err := c.prepare("BEGIN").run(); err != nil {
		return err
	}
	err := f(c)
	if interrupted(err) && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Check writes a page and commits, and opens every secret.
func (s *Store) Check(ctx context.Context) error {
	var problems []error
	if err := s.read(ctx, checkSchema); err != nil {
		problems = append(problems, err)
	}
	if err := s.write(ctx, durable, 1, func(c *conn) error { return probe(c, s.now()) }); err != nil {
		problems = append(problems, fmt.Errorf("store %s cannot be written: %w", s.path, err))
	}
	if _, err := s.Changes(ctx, 0); err != nil {
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

// probe writes a row and takes it away again: SQLite writes no page for a row that is written as it is.
func probe(c *conn, now time.Time) error {
	const node = "\x00check"
	if err := c.prepare(heartbeat).string(node).int(now.UnixMilli()).run(); err != nil {
		return err
	}
	return c.prepare(leaveNodes).string(node).run()
}

// Close waits for what was handed to the store, moves the log into the database and closes the connections.
func (s *Store) Close() error {
	if !s.writer.close() {
		return nil
	}
	s.working.Wait()
	var errs []error
	for _, conns := range []chan *conn{s.readers, s.seeing} {
		for range cap(conns) {
			errs = append(errs, (<-conns).close()) // waits for who reads
		}
		close(conns)
	}
	return errors.Join(append(errs, s.writer.end())...)
}
