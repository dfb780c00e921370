package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/sluicehq/sluice/pkg/wait"
)

const (
	raceTries    = 5                     // of a transaction that lost a race, in all
	racePause    = 5 * time.Millisecond  // after the first lost one; doubles, jittered
	lookPause    = 50 * time.Millisecond // between two looks at a transaction whose end is unknown
	lookFor      = 10 * time.Second      // longer than idleLimit: a transaction whose COMMIT never arrived is over by then
	lookAfter    = time.Second           // likewise, once the caller's time is over
	rollbackTime = 2 * time.Second
	xactKnown    = `SELECT coalesce(pg_xact_status($1::text::xid8), '')`
	xactNumber   = `SELECT pg_current_xact_id_if_assigned()::text`
)

// What the server does by itself when it hears no more of a process that died or was cut off, so that others do not wait
// for its locks, and vacuum not for its snapshot. Statements outside of transactions need none of it: they read, or write
// what takes a moment.
const (
	statementLimit = 30 * time.Second // of one statement, unless its caller waits for less
	idleLimit      = 5 * time.Second  // between two statements of a transaction: no more than computing lies there
	// A server that waits for the rest of a pipeline is not idle by its own account, and would keep its locks for the two
	// hours that TCP takes by default: 30 s of silence, then three probes.
	keepalive = `set_config('tcp_keepalives_idle', '30', true), set_config('tcp_keepalives_interval', '10', true),
		set_config('tcp_keepalives_count', '3', true)`
)

// limitOf is the time that the server gives a statement: as long as its caller waits for it, in whole seconds.
func limitOf(ctx context.Context) time.Duration {
	limit := statementLimit
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, max(time.Until(deadline), 0).Truncate(time.Second)+time.Second)
	}
	return limit
}

// transact runs f in one transaction. It runs it again when it lost a race with another one (deadlock, serialization),
// so f must have no effects but the transaction's. When the connection is lost while it commits, the database is asked
// what became of it: a change of the configuration must neither be made twice nor be reported as failed when it is made.
func (s *Store) transact(ctx context.Context, pool *pgxpool.Pool, opts pgx.TxOptions, f func(tx pgx.Tx) error) error {
	return s.again(ctx, func() error {
		number, err := once(ctx, pool, opts, f)
		if number == "" {
			return err
		}
		return s.lookUp(ctx, pool, number, err)
	})
}

// once runs f in one transaction. With an error that leaves open how it ended comes its number.
func once(ctx context.Context, pool *pgxpool.Pool, opts pgx.TxOptions, f func(tx pgx.Tx) error) (number string, err error) {
	conn, tx, err := begin(ctx, pool, opts)
	if err != nil {
		return "", err
	}
	defer release(ctx, pool, conn)
	defer rollBack(ctx, tx)
	if err := f(tx); err != nil {
		return "", err
	}
	if opts.AccessMode == pgx.ReadOnly {
		return "", tx.Commit(ctx)
	}
	var assigned *string // none: nothing was written
	if err := tx.QueryRow(ctx, xactNumber).Scan(&assigned); err != nil {
		return "", err
	}
	err = tx.Commit(ctx)
	if err == nil || assigned == nil || answered(err) {
		return "", err
	}
	return *assigned, err
}

// begin begins a transaction with its limits, in one round trip. A connection that turns out to be broken, as all are
// after a restart, is replaced once: nothing has been done yet.
func begin(ctx context.Context, pool *pgxpool.Pool, opts pgx.TxOptions) (*pgxpool.Conn, pgx.Tx, error) {
	opts.BeginQuery = beginning(opts, limitOf(ctx))
	for try := 1; ; try++ {
		conn, err := acquire(ctx, pool)
		if err != nil {
			return nil, nil, err
		}
		tx, err := conn.BeginTx(ctx, opts)
		if err == nil {
			return conn, tx, nil
		}
		broken := conn.Conn().IsClosed() && ctx.Err() == nil
		release(ctx, pool, conn)
		if !broken || try == 2 {
			return nil, nil, err
		}
	}
}

func beginning(opts pgx.TxOptions, limit time.Duration) string {
	text := "begin"
	if opts.IsoLevel != "" {
		text += " isolation level " + string(opts.IsoLevel)
	}
	if opts.AccessMode != "" {
		text += " " + string(opts.AccessMode)
	}
	// Compiling costs more than any of our statements, which planners think dearer than they are.
	return fmt.Sprintf("%s; set local jit = off; set local statement_timeout = %d; set local idle_in_transaction_session_timeout = %d",
		text, limit.Milliseconds(), idleLimit.Milliseconds())
}

// rollBack ends a transaction that was not committed. The error that matters is the one that led here.
func rollBack(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	_ = tx.Rollback(ctx)
}

