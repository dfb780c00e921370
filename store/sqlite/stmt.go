package sqlite

import (
	"errors"
	"time"
	"unsafe"

	lib "modernc.org/sqlite/lib"
)

// stmt is a prepared statement. Values are bound in the order of its parameters and columns read in theirs; the first
// error sticks and comes back from run or end. Use:
//
//	err := c.prepare(sql).blob(id[:]).int(5).run()
//
//	s := c.prepare(sql).blob(id[:])
//	for s.next() {
//		x := s.readInt()
//	}
//	err := s.end()
type stmt struct {
	conn   *conn
	handle uintptr
	param  int32 // bound so far
	column int32 // read so far
	arena  arena
	err    error
}

func (s *stmt) begin() {
	s.param, s.column, s.err = 0, 0, nil
	s.arena.reset(s.conn.tls)
}

// bound notes the result of a bind.
func (s *stmt) bound(rc int32) *stmt {
	if rc != lib.SQLITE_OK && s.err == nil {
		s.err = s.conn.failure(rc)
	}
	return s
}

// nextParam counts a parameter.
func (s *stmt) nextParam() int32 {
	s.param++
	return s.param
}

func (s *stmt) int(v int64) *stmt {
	if s.err != nil {
		return s
	}
	return s.bound(lib.Xsqlite3_bind_int64(s.conn.tls, s.handle, s.nextParam(), v))
}

// optional binds NULL for zero: most numbers of a row are zero, and NULL takes no space.
func (s *stmt) optional(v int64) *stmt {
	if v == 0 {
		return s.null()
	}
	return s.int(v)
}

func (s *stmt) null() *stmt {
	if s.err != nil {
		return s
	}
	return s.bound(lib.Xsqlite3_bind_null(s.conn.tls, s.handle, s.nextParam()))
}

func (s *stmt) bool(v bool) *stmt {
	if v {
		return s.int(1)
	}
	return s.int(0)
}

// time binds Unix milliseconds, NULL for the zero time.
func (s *stmt) time(t time.Time) *stmt {
	if t.IsZero() {
		return s.null()
	}
	return s.int(t.UnixMilli())
}

// duration binds microseconds, NULL for zero.
func (s *stmt) duration(d time.Duration) *stmt { return s.optional(d.Microseconds()) }

func (s *stmt) blob(v []byte) *stmt {
	if s.err != nil {
		return s
	}
	at := s.copy(unsafe.Pointer(unsafe.SliceData(v)), len(v))
	if s.err != nil {
		return s
	}
	return s.bound(lib.Xsqlite3_bind_blob64(s.conn.tls, s.handle, s.nextParam(), at, uint64(len(v)), 0))
}

// text binds NULL for the empty text.
func (s *stmt) text(v string) *stmt {
	if v == "" {
		return s.null()
	}
	return s.string(v)
}

// string binds text, the empty one too.
func (s *stmt) string(v string) *stmt {
	if s.err != nil {
		return s
	}
	at := s.copy(unsafe.Pointer(unsafe.StringData(v)), len(v))
	if s.err != nil {
		return s
	}
	return s.bound(lib.Xsqlite3_bind_text64(s.conn.tls, s.handle, s.nextParam(), at, uint64(len(v)), 0, lib.SQLITE_UTF8))
}

// copy puts n bytes where SQLite may read them until the statement has run.
func (s *stmt) copy(from unsafe.Pointer, n int) uintptr {
	at := s.arena.alloc(s.conn.tls, n)
	if at == 0 {
		s.err = errors.New("out of memory")
		return 0
	}
	copy(unsafe.Slice((*byte)(pointer(at)), n), unsafe.Slice((*byte)(from), n))
	return at
}

// run steps a statement that returns no rows.
func (s *stmt) run() error {
	for s.next() {
	}
	return s.end()
}

// next steps to the next row and reports whether there is one.
func (s *stmt) next() bool {
	if s.err != nil {
		return false
	}
	s.column = 0
	switch rc := lib.Xsqlite3_step(s.conn.tls, s.handle); rc {
	case lib.SQLITE_ROW:
		return true
	case lib.SQLITE_DONE:
		return false
	default:
		s.err = s.conn.failure(rc)
		return false
	}
}

// end leaves the rows and returns the first error.
func (s *stmt) end() error {
	if s.handle != 0 {
		lib.Xsqlite3_reset(s.conn.tls, s.handle) // returns the error of the last step again
	}
	return s.err
}

// one reads a single row with read, if there is one.
func (s *stmt) one(read func(*stmt)) (found bool, err error) {
	if found = s.next(); found {
		read(s)
	}
	return found, s.end()
}

// nextColumn counts a column.
func (s *stmt) nextColumn() int32 {
	s.column++
	return s.column - 1
}

func (s *stmt) readInt() int64 {
	return lib.Xsqlite3_column_int64(s.conn.tls, s.handle, s.nextColumn())
}

func (s *stmt) readBool() bool { return s.readInt() != 0 }

func (s *stmt) readTime() time.Time {
	if ms := s.readInt(); ms != 0 {
		return time.UnixMilli(ms).UTC()
	}
	return time.Time{}
}

func (s *stmt) readDuration() time.Duration { return time.Duration(s.readInt()) * time.Microsecond }

// readText returns "" for NULL.
func (s *stmt) readText() string { return string(s.peek()) }

// readBlob returns a copy; nil for NULL, not nil for an empty blob.
func (s *stmt) readBlob() []byte {
	if lib.Xsqlite3_column_type(s.conn.tls, s.handle, s.column) == lib.SQLITE_NULL {
		s.column++
		return nil
	}
	return append([]byte{}, s.peek()...)
}

// read16 reads a blob of 16 bytes; another length gives zero.
func (s *stmt) read16() (id [16]byte) {
	if b := s.peek(); len(b) == len(id) {
		copy(id[:], b)
	}
	return id
}

// peek returns a column's bytes, which are valid until the next step.
func (s *stmt) peek() []byte {
	i := s.nextColumn()
	at := lib.Xsqlite3_column_blob(s.conn.tls, s.handle, i)
	if at == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(pointer(at)), lib.Xsqlite3_column_bytes(s.conn.tls, s.handle, i))
}
