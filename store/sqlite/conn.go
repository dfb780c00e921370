package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"modernc.org/libc"
	"modernc.org/libc/sys/types"
	lib "modernc.org/sqlite/lib"
)

// conn is one connection to the database, used by one goroutine at a time. It speaks to SQLite's own interface, which
// modernc.org/sqlite/lib exports, not through database/sql: the driver boxes each value, allocates each result and reads
// column names for each query, 1.3 µs a row written and 2.5 µs a row looked up. A row of ours costs 1 to 3 µs in all.
//
// Pointers of SQLite's memory are uintptr and never point into Go's heap: whatever is bound is copied to the statement's
// arena first.
type conn struct {
	tls   *libc.TLS
	db    uintptr
	stmts map[string]*stmt
}

// busyTimeout is how long a statement waits for another process that writes (`sluice keys create`, `apply`).
const busyTimeout = 5 * time.Second

// openConn opens the file at path, which must exist, and applies pragmas.
func openConn(path string, pragmas ...string) (*conn, error) {
	c := &conn{tls: libc.NewTLS(), stmts: map[string]*stmt{}}
	if err := c.open(path); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), c.close())
	}
	for _, pragma := range pragmas {
		if err := c.exec(pragma); err != nil {
			return nil, errors.Join(fmt.Errorf("open %s: %s: %w", path, pragma, err), c.close())
		}
	}
	return c, nil
}

func (c *conn) open(path string) error {
	name, err := libc.CString(path)
	if err != nil {
		return err
	}
	defer libc.Xfree(c.tls, name)
	out := libc.Xcalloc(c.tls, 1, types.Size_t(unsafe.Sizeof(c.db)))
	if out == 0 {
		return errors.New("out of memory")
	}
	defer libc.Xfree(c.tls, out)
	// One goroutine at a time uses a connection, so SQLite needs no mutex of its own for it.
	rc := lib.Xsqlite3_open_v2(c.tls, name, out, lib.SQLITE_OPEN_READWRITE|lib.SQLITE_OPEN_NOMUTEX, 0)
	c.db = *(*uintptr)(pointer(out))
	if rc != lib.SQLITE_OK {
		return c.failure(rc)
	}
	lib.Xsqlite3_extended_result_codes(c.tls, c.db, 1)
	lib.Xsqlite3_busy_timeout(c.tls, c.db, int32(busyTimeout.Milliseconds()))
	return nil
}

// close finalizes the statements and closes the connection.
func (c *conn) close() error {
	for _, s := range c.stmts {
		lib.Xsqlite3_finalize(c.tls, s.handle) // returns the error of the last step again
		s.arena.free(c.tls)
	}
	c.stmts = nil
	var err error
	if c.db != 0 {
		if rc := lib.Xsqlite3_close_v2(c.tls, c.db); rc != lib.SQLITE_OK {
			err = c.failure(rc)
		}
		c.db = 0
	}
	c.tls.Close()
	return err
}

// prepare returns the statement for sql, ready to bind. It is prepared once per connection.
func (c *conn) prepare(sql string) *stmt {
	s := c.stmts[sql]
	if s == nil {
		s = &stmt{conn: c}
		if s.handle, s.err = c.compile(sql, lib.SQLITE_PREPARE_PERSISTENT); s.err != nil {
			return s // the error comes back from its first step; the next prepare tries again
		}
		c.stmts[sql] = s
	}
	s.begin()
	return s
}

func (c *conn) compile(sql string, flags uint32) (uintptr, error) {
	text, err := libc.CString(sql)
	if err != nil {
		return 0, err
	}
	defer libc.Xfree(c.tls, text)
	out := libc.Xcalloc(c.tls, 1, types.Size_t(unsafe.Sizeof(c.db)))
	if out == 0 {
		return 0, errors.New("out of memory")
	}
	defer libc.Xfree(c.tls, out)
	if rc := lib.Xsqlite3_prepare_v3(c.tls, c.db, text, -1, flags, out, 0); rc != lib.SQLITE_OK {
		return 0, c.failure(rc)
	}
	return *(*uintptr)(pointer(out)), nil
}

// exec runs a statement that binds nothing, once, and drops what it returns.
func (c *conn) exec(sql string) error {
	handle, err := c.compile(sql, 0)
	if err != nil {
		return err
	}
	defer lib.Xsqlite3_finalize(c.tls, handle)
	s := &stmt{conn: c, handle: handle}
	for s.next() {
	}
	return s.err
}

// changes returns how many rows the last INSERT, UPDATE or DELETE wrote.
func (c *conn) changes() int64 { return lib.Xsqlite3_changes64(c.tls, c.db) }

// totalChanges returns how many rows were ever written through the connection.
func (c *conn) totalChanges() int64 { return lib.Xsqlite3_total_changes64(c.tls, c.db) }

// lastRowid returns the number that the last INSERT into a table with numbers gave.
func (c *conn) lastRowid() int64 { return lib.Xsqlite3_last_insert_rowid(c.tls, c.db) }

// inTransaction reports whether a transaction is open: SQLite ends one by itself on some errors.
func (c *conn) inTransaction() bool { return lib.Xsqlite3_get_autocommit(c.tls, c.db) == 0 }

// rollback ends an open transaction, if there is one. Should it fail, the next BEGIN says so.
func (c *conn) rollback() {
	if c.inTransaction() {
		_ = c.prepare("ROLLBACK").run()
	}
}

// interruptWith has statements of the connection end with SQLITE_INTERRUPT once ctx is done, until stop is called.
func (c *conn) interruptWith(ctx context.Context) (stop func()) {
	if ctx.Done() == nil {
		return func() {}
	}
	fired := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		defer close(fired)
		tls := libc.NewTLS() // the connection's own is in use by the statement
		defer tls.Close()
		lib.Xsqlite3_interrupt(tls, c.db)
	})
	return func() {
		if !cancel() {
			<-fired // or it would interrupt whoever uses the connection next
		}
	}
}

// failure makes an error of what SQLite returned.
func (c *conn) failure(rc int32) error {
	text := libc.GoString(lib.Xsqlite3_errstr(c.tls, rc))
	if c.db != 0 && lib.Xsqlite3_extended_errcode(c.tls, c.db) == rc {
		text = libc.GoString(lib.Xsqlite3_errmsg(c.tls, c.db))
	}
	return &Error{Code: int(rc), text: text}
}

// pointer makes a pointer of an address in SQLite's memory, which Go's collector neither moves nor frees.
func pointer(address uintptr) unsafe.Pointer {
	// Not unsafe.Pointer(address), which go vet refuses because it cannot know that the address is not Go's.
	return *(*unsafe.Pointer)(unsafe.Pointer(&address))
}
