package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/store"
)

const (
	// bumpVersion and selectCounter use the key of a table of three rows.
	bumpVersion   = `UPDATE counters SET value = value + 1 WHERE name = 'configuration' RETURNING value`
	selectCounter = `SELECT value FROM counters WHERE name = ?`
)

// edit is one change of the configuration.
type edit struct {
	conn    *conn
	now     time.Time
	version int64 // 0 until the first write
}

// next returns the version that the change makes, which it bumps when first asked: after the checks, so that a change
// that is refused has written nothing.
func (e *edit) next() (int64, error) {
	if e.version != 0 {
		return e.version, nil
	}
	_, err := e.conn.prepare(bumpVersion).one(func(st *stmt) { e.version = st.readInt() })
	return e.version, err
}

// configure changes the configuration in one transaction.
func (s *Store) configure(ctx context.Context, change func(*edit) error) error {
	return s.write(ctx, durable, 1, func(c *conn) error { return change(&edit{conn: c, now: s.now()}) })
}

func counter(c *conn, name string) (value int64, err error) {
	_, err = c.prepare(selectCounter).string(name).one(func(st *stmt) { value = st.readInt() })
	return value, err
}

// Changes reads by the indexes on version; when nothing changed it reads one row.
func (s *Store) Changes(ctx context.Context, since int64) (store.Changes, error) {
	var ch store.Changes
	err := s.read(ctx, func(c *conn) (err error) {
		ch = store.Changes{}
		if ch.Version, err = counter(c, "configuration"); err != nil || ch.Version == since {
			return err
		}
		gone, err := counter(c, "tombstones")
		if err != nil {
			return err
		}
		if since <= 0 || since > ch.Version || since < gone {
			ch.Full, since = true, 0
		}
		if err := s.changedSources(c, since, &ch); err != nil {
			return err
		}
		if err := s.changedEndpoints(c, since, &ch); err != nil {
			return err
		}
		return changedKeys(c, since, &ch)
	})
	if err != nil {
		return store.Changes{}, fmt.Errorf("read the configuration: %w", err)
	}
	return ch, nil
}