// answered reports whether the server said that the transaction failed.
func answered(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.SeverityUnlocalized == "ERROR" || errors.Is(err, pgx.ErrTxCommitRollback)
}

// lookUp finds out how a transaction ended whose commit got no answer: lost. Nil: it is committed. After a failover that
// lost commits its answer is worth no more than that of the commit would have been.
func (s *Store) lookUp(ctx context.Context, pool *pgxpool.Pool, number string, lost error) error {
	ctx, cancel := lookTime(ctx)
	defer cancel()
	for {
		var status string
		err := pool.QueryRow(ctx, xactKnown, number).Scan(&status)
		switch {
		case err == nil && status == "committed":
			return nil
		case err == nil && status == "aborted", hasCode(err, invalidParameter): // a number that this server has not come to
			return fmt.Errorf("the connection was lost and nothing changed: %w", wrap(lost))
		}
		if !wait.For(ctx, lookPause) {
			return fmt.Errorf("whether the change was made is not known, look before you repeat it: %w", wrap(lost))
		}
	}
}

// lookTime is how long to look: the caller's time may be what ended the commit, or end meanwhile.
func lookTime(caller context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(caller), lookFor)
	stop := context.AfterFunc(caller, func() {
		wait.For(ctx, lookAfter)
		cancel()
	})
	return ctx, func() { stop(); cancel() }
}

// again runs f until it ends otherwise than by a lost race, or by a server that has become a standby: the next
// connections find the one that has taken over.
func (s *Store) again(ctx context.Context, f func() error) (err error) {
	next := racePause
	for try := 1; ; try++ {
		err = f()
		demoted := hasCode(err, readOnlyTransaction)
		if demoted {
			s.dispatch.Reset()
			s.people.Reset()
		}
		if !lostRace(err) && !demoted || try == raceTries || !wait.For(ctx, next/2+rand.N(next)) {
			return err
		}
		s.metrics.Repeated.Inc()
		next *= 2
	}
}

// acquire takes a connection from a pool.
func acquire(ctx context.Context, pool *pgxpool.Pool) (*pgxpool.Conn, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil && ctx.Err() != nil {
		if stat := pool.Stat(); stat.AcquiredConns() == stat.MaxConns() {
			return nil, fmt.Errorf("all %d connections are in use (pool_max_conns in store.url): %w", stat.MaxConns(), err)
		}
	}
	return conn, err
}

// release gives a connection back. One that broke is rarely alone: the others of its pool are replaced too, instead of
// failing one call each. A caller that merely gave up says nothing about them.
func release(ctx context.Context, pool *pgxpool.Pool, conn *pgxpool.Conn) {
	pg := conn.Conn().PgConn()
	broken := (pg.IsClosed() || pg.IsBusy()) && !errors.Is(ctx.Err(), context.Canceled)
	conn.Release()
	if broken {
		pool.Reset()
	}
}

// statement is one of a pipeline: its text, and its parameters in binary form with their types.
type statement struct {
	text   string
	values [][]byte
	types  []uint32
}

// inBinary says that every value is in binary form.
var inBinary = []int16{1}

// pipeline sends statements in one round trip as one transaction, and gives what each returns to its reader, if there
// is one: all of it when everything has succeeded but the commit, which may still fail. It repeats all of it after a
// lost race; readers then begin anew.
func (s *Store) pipeline(ctx context.Context, pool *pgxpool.Pool, statements []statement, read func(n int, rows *pgconn.ResultReader)) error {
	return s.again(ctx, func() error {
		conn, err := acquire(ctx, pool)
		if err != nil {
			return err
		}
		defer release(ctx, pool, conn)
		batch, extra := limited(statements, limitOf(ctx))
		results := conn.Conn().PgConn().ExecBatch(ctx, batch)
		for n := -extra; results.NextResult(); n++ {
			reader := results.ResultReader()
			if read != nil && n >= 0 {
				read(n, reader)
			}
			if _, err := reader.Close(); err != nil {
				break // Close has it too
			}
		}
		return results.Close()
	})
}

// limited makes a batch of statements under the server's limits, and says how many of its own come before them. Where
// byIndex comes first the limits go with it: a statement costs the server more than what this one does.
func limited(statements []statement, limit time.Duration) (batch *pgconn.Batch, extra int) {
	text := fmt.Sprintf(`set_config('statement_timeout', '%d', true), %s`, limit.Milliseconds(), keepalive)
	batch = &pgconn.Batch{}
	if len(statements) > 0 && statements[0].text == byIndex.text {
		batch.ExecParams(byIndex.text+", "+text, nil, nil, nil, nil)
		statements = statements[1:]
	} else {
		batch.ExecParams("SELECT "+text, nil, nil, nil, nil)
		extra = 1
	}
	for i := range statements {
		st := &statements[i]
		batch.ExecParams(st.text, st.values, st.types, inBinary, inBinary)
	}
	return batch, extra
}
