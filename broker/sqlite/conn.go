package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"

	"modernc.org/sqlite"
)

// conn is one connection, for one goroutine at a time. It uses the driver without database/sql, whose pool, context
// watchers and conversions cost more than the statements here.
type conn struct {
	driver driver.Conn
	stmts  map[string]driver.Stmt
	args   []driver.NamedValue
	row    []driver.Value
}

// errStop ends query early.
var errStop = errors.New("enough rows")

// connector opens connections to the file at path. A wrapper in tests makes them fail.
func connector(path string) (driver.Connector, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(abs)} // escapes what SQLite would take for parameters
	return sqlite.NewConnector(u.String())
}

// connect opens a connection and sets pragmas, such as "synchronous = FULL".
func connect(ctx context.Context, c driver.Connector, pragmas ...string) (*conn, error) {
	dc, err := c.Connect(ctx)
	if err != nil {
		return nil, err
	}
	cn := &conn{driver: dc, stmts: map[string]driver.Stmt{}}
	for _, pragma := range pragmas {
		if err := cn.query(ctx, "PRAGMA "+pragma, nil); err != nil {
			return nil, errors.Join(fmt.Errorf("pragma %s: %w", pragma, err), cn.close())
		}
	}
	return cn, nil
}

// exec runs a statement that returns no rows. It is prepared once per connection. Args are int64, string, []byte or nil;
// bytes are copied.
func (c *conn) exec(ctx context.Context, sql string, args ...driver.Value) error {
	s, err := c.prepare(ctx, sql)
	if err != nil {
		return err
	}
	_, err = s.(driver.StmtExecContext).ExecContext(ctx, c.bind(args)) // this driver's statements have it
	return err
}

// query runs a statement and calls each with each row until it returns an error; errStop is not passed on. The values are
// int64, float64, string, []byte or nil and may be kept; the slice may not. A nil each drops the rows.
func (c *conn) query(ctx context.Context, sql string, each func(row []driver.Value) error, args ...driver.Value) (err error) {
	s, err := c.prepare(ctx, sql)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(ctx, c.bind(args)) // this driver's statements have it
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for n := len(rows.Columns()); ; {
		if cap(c.row) < n {
			c.row = make([]driver.Value, n)
		}
		switch err := rows.Next(c.row[:n]); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case each == nil:
			continue
		}
		if err := each(c.row[:n]); errors.Is(err, errStop) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (c *conn) prepare(ctx context.Context, sql string) (driver.Stmt, error) {
	if s := c.stmts[sql]; s != nil {
		return s, nil
	}
	s, err := c.driver.(driver.ConnPrepareContext).PrepareContext(ctx, sql) // this driver's connections have it
	if err != nil {
		return nil, err
	}
	c.stmts[sql] = s
	return s, nil
}

func (c *conn) bind(args []driver.Value) []driver.NamedValue {
	c.args = c.args[:0]
	for i, v := range args {
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return c.args
}

// number runs a statement that returns one number.
func (c *conn) number(ctx context.Context, sql string, args ...driver.Value) (n int64, err error) {
	err = c.query(ctx, sql, func(row []driver.Value) error {
		n, err = integer(row[0])
		return err
	}, args...)
	return n, err
}

// transact runs fn between BEGIN and COMMIT. What fails before COMMIT has left no trace; what COMMIT fails with is
// marked as errCommit, since the outcome may be unknown.
func (c *conn) transact(ctx context.Context, fn func() error) error {
	if err := c.exec(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return errors.Join(err, c.rollback(ctx))
	}
	if err := c.exec(ctx, "COMMIT"); err != nil {
		return errors.Join(&commitError{err}, c.rollback(ctx))
	}
	return nil
}

// rollback ends the transaction, unless SQLite did so itself, as it does after some errors.
func (c *conn) rollback(ctx context.Context) error {
	err := c.exec(ctx, "ROLLBACK")
	if code(err) == codeError { // no transaction is active
		return nil
	}
	return err
}

func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.driver.Close())...)
}

// integer and blob take a column's value; another type means that the file is damaged.
func integer(v driver.Value) (int64, error) {
	if n, ok := v.(int64); ok {
		return n, nil
	}
	return 0, &damageError{fmt.Sprintf("%T instead of a number", v)}
}

func blob(v driver.Value) ([]byte, error) {
	if b, ok := v.([]byte); ok {
		return b, nil
	}
	return nil, &damageError{fmt.Sprintf("%T instead of bytes", v)}
}

func text(v driver.Value) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	return "", &damageError{fmt.Sprintf("%T instead of text", v)}
}
