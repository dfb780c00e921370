package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
)

// file is the SQLite file and its connections. The writer's is the writer's own; the others are borrowed.
type file struct {
	path      string
	connector driver.Connector
	writer    *conn
	readers   chan *conn // nil: to be opened by who borrows it
	copier    chan *conn // one, for the checkpointer
}

const (
	maxReaders   = 2
	pageSize     = 4096
	keepLogBytes = 64 << 20 // a log that grew beyond is cut when it starts anew
)

var (
	writerPragmas = []string{
		"page_size = " + strconv.Itoa(pageSize),
		"auto_vacuum = NONE",
		"busy_timeout = 1000",
		"synchronous = FULL",
		"fullfsync = ON",         // macOS: a plain fsync does not reach the disk there
		"wal_autocheckpoint = 0", // see checkpoint.go
		"journal_size_limit = " + strconv.Itoa(keepLogBytes),
		"cache_size = -8192", // KiB: what is inserted, and what is deleted 200 ms later
		"cell_size_check = ON",
		"mmap_size = 0", // mapped pages would count as memory of the process
	}
	readerPragmas = []string{"busy_timeout = 1000", "query_only = ON", "cache_size = -512", "cell_size_check = ON", "mmap_size = 0"}
	copierPragmas = []string{"busy_timeout = 1000", "synchronous = FULL", "fullfsync = ON", "cache_size = -256", "wal_autocheckpoint = 0"}
)

func newFile(path string, c driver.Connector) *file {
	f := &file{path: path, connector: c, readers: make(chan *conn, maxReaders), copier: make(chan *conn, 1)}
	for range maxReaders {
		f.readers <- nil
	}
	f.copier <- nil
	return f
}

// open opens the writer's connection and returns what the file says.
func (f *file) open(ctx context.Context) (*state, error) {
	c, err := connect(ctx, f.connector, writerPragmas...)
	if err != nil {
		return nil, err
	}
	f.writer = c
	s, err := f.prepare(ctx)
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	return s, nil
}

func (f *file) prepare(ctx context.Context) (*state, error) {
	mode := ""
	err := f.writer.query(ctx, "PRAGMA journal_mode = WAL", func(row []driver.Value) (err error) {
		mode, err = text(row[0])
		return err
	})
	if err != nil {
		return nil, err
	}
	if mode != "wal" {
		return nil, fmt.Errorf("its file system cannot share memory between connections (journal mode %s): use a local disk", mode)
	}
	if err := migrate(ctx, f.writer); err != nil {
		return nil, err
	}
	if err := syncDir(filepath.Dir(f.path)); err != nil {
		return nil, err
	}
	return loadState(ctx, f.writer)
}

// reopen closes every connection and opens the file anew, after an I/O error. What the log holds may not be on disk even
// though it can be read: Linux marks pages clean whose write failed. So all of it is copied into the database file, and
// that is synced, before anything is built on it.
func (f *file) reopen(ctx context.Context) (*state, error) {
	closing := f.close()
	s, err := f.open(ctx)
	if err != nil {
		return nil, errors.Join(err, closing)
	}
	if _, left, err := checkpoint(ctx, f.writer, "TRUNCATE"); err != nil || left > 0 {
		return nil, errors.Join(fmt.Errorf("copy the log into the database file (%d pages left): %w", left, err), f.close())
	}
	return s, nil
}

// read lends a connection that only reads to fn. After an error it is closed: the next reader gets a fresh one.
func (f *file) read(ctx context.Context, fn func(*conn) error) error {
	return lend(ctx, f.readers, func() (*conn, error) {
		return connect(context.WithoutCancel(ctx), f.connector, readerPragmas...)
	}, fn)
}

// copy lends the checkpointer's connection to fn.
func (f *file) copy(ctx context.Context, fn func(*conn) error) error {
	return lend(ctx, f.copier, func() (*conn, error) {
		return connect(context.WithoutCancel(ctx), f.connector, copierPragmas...)
	}, fn)
}

// copyAlone runs fn while the checkpointer does not copy: SQLite lets only one do so at a time.
func (f *file) copyAlone(fn func() error) error {
	c := <-f.copier
	defer func() { f.copier <- c }()
	return fn()
}

func lend(ctx context.Context, from chan *conn, open func() (*conn, error), fn func(*conn) error) (err error) {
	var c *conn
	select {
	case c = <-from:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { from <- c }()
	if c == nil {
		if c, err = open(); err != nil {
			return err
		}
	}
	if err = fn(c); err != nil {
		err = errors.Join(err, c.close())
		c = nil
	}
	return err
}

// close closes all connections; it waits for those that are lent. The last one to close copies the log into the file.
func (f *file) close() error {
	var errs []error
	for _, from := range []chan *conn{f.readers, f.copier} {
		for range cap(from) {
			if c := <-from; c != nil {
				errs = append(errs, c.close())
			}
		}
	}
	if f.writer != nil {
		errs = append(errs, f.writer.close())
		f.writer = nil
	}
	for _, from := range []chan *conn{f.readers, f.copier} {
		for range cap(from) {
			from <- nil
		}
	}
	return errors.Join(errs...)
}
