package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/atrest"
)

const (
	// insertOutcome appends by the key and to deliveries_endpoint. The common delivery was never queued: nothing is read
	// before it is written.
	insertOutcome = `INSERT INTO deliveries (event, endpoint, replay, state, reason, attempts, first_attempt, finished_at,
		last_status, last_error, last_duration) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (event, endpoint, replay) DO UPDATE SET state = excluded.state, reason = excluded.reason,
		attempts = excluded.attempts, first_attempt = excluded.first_attempt, finished_at = excluded.finished_at,
		last_status = excluded.last_status, last_error = excluded.last_error, last_duration = excluded.last_duration
		WHERE excluded.state = 3 AND deliveries.state <> 3`
	// deleteQueued uses the key.
	deleteQueued = `DELETE FROM queue WHERE endpoint = ? AND event = ? AND replay = ?`
)

// finish writes the end of a delivery and takes it off the queue.
func finish(c *conn, o *store.Outcome) error {
	state, err := atrest.StateNumber(o.State)
	if err != nil {
		return err
	}
	st := c.prepare(insertOutcome).blob(o.ID.Event[:]).int(int64(o.ID.Endpoint)).int(int64(o.ID.Replay)).int(state).text(string(o.Reason))
	st.optional(int64(o.Attempts)).time(o.FirstAttempt).time(o.FinishedAt).optional(int64(o.LastStatus)).text(o.LastError).duration(o.LastDuration)
	if err := st.run(); err != nil {
		return err
	}
	return c.prepare(deleteQueued).int(int64(o.ID.Endpoint)).blob(o.ID.Event[:]).int(int64(o.ID.Replay)).run()
}

const deliveryColumns = `event, endpoint, replay, state, reason, attempts, first_attempt, finished_at, last_status, last_error, last_duration`

// readDelivery reads deliveryColumns.
func readDelivery(st *stmt) (d store.Delivery) {
	d.ID = store.DeliveryID{Event: event.ID(st.read16()), Endpoint: store.EndpointID(st.readInt()), Replay: uint32(st.readInt())}
	d.State, d.Reason, d.Attempts = atrest.StateName(st.readInt()), store.Reason(st.readText()), int(st.readInt())
	d.FirstAttempt, d.FinishedAt = st.readTime(), st.readTime()
	d.LastStatus, d.LastError, d.LastDuration = int(st.readInt()), st.readText(), st.readDuration()
	return d
}

// selectDelivery uses the key.
const selectDelivery = `SELECT ` + deliveryColumns + ` FROM deliveries WHERE event = ? AND endpoint = ? AND replay = ?`

// delivery reads one delivery, queued or finished.
func delivery(c *conn, id store.DeliveryID) (d store.Delivery, found bool, err error) {
	found, err = c.prepare(selectDelivery).blob(id.Event[:]).int(int64(id.Endpoint)).int(int64(id.Replay)).
		one(func(st *stmt) { d = readDelivery(st) })
	if found || err != nil {
		return d, found, err
	}
	q, found, err := queued(c, id)
	return deliveryOf(&q), found, err
}

// GetDelivery returns one delivery, queued or finished.
func (s *Store) GetDelivery(ctx context.Context, id store.DeliveryID) (store.Delivery, error) {
	var d store.Delivery
	err := s.read(ctx, func(c *conn) (err error) {
		var found bool
		if d, found, err = delivery(c, id); err == nil && !found {
			err = store.ErrNotFound
		}
		return err
	})
	if err != nil {
		return store.Delivery{}, fmt.Errorf("delivery %s: %w", id, err)
	}
	return d, nil
}

