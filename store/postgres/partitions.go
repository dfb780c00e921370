package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/pkg/wait"
	"github.com/sluicehq/sluice/store"
)

const (
	day            = 24 * time.Hour
	daysAhead      = 7
	partitionCheck = time.Hour
	partitionRetry = time.Minute
	lockWait       = 300 * time.Millisecond // for a lock that others queue behind
	lockTries      = 20
)

// partitioned are the tables that have a partition a day, and the column that tells the day.
var partitioned = []struct{ table, column string }{
	{"events", "id"}, {"bodies", "event"}, {"deliveries", "event"}, {"attempts", "event"}, {"duplicates", "event"},
}

// dayOf is the day, in UTC, that a partition holds.
func dayOf(t time.Time) time.Time { return t.UTC().Truncate(day) }

func partitionName(table string, d time.Time) string { return table + "_" + d.Format("20060102") }

// lowestID is the lowest id of a day, as text: where a partition begins and the one before it ends.
func lowestID(d time.Time) string {
	b := firstID(d)
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// selectPartitions lists the days that a table has partitions for. Names are ours: a partition that somebody else
// attached is left alone.
const selectPartitions = `SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
	WHERE i.inhparent = $1::regclass ORDER BY c.relname`

// partitionsOf returns the days of a table's partitions, oldest first.
func (s *Store) partitionsOf(ctx context.Context, table string) ([]time.Time, error) {
	rows, err := s.people.Query(ctx, selectPartitions, table)
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, err
	}
	var days []time.Time
	for _, name := range names {
		if d, err := time.Parse(table+"_20060102", name); err == nil {
			days = append(days, d)
		}
	}
	return days, nil
}

// makePartitions makes the partitions from yesterday to a week ahead. Older ones are made when they are needed.
func (s *Store) makePartitions(ctx context.Context) error {
	var days []time.Time
	for d := -1; d <= s.ahead; d++ {
		days = append(days, dayOf(s.localNow()).AddDate(0, 0, d))
	}
	return s.makeDays(ctx, days)
}

// makeDays makes what is missing of these days.
func (s *Store) makeDays(ctx context.Context, days []time.Time) error {
	for _, p := range partitioned {
		have, err := s.partitionsOf(ctx, p.table)
		if err != nil {
			return s.describe("partitions of "+p.table, err)
		}
		for _, d := range days {
			if slices.ContainsFunc(have, d.Equal) {
				continue
			}
			if err := s.withLocks(ctx, func(tx pgx.Tx) error { return makePartition(ctx, tx, p.table, d) }); err != nil {
				return s.describe("make partition "+partitionName(p.table, d), err)
			}
		}
	}
	return nil
}

// makePartition makes one, unless another process has. An empty table that is attached takes a lock that neither reads
// nor writes wait for (SHARE UPDATE EXCLUSIVE); CREATE TABLE … PARTITION OF would take the strongest.
func makePartition(ctx context.Context, tx pgx.Tx, table string, d time.Time) error {
	name := partitionName(table, d)
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('sluice'), hashtext('partitions'))`); err != nil {
		return err
	}
	var there bool
	if err := tx.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, name).Scan(&there); err != nil || there {
		return err
	}
	_, err := tx.Exec(ctx, fmt.Sprintf(`CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE)`, name, table))
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, fmt.Sprintf(`ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM ('%s') TO ('%s')`,
		table, name, lowestID(d), lowestID(d.AddDate(0, 0, 1))))
	return err
}

// withLocks runs a change of the schema. It waits a moment at most for its locks, since others wait behind it, and
// tries again later.
func (s *Store) withLocks(ctx context.Context, f func(tx pgx.Tx) error) (err error) {
	for range lockTries {
		err = s.write(ctx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `SELECT set_config('lock_timeout', $1, true)`, fmt.Sprint(lockWait.Milliseconds()))
			if err != nil {
				return err
			}
			return f(tx)
		})
		if !hasCode(err, lockNotAvailable, objectInUse) || !wait.For(ctx, lockWait) {
			return err
		}
	}
	return err
}

// keepPartitions makes the partitions of days to come, until ctx ends.
func (s *Store) keepPartitions(ctx context.Context) {
	for next := partitionCheck; wait.For(ctx, next); {
		next = partitionCheck
		if err := s.makePartitions(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("partitions of days to come cannot be made", zap.Error(err))
			next = partitionRetry
		}
	}
}

// makeMissing makes the days of a batch that was refused because it has none. Only days that events can be of are made:
// whatever made up the others did not come through Sluice.
func (s *Store) makeMissing(ctx context.Context, b *store.Batch) error {
	now := s.localNow()
	oldest, newest := dayOf(now.Add(-s.history-2*day)), dayOf(now.Add(daysAhead*day))
	days := map[time.Time]bool{}
	add := func(id event.ID) { days[dayOf(id.Time())] = true }
	for i := range b.Events {
		add(b.Events[i].Event.ID)
	}
	for i := range b.Outcomes {
		add(b.Outcomes[i].ID.Event)
	}
	for i := range b.Attempts {
		add(b.Attempts[i].ID.Event)
	}
	for id := range b.Duplicates {
		add(id)
	}
	var missing []time.Time
	for d := range days {
		if d.Before(oldest) || d.After(newest) {
			return fmt.Errorf("an event of %s, a day for which no history is kept: %w", d.Format(time.DateOnly), store.ErrData)
		}
		missing = append(missing, d)
	}
	return s.makeDays(ctx, missing)
}

// dropPartitions drops a table's partitions of days that ended before t, unless an event of that day is queued.
func (s *Store) dropPartitions(ctx context.Context, table string, t time.Time) error {
	days, err := s.partitionsOf(ctx, table)
	if err != nil {
		return err
	}
	for _, d := range days {
		if d.AddDate(0, 0, 1).After(t) {
			break
		}
		err := s.withLocks(ctx, func(tx pgx.Tx) error {
			var waiting bool
			err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM queue WHERE event >= $1::uuid AND event < $2::uuid)`,
				lowestID(d), lowestID(d.AddDate(0, 0, 1))).Scan(&waiting)
			if err != nil || waiting {
				return err
			}
			_, err = tx.Exec(ctx, `DROP TABLE IF EXISTS `+partitionName(table, d))
			return err
		})
		if err != nil {
			return fmt.Errorf("drop partition %s: %w", partitionName(table, d), err)
		}
	}
	return nil
}
