package postgres

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/sluicehq/sluice/store"
)

// attemptsTable keeps what is there.
var attemptsTable = &table{
	name: "attempts",
	columns: []column{
		{"event", uuids},
		{"endpoint", int4s},
		{"replay", int4s},
		{"number", int4s},
		{"duration", int4s},
		{"started", int8s},
		{"status", int2s},
		{"error", texts},
		{"excerpt", byteas},
	},
	conflict: "DO NOTHING",
}

func putAttempts(all []store.Attempt) *rowset {
	all = slices.Clone(all)
	slices.SortStableFunc(all, compareAttempts)
	all = slices.CompactFunc(all, func(a, b store.Attempt) bool { return compareAttempts(a, b) == 0 })
	rows := newRowset(attemptsTable, len(all), 512*len(all))
	for i := range all {
		a := &all[i]
		rows.delivery(a.ID)
		rows.int4(int64(a.Number))
		rows.int4(micros(a.Duration))
		rows.int8(unixMillis(a.Started))
		rows.int2(int64(a.Status))
		rows.string(plain(a.Error))
		if len(a.Excerpt) == 0 {
			rows.null()
		} else {
			rows.bytes(a.Excerpt)
		}
	}
	return rows
}

func compareAttempts(a, b store.Attempt) int {
	return cmp.Or(compareDeliveries(&a.ID, &b.ID), cmp.Compare(a.Number, b.Number))
}

const selectAttempts = `SELECT number, started, duration, status, coalesce(error, ''), excerpt FROM attempts
	WHERE event = $1::uuid AND endpoint = $2 AND replay = $3 ORDER BY number`

// ListAttempts returns a delivery's failed attempts, first to last.
func (s *Store) ListAttempts(ctx context.Context, id store.DeliveryID) (attempts []store.Attempt, err error) {
	err = s.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, selectAttempts, id.Event, int32(id.Endpoint), int32(id.Replay))
		if err != nil {
			return err
		}
		attempts, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Attempt, error) {
			a := store.Attempt{ID: id}
			var started int64
			var duration int32
			err := row.Scan(&a.Number, &started, &duration, &a.Status, &a.Error, &a.Excerpt)
			a.Started, a.Duration = millis(started), fromMicros(duration)
			return a, err
		})
		return err
	})
	return attempts, s.describe(fmt.Sprintf("attempts of %s", id), err)
}
