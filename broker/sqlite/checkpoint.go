package sqlite

import (
	"context"
	"database/sql/driver"
	"sync/atomic"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/telemetry"
)

// checkpointer copies the write-ahead log into the database file beside the writer. SQLite would do so inside a commit,
// which then takes 30 ms or more for a log of 16 MiB. As the writer goes on meanwhile, the copy never quite catches up,
// and only a log that was copied whole starts anew; so once the log has its full size the writer copies the little that
// is left itself (writer.checkpoint).
type checkpointer struct {
	file     *file
	log      *zap.Logger
	logLimit int64
	wake     chan struct{}
	written  int64        // by the writer since the last wake-up
	logBytes atomic.Int64 // length of the log when it was last looked at
}

func newCheckpointer(f *file, log *zap.Logger, logLimit int64) *checkpointer {
	return &checkpointer{file: f, log: log, logLimit: logLimit, wake: make(chan struct{}, 1)}
}

// wrote notes that a commit added about n bytes of rows to the log.
func (c *checkpointer) wrote(n int64) {
	c.written += n + 2*pageSize
	if c.written < c.logLimit/4 {
		return
	}
	c.written = 0
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// due reports whether the writer should copy what is left of the log.
func (c *checkpointer) due() bool { return c.logBytes.Load() >= c.logLimit }

// run copies whenever enough was written, until ctx ends.
func (c *checkpointer) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		if err := c.runOnce(ctx); err != nil && ctx.Err() == nil {
			c.log.Warn("could not copy the broker's log into its file, trying again later", telemetry.Error(explain(c.file.path, err)))
		}
	}
}

// runOnce copies twice: the second pass takes what was written during the first.
func (c *checkpointer) runOnce(ctx context.Context) error {
	return c.file.copy(ctx, func(cn *conn) error {
		for range 2 {
			log, left, err := checkpoint(context.WithoutCancel(ctx), cn, "PASSIVE")
			if err != nil {
				return err
			}
			c.logBytes.Store(log * pageSize)
			if left == 0 {
				break
			}
		}
		return nil
	})
}

// checkpoint copies the log, as far as mode and readers allow, and returns its length and how much of it is left to copy,
// in pages.
func checkpoint(ctx context.Context, c *conn, mode string) (log, left int64, err error) {
	err = c.query(ctx, "PRAGMA wal_checkpoint("+mode+")", func(row []driver.Value) error {
		n, err := integers(row)
		if err != nil {
			return err
		}
		if log, left = n[1], n[1]-n[2]; n[0] != 0 {
			left = max(left, 1) // somebody was in the way
		}
		return nil
	})
	return log, left, err
}

// checkpoint copies what is left of a log that has its full size, so that the next commit starts it anew.
func (w *writer) checkpoint(ctx context.Context) error {
	_, left, err := checkpoint(ctx, w.file.writer, "PASSIVE")
	if err == nil && left == 0 {
		w.checkpointer.logBytes.Store(0)
	}
	return err
}
