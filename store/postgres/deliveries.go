package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/atrest"
)

// deliveryColumns of d, as readDelivery reads them.
const deliveryColumns = `d.event, d.endpoint, d.replay, d.first_attempt, d.finished_at, d.attempts, d.last_duration, d.state, d.reason,
	d.last_status, d.last_error`

func readDelivery(v [][]byte) store.Delivery {
	return store.Delivery{
		ID: readDeliveryID(v), FirstAttempt: millis(readInt8(v[3])), FinishedAt: millis(readInt8(v[4])), Attempts: int(readInt4(v[5])),
		LastDuration: fromMicros(readInt4(v[6])), State: atrest.StateName(int64(readInt2(v[7]))), Reason: reasonName(readInt2(v[8])),
		LastStatus: int(readInt2(v[9])), LastError: string(v[10]),
	}
}

// queuedDelivery is a row of the queue as people see it.
func queuedDelivery(q *store.Queued) store.Delivery {
	return store.Delivery{
		ID: q.ID, State: store.DeliveryQueued, Reason: q.Reason, Attempts: q.Attempt, FirstAttempt: q.FirstAttempt, NextAt: q.NextAt,
		QueuedAt: q.QueuedAt, LastStatus: q.LastStatus, LastError: q.LastError, LastDuration: q.LastDuration,
	}
}

const (
	selectDelivery = `SELECT ` + deliveryColumns + ` FROM deliveries d WHERE event = $1::uuid AND endpoint = $2 AND replay = $3`
	selectQueued   = `SELECT ` + queueColumns + ` FROM queue q WHERE event = $1::uuid AND endpoint = $2 AND replay = $3`
)

// delivery reads one delivery, queued or finished.
func (s *Store) delivery(ctx context.Context, tx pgx.Tx, id store.DeliveryID) (store.Delivery, error) {
	args := []any{id.Event, int32(id.Endpoint), int32(id.Replay)}
	finished, err := collectDeliveries(ctx, tx, selectDelivery, args...)
	if err != nil || len(finished) > 0 {
		return append(finished, store.Delivery{})[0], err
	}
	queued, err := s.collectQueued(ctx, tx, selectQueued, args...)
	switch {
	case err != nil:
		return store.Delivery{}, err
	case len(queued) == 0:
		return store.Delivery{}, store.ErrNotFound
	}
	return queuedDelivery(&queued[0]), nil
}

func collectDeliveries(ctx context.Context, tx pgx.Tx, text string, args ...any) (out []store.Delivery, err error) {
	rows, err := tx.Query(ctx, text, append([]any{pgx.QueryResultFormats{pgx.BinaryFormatCode}}, args...)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		out = append(out, readDelivery(rows.RawValues()))
	}
	return out, rows.Err()
}

// GetDelivery returns one delivery, queued or finished.
func (s *Store) GetDelivery(ctx context.Context, id store.DeliveryID) (d store.Delivery, err error) {
	err = s.read(ctx, func(tx pgx.Tx) error {
		d, err = s.delivery(ctx, tx, id)
		return err
	})
	return d, s.describe(fmt.Sprintf("delivery %s", id), err)
}

// ListDeliveries merges the newest of the history with the newest of the queue.
//
// A list that names an endpoint or a tenant goes down an index that begins with the endpoint, for each endpoint as many
// rows as the list is long, and sorts what comes of it: its cost does not depend on how rare the deliveries are.
func (s *Store) ListDeliveries(ctx context.Context, q store.DeliveryQuery) ([]store.Delivery, error) {
	if q.Limit <= 0 {
		return nil, nil
	}
	var rows []store.Delivery
	err := s.read(ctx, func(tx pgx.Tx) error {
		rows = nil
		endpoints, err := endpointsOf(ctx, tx, &q)
		if err != nil || endpoints != nil && len(endpoints) == 0 {
			return err
		}
		if q.State != store.DeliveryQueued {
			text, args, err := finishedList(&q, endpoints)
			if err != nil {
				return err
			}
			if rows, err = collectDeliveries(ctx, tx, text, args...); err != nil {
				return err
			}
		}
		if q.State == "" || q.State == store.DeliveryQueued {
			text, args := queuedList(&q, endpoints)
			queued, err := s.collectQueued(ctx, tx, text, args...)
			if err != nil {
				return err
			}
			for i := range queued {
				rows = append(rows, queuedDelivery(&queued[i]))
			}
		}
		return nil
	})
	if err != nil {
		return nil, s.describe("list deliveries", err)
	}
	// What is finished comes before a row of the queue that should be gone.
	slices.SortStableFunc(rows, func(a, b store.Delivery) int { return compareDeliveries(&b.ID, &a.ID) })
	rows = slices.CompactFunc(rows, func(a, b store.Delivery) bool { return a.ID == b.ID })
	return rows[:min(len(rows), q.Limit)], nil
}

