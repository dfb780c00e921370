package postgres

import (
	"bytes"
	"context"
	"errors"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// copyIn writes a batch in one transaction: a round trip to begin, one for each table whose rows are new, and one for the
// rest and the commit. It is safe to repeat: rows that are there already give a unique violation.
func (s *Store) copyIn(ctx context.Context, w *writing) error {
	return s.again(ctx, func() error {
		pooled, err := acquire(ctx, s.dispatch)
		if err != nil {
			return err
		}
		defer release(ctx, s.dispatch, pooled)
		conn := pooled.Conn().PgConn()
		if err := copyOn(ctx, conn, w); err != nil {
			return errors.Join(err, rollBackOn(ctx, conn))
		}
		return nil
	})
}

func copyOn(ctx context.Context, conn *pgconn.PgConn, w *writing) error {
	begin := beginning(pgx.TxOptions{}, limitOf(ctx)) + "; " + byIndex.text + "; SELECT " + keepalive
	if _, err := conn.Exec(ctx, begin).ReadAll(); err != nil {
		return err
	}
	for _, rows := range w.new {
		if _, err := conn.CopyFrom(ctx, bytes.NewReader(rows.copyData()), rows.copyText()); err != nil {
			return err
		}
	}
	batch := &pgconn.Batch{}
	for _, st := range append(slices.Clone(w.moves), statement{text: "COMMIT"}) {
		batch.ExecParams(st.text, st.values, st.types, inBinary, inBinary)
	}
	return conn.ExecBatch(ctx, batch).Close()
}

// rollBackOn ends a transaction that failed, if the connection is still good.
func rollBackOn(ctx context.Context, conn *pgconn.PgConn) error {
	if conn.IsClosed() || conn.TxStatus() == 'I' {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	_, err := conn.Exec(ctx, "ROLLBACK").ReadAll()
	return err
}
