package postgres

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/atrest"
)

// Record writes a batch in one transaction. What is new, nearly always all of it, is copied: that costs half of what
// inserting does which looks for rows that are there already. If some are, because the batch or a part of it was written
// before, everything is done again with inserts that look. Each table takes at most one row a key, in order of the keys,
// so that two processes that record the same deliveries wait for each other instead of deadlocking.
//
// Counts of duplicates alone are not idempotent: a batch that is written twice counts twice.
func (s *Store) Record(ctx context.Context, b *store.Batch) error {
	err := s.record(ctx, b)
	if hasCode(err, checkViolation) { // no partition: nothing else is checked
		if err = s.makeMissing(ctx, b); err == nil {
			err = s.record(ctx, b)
		}
	}
	return s.describe("record", err)
}

func (s *Store) record(ctx context.Context, b *store.Batch) error {
	w, err := s.plan(ctx, b)
	if err != nil || len(w.new)+len(w.moves) == 0 {
		return err
	}
	began, start := s.localNow(), time.Now()
	err = s.copyIn(ctx, w)
	if hasCode(err, uniqueViolation) {
		err = s.pipeline(ctx, s.dispatch, w.inserting(), nil)
	}
	if err != nil {
		s.kinds.forget() // a standby that took over may lack the last of them
		return err
	}
	s.metrics.RecordSeconds.Observe(time.Since(start).Seconds())
	s.heads.written(b, s.toDatabase(began))
	return nil
}

// writing is what a batch takes: rows that are new, and statements that move or end others. Rows of the queue come last:
// due.go counts on little time between their writing and their commit.
type writing struct {
	new   []*rowset
	moves []statement
}

// inserting is all of it in statements.
func (w *writing) inserting() []statement {
	out := []statement{byIndex}
	for _, rows := range w.new {
		out = append(out, rows.insert())
	}
	return append(out, w.moves...)
}

// plan makes what a batch takes.
func (s *Store) plan(ctx context.Context, b *store.Batch) (w *writing, err error) {
	w = &writing{}
	if len(b.Events) > 0 {
		if err := s.putEvents(ctx, w, b.Events); err != nil {
			return nil, err
		}
	}
	m, err := collapse(b)
	if err != nil {
		return nil, err
	}
	if len(b.Attempts) > 0 {
		w.new = append(w.new, putAttempts(b.Attempts))
	}
	if len(b.Duplicates) > 0 {
		w.moves = append(w.moves, countDuplicates(b.Duplicates))
	}
	w.moves = putQuarantined(w.moves, b.Quarantine)
	return w, s.putMoves(w, m)
}

// byIndex keeps the planner from reading all of a table that was empty when it was last analyzed, as a queue mostly is,
// and may hold millions of rows now; and from compiling statements that it then finds expensive. It ends with the
// transaction.
var byIndex = statement{text: `SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
	set_config('enable_mergejoin', 'off', true), set_config('enable_bitmapscan', 'off', true), set_config('jit', 'off', true)`}

// moves are what becomes of deliveries, each once: what is finished is not queued.
type moves struct {
	queue, holds []*store.Queued
	retries      []*store.Retry
	outcomes     []*store.Outcome
}

func collapse(b *store.Batch) (m moves, err error) {
	for i := range b.Outcomes {
		if _, err := atrest.StateNumber(b.Outcomes[i].State); err != nil {
			return m, fmt.Errorf("outcome of %s: %w", b.Outcomes[i].ID, err)
		}
	}
	var finished map[store.DeliveryID]int
	m.outcomes, finished = collapseBy(b.Outcomes, outcomeID, nil, func(have, next *store.Outcome) *store.Outcome {
		if next.State == store.DeliveryDelivered && have.State != store.DeliveryDelivered {
			return next
		}
		return have
	})
	m.queue, _ = collapseBy(b.Queue, queuedID, finished, func(have, next *store.Queued) *store.Queued { return have })
	m.holds, _ = collapseBy(b.Holds, queuedID, finished, func(have, next *store.Queued) *store.Queued {
		if next.Attempt < have.Attempt {
			return have
		}
		joined := *next
		joined.FirstAttempt = earliest(have.FirstAttempt, next.FirstAttempt)
		return &joined
	})
	m.retries, _ = collapseBy(b.Retries, retryID, finished, func(have, next *store.Retry) *store.Retry {
		if next.Attempt < have.Attempt {
			return have
		}
		joined := *next
		joined.FirstAttempt = earliest(have.FirstAttempt, next.FirstAttempt)
		return &joined
	})
	return m, nil
}

func outcomeID(o *store.Outcome) *store.DeliveryID { return &o.ID }
func queuedID(q *store.Queued) *store.DeliveryID   { return &q.ID }
func retryID(r *store.Retry) *store.DeliveryID     { return &r.ID }

