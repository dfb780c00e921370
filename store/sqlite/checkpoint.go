package sqlite

import (
	"time"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/sqlite/lib"

	"github.com/sluicehq/sluice/pkg/telemetry"
)

const (
	logPages     = 2048             // the log is moved once it has grown by so many pages (16 MiB), see checkpoints
	movePasses   = 4                // beside the writer; each has what came during the last
	finishPages  = 512              // a pass of so many pages is the last one: the writer moves what came meanwhile
	optimizeEach = 6 * time.Hour    // statistics for the planner
	retryPause   = 10 * time.Second // after a checkpoint that failed
)

// checkpoints moves the log into the database, beside the writer: SQLite's own way is to have the commit that fills the
// log move all of it, which stalls every job behind it for the tenths of a second that 64 MiB take. The log starts
// again from its beginning only when all of it was moved while nothing was appended, so the writer moves the last few
// pages between two groups.
//
// It is moved in small steps: each ends with an fsync of all it wrote, in random order, and whoever syncs meanwhile, the
// broker above all, waits behind that. That of a step of 64 MiB takes 60 to 90 ms, of 16 MiB 25, of 8 MiB 15, but the
// smaller the steps, the more often the same pages are written.
type checkpoints struct {
	writer  *writer
	conn    *conn
	grown   chan struct{} // the log is due
	pages   int32         // written by the writer since the log was last due; the writer's own
	counted int32         // pages that the writer's connection had written when last asked; the writer's own
}

func newCheckpoints(w *writer, moving *conn) *checkpoints {
	return &checkpoints{writer: w, conn: moving, grown: make(chan struct{}, 1)}
}

// written counts what the writer has appended and wakes the mover.
func (c *checkpoints) written(writing *conn) {
	total := writing.pagesWritten()
	c.pages += total - c.counted // right even when SQLite's count wraps around
	c.counted = total
	if c.pages >= logPages {
		c.pages = 0
		select {
		case c.grown <- struct{}{}:
		default:
		}
	}
}

// run moves the log whenever it is due, until the writer has stopped.
func (c *checkpoints) run() {
	optimize := time.NewTicker(optimizeEach)
	defer optimize.Stop()
	for {
		select {
		case <-c.writer.stopped:
			return
		case <-optimize.C:
			c.writer.between(c.optimize)
		case <-c.grown:
			if !c.move() {
				select {
				case <-time.After(retryPause):
				case <-c.writer.stopped:
					return
				}
			}
		}
	}
}

// move moves the log beside the writer, then has the writer move what came meanwhile. It reports whether that went well.
func (c *checkpoints) move() bool {
	moved := int64(0)
	for range movePasses {
		total, ok := c.passive(c.conn)
		if !ok {
			return false
		}
		if total-moved <= finishPages {
			break // about as much came meanwhile
		}
		moved = total
	}
	ok := false
	c.writer.between(func(writing *conn) { _, ok = c.passive(writing) })
	return ok
}

// passive moves what no reader needs any more, without waiting for anybody. It returns how many pages the log had when it
// began.
func (c *checkpoints) passive(on *conn) (total int64, ok bool) {
	start := time.Now()
	total, moved, err := on.checkpoint(lib.SQLITE_CHECKPOINT_PASSIVE)
	c.writer.store.metrics.CheckpointSeconds.Observe(time.Since(start).Seconds())
	if err != nil {
		c.writer.store.log.Warn("the store's log could not be moved into the database, it grows until it can be", telemetry.Error(err))
		return 0, false
	}
	c.writer.store.metrics.LogPages.Set(float64(total - moved))
	return total, true
}

// optimize refreshes the planner's statistics, from a sample: tables may hold a hundred million rows.
func (c *checkpoints) optimize(writing *conn) {
	for _, pragma := range []string{"PRAGMA analysis_limit = 400", "PRAGMA optimize"} {
		if err := writing.exec(pragma); err != nil {
			c.writer.store.log.Warn("statistics for the query planner not refreshed", telemetry.Error(err))
			return
		}
	}
}

// checkpoint moves the log into the database: pages in the log, and how many of them are moved.
func (c *conn) checkpoint(mode int32) (total, moved int64, err error) {
	out := libc.Xcalloc(c.tls, 2, 4)
	if out == 0 {
		return 0, 0, &Error{Code: lib.SQLITE_NOMEM, text: "out of memory"}
	}
	defer libc.Xfree(c.tls, out)
	if rc := lib.Xsqlite3_wal_checkpoint_v2(c.tls, c.db, 0, mode, out, out+4); rc != lib.SQLITE_OK {
		return 0, 0, c.failure(rc)
	}
	counts := unsafe.Slice((*int32)(pointer(out)), 2)
	return int64(counts[0]), int64(counts[1]), nil
}

// pagesWritten returns how many pages the connection has ever appended to the log.
func (c *conn) pagesWritten() int32 {
	out := libc.Xcalloc(c.tls, 2, 4)
	if out == 0 {
		return 0
	}
	defer libc.Xfree(c.tls, out)
	lib.Xsqlite3_db_status(c.tls, c.db, lib.SQLITE_DBSTATUS_CACHE_WRITE, out, out+4, 0)
	return *(*int32)(pointer(out))
}
