package sqlite

import (
	"errors"
	"fmt"

	lib "modernc.org/sqlite/lib"
)

// fault is what an error of the file means for the broker.
type fault int

const (
	faultNone    fault = iota
	faultFull          // no space: nothing was written, it heals by itself
	faultBusy          // another process reads or writes the file: nothing was written, it heals by itself
	faultIO            // handles cannot be trusted any more: open the file anew
	faultDamaged       // the file is not what was written: somebody must act
)

const codeError = lib.SQLITE_ERROR

// classify says what err means. What is not known counts as an I/O error: opening the file anew is the safest answer.
func classify(err error) fault {
	var damage *damageError
	var own *ownError
	switch c := code(err); {
	case err == nil, errors.As(err, &own):
		return faultNone
	case errors.As(err, &damage), c&0xff == lib.SQLITE_CORRUPT, c&0xff == lib.SQLITE_NOTADB:
		return faultDamaged
	case c&0xff == lib.SQLITE_FULL, c == lib.SQLITE_IOERR_SHMSIZE, isDiskFull(err), errors.Is(err, errReserve):
		return faultFull
	case c&0xff == lib.SQLITE_BUSY, c&0xff == lib.SQLITE_LOCKED:
		return faultBusy
	default:
		return faultIO
	}
}

// code returns SQLite's extended result code, 0 if err is not SQLite's.
func code(err error) int {
	var coded interface {
		error
		Code() int
	}
	if errors.As(err, &coded) {
		return coded.Code()
	}
	return 0
}

// commitError is an error of COMMIT itself.
type commitError struct{ err error }

func (e *commitError) Error() string { return e.err.Error() }
func (e *commitError) Unwrap() error { return e.err }

// ambiguous reports whether what was to be committed may be in the file after err. When the disk was full, the log's
// commit frame was not written, and without it nothing counts; a busy file was not written at all.
func ambiguous(err error) bool {
	var c *commitError
	return errors.As(err, &c) && classify(err) == faultIO
}

// ownError is not the file's fault.
type ownError struct{ err error }

func (e *ownError) Error() string { return e.err.Error() }
func (e *ownError) Unwrap() error { return e.err }

// damageError says that what was read is not what was written.
type damageError struct{ what string }

func (e *damageError) Error() string { return "damaged: " + e.what }

// explain adds what to do about err.
func explain(path string, err error) error {
	switch classify(err) {
	case faultNone:
		return err
	case faultDamaged:
		return fmt.Errorf("broker file %s is damaged: stop Sluice, keep a copy, repair it with \"sqlite3 %s .recover\" or move it away to start empty: %w", path, path, err)
	case faultFull:
		return fmt.Errorf("broker file %s: disk full: free space: %w", path, err)
	case faultBusy:
		return fmt.Errorf("broker file %s: another program holds it (sqlite3?): close it there: %w", path, err)
	default:
		return fmt.Errorf("broker file %s: %w", path, err)
	}
}