// earliest is the first of two times, one after the other, that is known.
func earliest(first, second time.Time) time.Time {
	if first.IsZero() {
		return second
	}
	return first
}

// collapseBy joins the entries of each delivery that is not among the finished ones, and sorts by delivery. at has the
// deliveries of the result.
func collapseBy[T any](all []T, id func(*T) *store.DeliveryID, finished map[store.DeliveryID]int, join func(have, next *T) *T,
) (out []*T, at map[store.DeliveryID]int) {
	if len(all) == 0 {
		return nil, nil
	}
	at = make(map[store.DeliveryID]int, len(all))
	out = make([]*T, 0, len(all))
	for i := range all {
		next := &all[i]
		key := *id(next)
		if _, ok := finished[key]; ok {
			continue
		}
		if n, ok := at[key]; ok {
			out[n] = join(out[n], next)
			continue
		}
		at[key] = len(out)
		out = append(out, next)
	}
	slices.SortFunc(out, func(a, b *T) int { return compareDeliveries(id(a), id(b)) })
	return out, at
}

func compareDeliveries(a, b *store.DeliveryID) int {
	if c := bytes.Compare(a.Event[:], b.Event[:]); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.Endpoint, b.Endpoint), cmp.Compare(a.Replay, b.Replay))
}

const (
	insertQueued = `INSERT INTO queue (event, endpoint, replay, next_at, held_until, first_attempt, queued_at, size, attempt,
		last_duration, shard, reason, last_status, last_error)
		SELECT u.event, u.endpoint, u.replay, greatest(u.next_at, u.held_until, ` + dbNow + ` + $15), u.held_until, u.first_attempt,
			CASE u.queued_at WHEN 0 THEN ` + dbNow + ` + $15 ELSE u.queued_at END, u.size, u.attempt,
			u.last_duration, u.shard, u.reason, u.last_status, u.last_error
		FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) AS u (event, endpoint, replay, next_at, held_until,
			first_attempt, queued_at, size, attempt, last_duration, shard, reason, last_status, last_error)
		LEFT JOIN LATERAL (SELECT true AS is FROM deliveries d WHERE d.event = u.event AND d.endpoint = u.endpoint AND d.replay = u.replay
			AND d.event BETWEEN $16 AND $17 LIMIT 1) AS finished ON true
		WHERE finished.is IS NULL
		ON CONFLICT (endpoint, event, replay) DO `
	// insertQueue leaves a row as it is.
	insertQueue = insertQueued + `NOTHING`
	// insertHolds gives a row the attempt that runs, unless a later one has begun.
	insertHolds = insertQueued + `UPDATE SET attempt = excluded.attempt, next_at = excluded.next_at, held_until = excluded.held_until,
		first_attempt = CASE queue.first_attempt WHEN 0 THEN excluded.first_attempt ELSE queue.first_attempt END
		WHERE excluded.attempt >= queue.attempt`
	// updateRetries moves rows on. The attempt that failed holds the row no longer.
	updateRetries = `UPDATE queue q SET attempt = u.attempt, next_at = greatest(u.next_at, ` + dbNow + ` + $11), held_until = 0,
		first_attempt = CASE q.first_attempt WHEN 0 THEN u.first_attempt ELSE q.first_attempt END,
		last_duration = u.last_duration, reason = u.reason, last_status = u.last_status, last_error = u.last_error
		FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) AS u (event, endpoint, replay, next_at, first_attempt, attempt,
			last_duration, reason, last_status, last_error)
		WHERE q.event = u.event AND q.endpoint = u.endpoint AND q.replay = u.replay AND q.attempt <= u.attempt`
	deleteQueued = `DELETE FROM queue q USING unnest($1, $2, $3) AS u (event, endpoint, replay)
		WHERE q.event = u.event AND q.endpoint = u.endpoint AND q.replay = u.replay`
)

// deliveriesTable lets outcomes only move up.
var deliveriesTable = &table{
	name: "deliveries",
	columns: []column{
		{"event", uuids},
		{"endpoint", int4s},
		{"replay", int4s},
		{"first_attempt", int8s},
		{"finished_at", int8s},
		{"attempts", int4s},
		{"last_duration", int4s},
		{"state", int2s},
		{"reason", int2s},
		{"last_status", int2s},
		{"last_error", texts},
	},
	conflict: `(event, endpoint, replay) DO UPDATE SET first_attempt = excluded.first_attempt, finished_at = excluded.finished_at,
		attempts = excluded.attempts, last_duration = excluded.last_duration, state = excluded.state, reason = excluded.reason,
		last_status = excluded.last_status, last_error = excluded.last_error
		WHERE excluded.state = 3 AND deliveries.state <> 3`,
}

