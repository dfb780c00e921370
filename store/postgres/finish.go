package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/atrest"
)

// finishBatch bounds the rows of one transaction: what it locks, a retry or an outcome of them waits for.
const finishBatch = 1000

// Finish ends queued rows, and writes their ends as Record does.
func (s *Store) Finish(ctx context.Context, q store.FinishQuery) (ended int, err error) {
	if _, err := atrest.StateNumber(q.State); err != nil {
		return 0, fmt.Errorf("finish: %w", err)
	}
	if _, err := reasonNumber(q.Reason); err != nil {
		return 0, fmt.Errorf("finish: %w", err)
	}
	for left := q.Limit; left > 0; {
		n, err := s.finish(ctx, &q, min(left, finishBatch))
		ended += n
		left -= n
		if err != nil || n == 0 {
			return ended, s.describe("finish queued deliveries", err)
		}
	}
	return ended, nil
}

// finish ends at most limit rows. They are locked when they are read, so that what ends is what was read; who has locked
// some is about to move or end them itself.
func (s *Store) finish(ctx context.Context, q *store.FinishQuery, limit int) (ended int, err error) {
	text, args := s.finishable(q, limit)
	err = s.transact(ctx, s.dispatch, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, byIndex.text); err != nil {
			return err
		}
		rows, err := s.collectQueued(ctx, tx, text, args...)
		if err != nil || len(rows) == 0 {
			return err
		}
		outcomes := make([]store.Outcome, len(rows))
		for i := range rows {
			outcomes[i] = q.Ended(&rows[i])
		}
		m, err := collapse(&store.Batch{Outcomes: outcomes})
		if err != nil {
			return err
		}
		finishedRows, finished, err := putOutcomes(m.outcomes)
		if err != nil {
			return err
		}
		ended = len(rows)
		return execute(ctx, tx, finishedRows.insert(), finished)
	})
	if err != nil {
		return 0, err
	}
	return ended, nil
}

// execute runs statements within a transaction.
func execute(ctx context.Context, tx pgx.Tx, statements ...statement) error {
	for i := range statements {
		st := &statements[i]
		result := tx.Conn().PgConn().ExecParams(ctx, st.text, st.values, st.types, inBinary, inBinary).Read()
		if result.Err != nil {
			return result.Err
		}
	}
	return nil
}

// collectQueued reads rows of the queue.
func (s *Store) collectQueued(ctx context.Context, tx pgx.Tx, text string, args ...any) (out []store.Queued, err error) {
	rows, err := tx.Query(ctx, text, append([]any{pgx.QueryResultFormats{pgx.BinaryFormatCode}}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		out = append(out, s.readQueued(rows.RawValues()))
	}
	return out, rows.Err()
}

// finishable selects what q does, by the index that leaves the fewest rows: queue_first_attempt has only rows with
// attempts, queue_event is in order of age, the key has an endpoint's together.
func (s *Store) finishable(q *store.FinishQuery, limit int) (text string, args []any) {
	var where conditions
	order := "q.event"
	where.add("q.held_until <= ?", s.toDatabase(q.Now))
	if q.Endpoint != 0 {
		where.add("q.endpoint = ?", int32(q.Endpoint))
		order = "q.endpoint, q.event"
	}
	if !q.EventBefore.IsZero() {
		where.add("q.event < ?::uuid", firstID(q.EventBefore))
	}
	if !q.FirstAttemptBefore.IsZero() {
		where.add("q.first_attempt > 0 AND q.first_attempt < ?", q.FirstAttemptBefore.UnixMilli())
		order = "q.endpoint, q.first_attempt"
	}
	return fmt.Sprintf(`SELECT %s FROM queue q WHERE %s ORDER BY %s LIMIT %s FOR UPDATE SKIP LOCKED`,
		queueColumns, &where, order, where.param(limit)), where.args
}
