package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluicehq/sluice/store"
)

const (
	// lockVersion begins each change of the configuration: from here on others wait until it has committed, so versions
	// are seen in order, with everything up to them, and what is checked holds until it is written. The numbers of rows
	// come after it, so they are in order too.
	lockVersion = `SELECT value FROM counters WHERE name = 'configuration' FOR UPDATE`
	bumpVersion = `UPDATE counters SET value = value + 1 WHERE name = 'configuration' RETURNING value, ` + dbNow + ` + $1::bigint`
	// configured and counted use the key of a table of three rows.
	configured = `SELECT value FROM counters WHERE name = 'configuration'`
	counted    = `SELECT (SELECT value FROM counters WHERE name = 'configuration'), (SELECT value FROM counters WHERE name = 'tombstones')`
)

// edit is one change of the configuration.
type edit struct {
	tx      pgx.Tx
	skew    int64     // of the store's clock, in milliseconds
	now     time.Time // of the database, once there is a version
	version int64     // 0 until the first write
}

// configure changes the configuration in one transaction.
func (s *Store) configure(ctx context.Context, change func(*edit) error) error {
	return s.write(ctx, func(tx pgx.Tx) error {
		var version int64
		if err := tx.QueryRow(ctx, lockVersion).Scan(&version); err != nil {
			return err
		}
		return change(&edit{tx: tx, skew: s.skewMillis()})
	})
}

// begin makes the new version when it is first asked: a change that turns out to be none makes none.
func (e *edit) begin(ctx context.Context) error {
	if e.version != 0 {
		return nil
	}
	var now int64
	if err := e.tx.QueryRow(ctx, bumpVersion, e.skew).Scan(&e.version, &now); err != nil {
		return err
	}
	e.now = millis(now)
	return nil
}

// run runs a statement.
func (e *edit) run(ctx context.Context, text string, args ...any) error {
	_, err := e.tx.Exec(ctx, text, args...)
	return wrap(err) // here: what is said around it stays
}

// number makes the new version and returns the number of a new row.
func (e *edit) number(ctx context.Context, next string) (id int32, err error) {
	if err := e.begin(ctx); err != nil {
		return 0, err
	}
	err = e.tx.QueryRow(ctx, next).Scan(&id)
	return id, err
}

// insert runs a statement that a unique index may refuse.
func (e *edit) insert(ctx context.Context, text string, args ...any) error {
	return taken(e.run(ctx, text, args...))
}

// taken makes ErrExists of what a unique index said.
func taken(err error) error {
	if hasCode(err, uniqueViolation) {
		return store.ErrExists
	}
	return err
}

// Changes reads one row when nothing has changed, and else by the indexes on version, in one snapshot. Deliveries wait for
// it: a dispatcher that cannot confirm its configuration stops.
func (s *Store) Changes(ctx context.Context, since int64) (store.Changes, error) {
	ch, err := s.changes(ctx, since)
	if err != nil {
		return store.Changes{}, s.describe("read the configuration", err)
	}
	return ch, nil
}

func (s *Store) changes(ctx context.Context, since int64) (ch store.Changes, err error) {
	if err := s.dispatch.QueryRow(ctx, configured).Scan(&ch.Version); err != nil || ch.Version == since {
		return ch, err
	}
	snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = s.transact(ctx, s.dispatch, snapshot, func(tx pgx.Tx) error {
		ch = store.Changes{}
		after, gone := since, int64(0)
		if err := tx.QueryRow(ctx, counted).Scan(&ch.Version, &gone); err != nil {
			return err
		}
		if after <= 0 || after > ch.Version || after < gone {
			ch.Full, after = true, 0
		}
		if err := s.changedSources(ctx, tx, after, &ch); err != nil {
			return err
		}
		if err := s.changedEndpoints(ctx, tx, after, &ch); err != nil {
			return err
		}
		return changedKeys(ctx, tx, after, &ch)
	})
	return ch, err
}

// forgetTombstones is one statement, so that the number it raises and what it deletes are of one moment and are seen
// together. The tables are small. Endpoints stay: the history names them.
const forgetTombstones = `WITH sources AS (DELETE FROM sources WHERE deleted_at < $1 RETURNING version),
		keys AS (DELETE FROM keys WHERE deleted_at < $1 RETURNING version),
		gone AS (SELECT max(version) AS last FROM (SELECT version FROM sources UNION ALL SELECT version FROM keys) AS versions)
	UPDATE counters SET value = greatest(value, last) FROM gone WHERE name = 'tombstones' AND last IS NOT NULL`

// expireTombstones forgets deleted sources and keys. Who has not asked for changes since gets everything anew.
func (s *Store) expireTombstones(ctx context.Context, tx pgx.Tx, before time.Time) error {
	_, err := tx.Exec(ctx, forgetTombstones, before.UnixMilli())
	return err
}