// putMoves adds what becomes of deliveries.
func (s *Store) putMoves(w *writing, m moves) error {
	if len(m.outcomes) > 0 {
		rows, finished, err := putOutcomes(m.outcomes)
		if err != nil {
			return err
		}
		w.new, w.moves = append(w.new, rows), append(w.moves, finished)
	}
	for _, rows := range []struct {
		text string
		rows []*store.Queued
	}{{insertQueue, m.queue}, {insertHolds, m.holds}} {
		if len(rows.rows) == 0 {
			continue
		}
		st, err := s.putQueued(rows.text, rows.rows)
		if err != nil {
			return err
		}
		w.moves = append(w.moves, st)
	}
	if len(m.retries) > 0 {
		st, err := s.putRetries(m.retries)
		if err != nil {
			return err
		}
		w.moves = append(w.moves, st)
	}
	return nil
}

// keys are the columns of a delivery's id.
type keys struct{ events, endpoints, replays *array }

func newKeys(n int) keys { return keys{uuids(n), int4s(n), int4s(n)} }

func (k *keys) add(id store.DeliveryID) {
	k.events.id(id.Event)
	k.endpoints.int(int64(id.Endpoint))
	k.replays.int(int64(id.Replay))
}

// putOutcomes makes the rows of the history, and the statement that takes the deliveries off the queue.
func putOutcomes(all []*store.Outcome) (rows *rowset, finished statement, err error) {
	rows, key := newRowset(deliveriesTable, len(all), 64*len(all)), newKeys(len(all))
	for i := range all {
		o := all[i]
		state, err := atrest.StateNumber(o.State)
		if err != nil {
			return nil, finished, err
		}
		reason, err := reasonNumber(o.Reason)
		if err != nil {
			return nil, finished, fmt.Errorf("outcome of %s: %w", o.ID, err)
		}
		key.add(o.ID)
		rows.delivery(o.ID)
		rows.int8(unixMillis(o.FirstAttempt))
		rows.int8(unixMillis(o.FinishedAt))
		rows.int4(int64(o.Attempts))
		rows.int4(micros(o.LastDuration))
		rows.int2(state)
		rows.int2(reason)
		rows.int2(int64(o.LastStatus))
		rows.string(plain(o.LastError))
	}
	return rows, over(deleteQueued, key.events, key.endpoints, key.replays), nil
}

// delivery begins a row with a delivery's id.
func (r *rowset) delivery(id store.DeliveryID) {
	r.row()
	r.id(id.Event)
	r.int4(int64(id.Endpoint))
	r.int4(int64(id.Replay))
}

func (s *Store) putQueued(text string, rows []*store.Queued) (statement, error) {
	n := len(rows)
	key, next, held, first, queued := newKeys(n), int8s(n), int8s(n), int8s(n), int8s(n)
	sizes, attempts, durations, shards, reasons, statuses, errs := int4s(n), int4s(n), int4s(n), int2s(n), int2s(n), int2s(n), texts(n)
	for i := range rows {
		q := rows[i]
		reason, err := reasonNumber(q.Reason)
		if err != nil {
			return statement{}, fmt.Errorf("queue %s: %w", q.ID, err)
		}
		key.add(q.ID)
		next.int(s.toDatabase(q.NextAt))
		held.int(s.toDatabase(q.HeldUntil))
		first.int(unixMillis(q.FirstAttempt))
		queued.int(unixMillis(q.QueuedAt))
		sizes.int(int64(q.Size))
		attempts.int(int64(q.Attempt))
		durations.int(micros(q.LastDuration))
		shards.int(int64(q.ID.Endpoint.Shard()))
		reasons.int(reason)
		statuses.int(int64(q.LastStatus))
		errs.string(plain(q.LastError))
	}
	// They are sorted: the first and the last event tell the planner which partitions to look at.
	return over(text, key.events, key.endpoints, key.replays, next, held, first, queued, sizes, attempts, durations, shards, reasons,
		statuses, errs).int8(s.skewMillis()).id(rows[0].ID.Event).id(rows[n-1].ID.Event), nil
}

func (s *Store) putRetries(all []*store.Retry) (statement, error) {
	n := len(all)
	key, next, first := newKeys(n), int8s(n), int8s(n)
	attempts, durations, reasons, statuses, errs := int4s(n), int4s(n), int2s(n), int2s(n), texts(n)
	for i := range all {
		r := all[i]
		reason, err := reasonNumber(r.Reason)
		if err != nil {
			return statement{}, fmt.Errorf("retry %s: %w", r.ID, err)
		}
		key.add(r.ID)
		next.int(s.toDatabase(r.NextAt))
		first.int(unixMillis(r.FirstAttempt))
		attempts.int(int64(r.Attempt))
		durations.int(micros(r.LastDuration))
		reasons.int(reason)
		statuses.int(int64(r.LastStatus))
		errs.string(plain(r.LastError))
	}
	return over(updateRetries, key.events, key.endpoints, key.replays, next, first, attempts, durations, reasons, statuses, errs).
		int8(s.skewMillis()), nil
}
