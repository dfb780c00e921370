package sqlite

import (
	"errors"
	"fmt"

	lib "modernc.org/sqlite/lib"

	"github.com/sluicehq/sluice/store"
)

// Error is what SQLite answered. It names tables and columns, never values.
type Error struct {
	Code int // extended result code
	text string
}

// Error returns SQLite's text and its code.
func (e *Error) Error() string { return fmt.Sprintf("sqlite: %s (%d)", e.text, e.Code) }

// Is matches store.ErrData when the data is at fault. Every other error is an outage: disk full, I/O, another process
// that holds the lock.
func (e *Error) Is(target error) bool {
	if target != store.ErrData {
		return false
	}
	switch e.Code & 0xff {
	case lib.SQLITE_CONSTRAINT, lib.SQLITE_TOOBIG, lib.SQLITE_MISMATCH:
		return true
	}
	return false
}

// interrupted reports whether a context ended the statement.
func interrupted(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code&0xff == lib.SQLITE_INTERRUPT
}