// tenantEndpoints has deleted ones too: their history stays.
const tenantEndpoints = `SELECT id FROM endpoints WHERE tenant = $1 AND ($2::int4 = 0 OR id = $2)`

// endpointsOf returns the endpoints that a list goes over; nil: all.
func endpointsOf(ctx context.Context, tx pgx.Tx, q *store.DeliveryQuery) ([]int32, error) {
	switch {
	case q.Tenant != "":
		rows, err := tx.Query(ctx, tenantEndpoints, q.Tenant, int32(q.Endpoint))
		if err != nil {
			return nil, err
		}
		ids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
		return append([]int32{}, ids...), err
	case q.Endpoint != 0:
		return []int32{int32(q.Endpoint)}, nil
	}
	return nil, nil
}

func finishedList(q *store.DeliveryQuery, endpoints []int32) (text string, args []any, err error) {
	var where conditions
	if q.State != "" {
		n, err := atrest.StateNumber(q.State)
		if err != nil {
			return "", nil, err
		}
		where.add("state = ?::int2", n)
		if n != atrest.Delivered {
			where.add("state <> 3") // says it as the partial indexes do
		}
	}
	text = listText(q, endpoints, &where, "deliveries", deliveryColumns, "d")
	return text, where.args, nil
}

func queuedList(q *store.DeliveryQuery, endpoints []int32) (text string, args []any) {
	var where conditions
	text = listText(q, endpoints, &where, "queue", queueColumns, "q")
	return text, where.args
}

// listText writes the statement for a table.
func listText(q *store.DeliveryQuery, endpoints []int32, where *conditions, table, columns, alias string) string {
	low, high := span(q.Since, q.Until, q.Before.Event)
	where.add("event >= ?::uuid AND event <= ?::uuid", low, high)
	if q.Before != (store.DeliveryID{}) {
		where.add("(event, endpoint, replay) < (?::uuid, ?::int4, ?::int4)", q.Before.Event, int32(q.Before.Endpoint), int32(q.Before.Replay))
	}
	if !q.Event.IsZero() {
		where.add("event = ?::uuid", q.Event)
		if endpoints != nil {
			where.add("endpoint = ANY (?::int4[])", endpoints)
		}
	}
	order := "event DESC, endpoint DESC, replay DESC LIMIT " + where.param(q.Limit)
	if endpoints == nil || !q.Event.IsZero() {
		return fmt.Sprintf("SELECT %s FROM %s %s WHERE %s ORDER BY %s", columns, table, alias, where, order)
	}
	where.add("endpoint = e.id")
	return fmt.Sprintf("SELECT %s FROM unnest(%s::int4[]) AS e (id) CROSS JOIN LATERAL (SELECT * FROM %s WHERE %s ORDER BY %s) AS %s ORDER BY %s",
		columns, where.param(endpoints), table, where, order, alias, order)
}

// span returns the lowest and the highest id from since up to until and before, both included: before is a cursor that
// says more than its id. Zero ones do not bound it.
func span(since, until time.Time, before event.ID) (low, high event.ID) {
	for i := range high {
		high[i] = 0xff
	}
	if !since.IsZero() {
		low = firstID(since)
	}
	if !until.IsZero() {
		high = predecessor(firstID(until))
	}
	if !before.IsZero() && slices.Compare(before[:], high[:]) < 0 {
		high = before
	}
	return low, high
}

// predecessor is the id before one.
func predecessor(id event.ID) event.ID {
	for i := len(id) - 1; i >= 0; i-- {
		id[i]--
		if id[i] != 0xff {
			break
		}
	}
	return id
}
