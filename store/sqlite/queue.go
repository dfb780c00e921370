package sqlite

import (
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

const queueColumns = `event, endpoint, replay, size, attempt, first_attempt, next_at, held_until, reason, last_status,
	last_error, last_duration, queued_at`

// readQueued reads queueColumns.
func readQueued(st *stmt) (q store.Queued) {
	q.ID = store.DeliveryID{Event: event.ID(st.read16()), Endpoint: store.EndpointID(st.readInt()), Replay: uint32(st.readInt())}
	q.Size, q.Attempt, q.FirstAttempt = int(st.readInt()), int(st.readInt()), st.readTime()
	q.NextAt, q.HeldUntil, q.Reason = st.readTime(), st.readTime(), store.Reason(st.readText())
	q.LastStatus, q.LastError, q.LastDuration = int(st.readInt()), st.readText(), st.readDuration()
	q.QueuedAt = st.readTime()
	return q
}

func deliveryOf(q *store.Queued) store.Delivery {
	return store.Delivery{
		ID: q.ID, State: store.DeliveryQueued, Reason: q.Reason, Attempts: q.Attempt, FirstAttempt: q.FirstAttempt,
		NextAt: q.NextAt, QueuedAt: q.QueuedAt, LastStatus: q.LastStatus, LastError: q.LastError, LastDuration: q.LastDuration,
	}
}

const (
	// insertQueued looks into the history by its key: a finished delivery is not queued again.
	insertQueued = `INSERT INTO queue (` + queueColumns + `)
		SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13
		WHERE NOT EXISTS (SELECT 1 FROM deliveries WHERE event = ?1 AND endpoint = ?2 AND replay = ?3)
		ON CONFLICT (endpoint, event, replay) DO `
	// insertQueue leaves a row as it is.
	insertQueue = insertQueued + `NOTHING`
	// insertHold gives a row the attempt that runs, unless a later one has begun.
	insertHold = insertQueued + `UPDATE SET attempt = excluded.attempt, next_at = excluded.next_at,
		held_until = excluded.held_until, first_attempt = coalesce(first_attempt, excluded.first_attempt)
		WHERE coalesce(excluded.attempt, 0) >= coalesce(queue.attempt, 0)`
	// updateRetry uses the key. The attempt that failed holds the row no longer.
	updateRetry = `UPDATE queue SET attempt = ?4, first_attempt = coalesce(first_attempt, ?5), next_at = ?6, held_until = NULL,
		reason = ?7, last_status = ?8, last_error = ?9, last_duration = ?10
		WHERE endpoint = ?2 AND event = ?1 AND replay = ?3 AND coalesce(attempt, 0) <= coalesce(?4, 0)`
	// selectQueued uses the key.
	selectQueued = `SELECT ` + queueColumns + ` FROM queue WHERE event = ? AND endpoint = ? AND replay = ?`
)

func putQueued(c *conn, q *store.Queued, now time.Time) error {
	return bindQueued(c.prepare(insertQueue), q, now).run()
}

func putHold(c *conn, q *store.Queued, now time.Time) error {
	return bindQueued(c.prepare(insertHold), q, now).run()
}

func bindQueued(st *stmt, q *store.Queued, now time.Time) *stmt {
	next, since := q.NextAt, q.QueuedAt
	if q.HeldUntil.After(next) {
		next = q.HeldUntil // so that one index says when it is due
	}
	if since.IsZero() {
		since = now
	}
	st.blob(q.ID.Event[:]).int(int64(q.ID.Endpoint)).int(int64(q.ID.Replay)).optional(int64(q.Size)).optional(int64(q.Attempt))
	st.time(q.FirstAttempt).int(next.UnixMilli()).time(q.HeldUntil).text(string(q.Reason)).optional(int64(q.LastStatus))
	return st.text(q.LastError).duration(q.LastDuration).int(since.UnixMilli())
}

func putRetry(c *conn, r *store.Retry) error {
	st := c.prepare(updateRetry).blob(r.ID.Event[:]).int(int64(r.ID.Endpoint)).int(int64(r.ID.Replay)).optional(int64(r.Attempt))
	st.time(r.FirstAttempt).int(r.NextAt.UnixMilli()).text(string(r.Reason)).optional(int64(r.LastStatus)).text(r.LastError)
	return st.duration(r.LastDuration).run()
}

// queued reads one row.
func queued(c *conn, id store.DeliveryID) (q store.Queued, found bool, err error) {
	found, err = c.prepare(selectQueued).blob(id.Event[:]).int(int64(id.Endpoint)).int(int64(id.Replay)).
		one(func(st *stmt) { q = readQueued(st) })
	return q, found, err
}
