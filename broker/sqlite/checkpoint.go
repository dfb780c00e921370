package sqlite

import (
	"context"
	"database/sql/driver"

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

	// The writer's own, by its estimate: a commit adds whole pages.
	unseen int64 // bytes that were added to the log since the last wake-up
	length int64 // of the log
}

func newCheckpointer(f *file, log *zap.Logger, logLimit int64) *checkpointer {
	return &checkpointer{file: f, log: log, logLimit: logLimit, wake: make(chan struct{}, 1)}
}

// logBytes estimates what a transaction adds to the log that inserts bytes into so many streams.
func logBytes(bytes int64, streams int) int64 { return bytes + bytes/8 + int64(3+2*streams)*pageSize }

// wrote notes that a transaction added n bytes to the log.
func (c *checkpointer) wrote(n int64) {
	c.length += n
	if c.unseen += n; c.unseen < c.logLimit/4 {
		return
	}
	c.unseen = 0
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// due reports whether the writer should copy what is left of the log.
func (c *checkpointer) due() bool { return c.length >= c.logLimit }

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
		_, left, err := checkpoint(context.WithoutCancel(ctx), cn, "PASSIVE")
		if err == nil && left > 0 {
			_, _, err = checkpoint(context.WithoutCancel(ctx), cn, "PASSIVE")
		}
		return err
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

// checkpoint copies what is left of a log that has its full size, so that the next commit starts it anew. Readers may be
// in the way, for as long as one read takes; when the log has twice its size, it waits for them.
func (w *writer) checkpoint(ctx context.Context) {
	c := w.checkpointer
	mode := "PASSIVE"
	if c.length >= 2*c.logLimit {
		mode = "RESTART"
	}
	var log, left int64
	err := w.file.copyAlone(func() (err error) {
		log, left, err = checkpoint(ctx, w.file.writer, mode)
		return err
	})
	switch {
	case err == nil && left == 0:
		c.length = 0
		return
	case classify(err) == faultIO:
		w.note(err)
	case err != nil:
		// A full disk: commits go on in the log while it has room, and the reserve stops them before that ends.
		w.log.Warn("could not copy the broker's log into its file, trying again later", telemetry.Error(explain(w.file.path, err)))
	}
	c.length = max(log*pageSize, c.logLimit) - c.logLimit/4 // again after some more
}
