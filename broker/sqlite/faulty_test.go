package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"sync"

	lib "modernc.org/sqlite/lib"
)

// faults decides what fails. Before is asked before a statement runs, after once it ran without an error.
type faults struct {
	mu            sync.Mutex
	before, after func(sql string) error
}

func (f *faults) set(before, after func(sql string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after = before, after
}

func (f *faults) heal() { f.set(nil, nil) }

// loseAnswer has the next commit of messages take effect and fail.
func (f *faults) loseAnswer() {
	inserted := false
	var once sync.Once
	f.set(nil, func(sql string) (err error) {
		inserted = inserted || sql == insertRow
		if sql == "COMMIT" && inserted {
			once.Do(func() { err = sqliteError(lib.SQLITE_IOERR_FSYNC) })
		}
		return err
	})
}

func (f *faults) ask(before bool, sql string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn := f.after
	if before {
		fn = f.before
	}
	if fn == nil {
		return nil
	}
	return fn(sql)
}

// sqliteError is an error with a result code, as the driver returns them.
type sqliteError int

func (e sqliteError) Error() string { return fmt.Sprintf("injected (%d)", int(e)) }
func (e sqliteError) Code() int     { return int(e) }

type faultyConnector struct {
	driver.Connector
	faults *faults
}

func (c *faultyConnector) Connect(ctx context.Context) (driver.Conn, error) {
	if err := c.faults.ask(true, "connect"); err != nil {
		return nil, err
	}
	dc, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &faultyConn{Conn: dc, faults: c.faults}, nil
}

type faultyConn struct {
	driver.Conn
	faults *faults
}

func (c *faultyConn) PrepareContext(ctx context.Context, sql string) (driver.Stmt, error) {
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, sql)
	if err != nil {
		return nil, err
	}
	return &faultyStmt{Stmt: s, sql: sql, faults: c.faults}, nil
}

type faultyStmt struct {
	driver.Stmt
	sql    string
	faults *faults
}

func (s *faultyStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if err := s.faults.ask(true, s.sql); err != nil {
		return nil, err
	}
	r, err := s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
	if err == nil {
		err = s.faults.ask(false, s.sql)
	}
	return r, err
}

func (s *faultyStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if err := s.faults.ask(true, s.sql); err != nil {
		return nil, err
	}
	return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
}
