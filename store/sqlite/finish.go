package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/atrest"
)

// Finish ends queued rows, and writes their ends as Record does.
func (s *Store) Finish(ctx context.Context, q store.FinishQuery) (ended int, err error) {
	if _, err := atrest.StateNumber(q.State); err != nil {
		return 0, fmt.Errorf("finish: %w", err)
	}
	if q.Limit <= 0 {
		return 0, nil
	}
	err = s.write(ctx, durable, q.Limit, func(c *conn) error {
		rows, err := finishable(c, &q)
		if err != nil {
			return err
		}
		for i := range rows {
			o := q.Ended(&rows[i])
			if err := finish(c, &o); err != nil {
				return err
			}
		}
		ended = len(rows)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("finish queued deliveries: %w", err)
	}
	return ended, nil
}

// finishable reads what q selects, by the index that leaves the fewest rows: queue_first_attempt has only rows with
// attempts, queue_event is in order of age, the key has an endpoint's together.
func finishable(c *conn, q *store.FinishQuery) (rows []store.Queued, err error) {
	index, where := "", []string{"(held_until IS NULL OR held_until <= ?)"}
	if q.Endpoint != 0 {
		where = append(where, "endpoint = ?")
	}
	if !q.EventBefore.IsZero() {
		where = append(where, "event < ?")
		if q.Endpoint == 0 {
			index = " INDEXED BY queue_event"
		}
	}
	if !q.FirstAttemptBefore.IsZero() {
		where = append(where, "first_attempt IS NOT NULL AND first_attempt < ?")
		index = " INDEXED BY queue_first_attempt"
	}
	st := c.prepare(`SELECT ` + queueColumns + ` FROM queue` + index + ` WHERE ` + strings.Join(where, " AND ") + ` LIMIT ?`)
	st.int(q.Now.UnixMilli())
	if q.Endpoint != 0 {
		st.int(int64(q.Endpoint))
	}
	if !q.EventBefore.IsZero() {
		_, high := span(q.EventBefore, q.EventBefore, event.ID{})
		st.blob(high)
	}
	if !q.FirstAttemptBefore.IsZero() {
		st.int(q.FirstAttemptBefore.UnixMilli())
	}
	st.int(int64(q.Limit))
	for st.next() {
		rows = append(rows, readQueued(st))
	}
	return rows, st.end()
}