// ListDeliveries merges the newest of the history with the newest of the queue.
func (s *Store) ListDeliveries(ctx context.Context, q store.DeliveryQuery) ([]store.Delivery, error) {
	if q.Limit <= 0 {
		return nil, nil
	}
	var rows []store.Delivery
	err := s.read(ctx, func(c *conn) error {
		rows = nil
		if q.State != store.DeliveryQueued {
			st := c.prepare(historyQuery(&q))
			bindDeliveryQuery(st, &q)
			for st.next() {
				rows = append(rows, readDelivery(st))
			}
			if err := st.end(); err != nil {
				return err
			}
		}
		if q.State == "" || q.State == store.DeliveryQueued {
			st := c.prepare(queueQuery(&q))
			bindDeliveryQuery(st, &q)
			for st.next() {
				row := readQueued(st)
				rows = append(rows, deliveryOf(&row))
			}
			return st.end()
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	slices.SortFunc(rows, func(a, b store.Delivery) int { return compareDeliveries(b.ID, a.ID) })
	return rows[:min(len(rows), q.Limit)], nil
}

// historyQuery goes down deliveries_endpoint for one endpoint, deliveries_failed or deliveries_endpoint_failed for what
// is dead or canceled, and the key otherwise. Which one is said, since the planner cannot know that one endpoint may
// have a single row among a hundred million.
func historyQuery(q *store.DeliveryQuery) string {
	failed := q.State == store.DeliveryDead || q.State == store.DeliveryCanceled
	index := ""
	switch {
	case !q.Event.IsZero():
	case failed && q.Endpoint != 0:
		index = " INDEXED BY deliveries_endpoint_failed"
	case failed:
		index = " INDEXED BY deliveries_failed"
	case q.Endpoint != 0:
		index = " INDEXED BY deliveries_endpoint"
	}
	return `SELECT ` + deliveryColumns + ` FROM deliveries` + index + deliveryWhere(q, failed)
}

// queueQuery goes down the key for one endpoint and queue_event otherwise.
func queueQuery(q *store.DeliveryQuery) string {
	index := " INDEXED BY queue_event"
	if q.Endpoint != 0 {
		index = ""
	}
	return `SELECT ` + queueColumns + ` FROM queue` + index + deliveryWhere(&store.DeliveryQuery{
		Tenant: q.Tenant, Event: q.Event, Endpoint: q.Endpoint, Before: q.Before,
	}, false)
}

func deliveryWhere(q *store.DeliveryQuery, failed bool) string {
	where := []string{"event >= ? AND event < ?"}
	if q.Before != (store.DeliveryID{}) {
		where = append(where, "event <= ? AND (event, endpoint, replay) < (?, ?, ?)")
	}
	if !q.Event.IsZero() {
		where = append(where, "event = ?")
	}
	if q.Endpoint != 0 {
		where = append(where, "endpoint = ?")
	}
	if q.State != "" {
		where = append(where, "state = ?")
	}
	if failed {
		where = append(where, "state <> 3") // says it as the partial indexes do
	}
	if q.Tenant != "" {
		where = append(where, "+endpoint IN (SELECT id FROM endpoints WHERE tenant = ?)")
	}
	return ` WHERE ` + strings.Join(where, " AND ") + ` ORDER BY event DESC, endpoint DESC, replay DESC LIMIT ?`
}

func bindDeliveryQuery(st *stmt, q *store.DeliveryQuery) {
	low, high := span(q.Since, q.Until, event.ID{})
	st.blob(low).blob(high)
	if q.Before != (store.DeliveryID{}) {
		st.blob(q.Before.Event[:]).blob(q.Before.Event[:]).int(int64(q.Before.Endpoint)).int(int64(q.Before.Replay))
	}
	if !q.Event.IsZero() {
		st.blob(q.Event[:])
	}
	if q.Endpoint != 0 {
		st.int(int64(q.Endpoint))
	}
	if q.State != "" && q.State != store.DeliveryQueued {
		n, err := atrest.StateNumber(q.State)
		if err != nil {
			st.err = err
			return
		}
		st.int(n)
	}
	if q.Tenant != "" {
		st.string(q.Tenant)
	}
	st.int(int64(q.Limit))
}

func compareDeliveries(a, b store.DeliveryID) int {
	return cmp.Or(compareIDs(a.Event, b.Event), cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Replay, b.Replay))
}

func compareIDs(a, b event.ID) int { return bytes.Compare(a[:], b[:]) }
