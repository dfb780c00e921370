package postgres

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sluicehq/sluice/store"
)

// Codes of PostgreSQL's errors that are acted on (Appendix A of its manual).
const (
	uniqueViolation      = "23505"
	checkViolation       = "23514" // also: no partition for the row
	readOnlyTransaction  = "25006" // the server is a standby, or was made one
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	protocolViolation    = "08P01" // also: a pooler does not know a setting
	invalidParameter     = "22023"
	undefinedTable       = "42P01"
	tooManyConnections   = "53300"
	lockNotAvailable     = "55P03"
	cannotConnectNow     = "57P03" // it starts, or recovers from a crash
	objectInUse          = "55006"
)

// Error is what PostgreSQL answered. It names tables, columns and constraints, never values: those are in the detail
// and the message of some errors, which are left out.
type Error struct {
	Code string // SQLSTATE
	text string
}

// Error returns what failed and the code.
func (e *Error) Error() string { return fmt.Sprintf("postgres: %s (SQLSTATE %s)", e.text, e.Code) }

// Is matches store.ErrData when the data is at fault: classes 22 (data exception) and 23 (integrity); and
// store.ErrUnavailable when the server takes no connections.
func (e *Error) Is(target error) bool {
	switch target {
	case store.ErrData:
		return strings.HasPrefix(e.Code, "22") || strings.HasPrefix(e.Code, "23")
	case store.ErrUnavailable:
		return e.Code == cannotConnectNow || e.Code == tooManyConnections
	}
	return false
}

// unreachable is an error of a connection that could not be made. It names the host.
type unreachable struct{ error }

// Error says each thing once: a host is tried with TLS and without.
func (u unreachable) Error() string {
	lines := strings.Split(u.error.Error(), "\n")
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "; ")
}

func (unreachable) Is(target error) bool { return target == store.ErrUnavailable }
func (u unreachable) Unwrap() error      { return u.error }

// wrap makes PostgreSQL's errors ours.
func wrap(err error) error {
	var ours *Error
	var connect *pgconn.ConnectError
	var pg *pgconn.PgError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ours):
		return err
	case errors.Is(err, pgx.ErrNoRows):
		return store.ErrNotFound
	case !errors.As(err, &pg) && errors.As(err, &connect):
		return unreachable{connect.Unwrap()} // what stands around it names the user
	case !errors.As(err, &pg):
		return err
	}
	text := pg.Message
	if strings.HasPrefix(pg.Code, "22") || strings.HasPrefix(pg.Code, "23") { // these messages quote values
		text = "value refused"
		if pg.TableName != "" || pg.ConstraintName != "" {
			text += fmt.Sprintf(" by %s", strings.Trim(pg.TableName+"."+pg.ConstraintName, "."))
		}
	}
	return &Error{Code: pg.Code, text: text}
}

func hasCode(err error, codes ...string) bool {
	code := ""
	var ours *Error
	var pg *pgconn.PgError
	switch {
	case errors.As(err, &ours):
		code = ours.Code
	case errors.As(err, &pg):
		code = pg.Code
	}
	for _, c := range codes {
		if code == c {
			return true
		}
	}
	return false
}

// lostRace reports an error after which the same transaction may succeed at once.
func lostRace(err error) bool { return hasCode(err, serializationFailure, deadlockDetected) }
