package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// Each of these takes the front of a key that sorts by time, so what goes lies together; the pages are used again.
const (
	expireBodies = `DELETE FROM bodies WHERE n IN (SELECT n FROM bodies WHERE n < ?
		AND NOT EXISTS (SELECT 1 FROM queue INDEXED BY queue_event WHERE event = bodies.event) ORDER BY n LIMIT ?)`
	expireEvents = `DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id < ?
		AND NOT EXISTS (SELECT 1 FROM queue INDEXED BY queue_event WHERE event = events.id) ORDER BY id LIMIT ?)`
	expireDeliveries = `DELETE FROM deliveries WHERE (event, endpoint, replay) IN
		(SELECT event, endpoint, replay FROM deliveries WHERE event < ? ORDER BY event LIMIT ?)`
	expireAttempts = `DELETE FROM attempts WHERE (event, endpoint, replay, number) IN
		(SELECT event, endpoint, replay, number FROM attempts WHERE event < ? ORDER BY event LIMIT ?)`
	expireDuplicates = `DELETE FROM duplicates WHERE event IN (SELECT event FROM duplicates WHERE event < ? ORDER BY event LIMIT ?)`
	expireReleased   = `DELETE FROM released WHERE event IN (SELECT event FROM released WHERE event < ? ORDER BY event LIMIT ?)`
	// expireQuarantine uses quarantine_at.
	expireQuarantine = `DELETE FROM quarantine WHERE number IN (SELECT number FROM quarantine WHERE at < ? ORDER BY at LIMIT ?)`
)

// Expire deletes what is too old, in one transaction. A power cut that undoes it does no harm, so it waits for no fsync.
func (s *Store) Expire(ctx context.Context, bodies, history, now time.Time, limit int) (more bool, err error) {
	if limit <= 0 {
		return false, fmt.Errorf("expire: limit %d, want 1 or more", limit)
	}
	err = s.write(ctx, volatile, 2*limit, func(c *conn) error {
		left := int64(limit)
		if history.After(bodies) {
			bodies = history // a body does not outlive its event
		}
		if err := c.prepare(expireBodies).int(bodyNumber(event.ID(firstID(bodies)))).int(left).run(); err != nil {
			return err
		}
		more = c.changes() == left
		cut := firstID(history)
		for _, sql := range []string{expireDeliveries, expireAttempts, expireDuplicates, expireReleased, expireEvents} {
			if err := c.prepare(sql).blob(cut).int(left).run(); err != nil {
				return err
			}
			left -= c.changes()
		}
		gone, err := expireGivenIDs(c, cut, left)
		if err != nil {
			return err
		}
		left -= gone
		if err := c.prepare(expireQuarantine).int(history.UnixMilli()).int(left).run(); err != nil {
			return err
		}
		more = more || c.changes() == left
		if err := expireTombstones(c, history); err != nil {
			return err
		}
		if err := expireHeartbeats(c, now); err != nil {
			return err
		}
		swept, err := s.ageing.sweep(c, now, limit)
		more = more || !swept
		return err
	})
	if err != nil {
		return false, fmt.Errorf("expire: %w", err)
	}
	return more, nil
}

const (
	// The tables are small. Endpoints stay: the history names them.
	lastTombstone = `SELECT coalesce(max(version), 0) FROM (SELECT version FROM sources WHERE deleted_at < ?1
		UNION ALL SELECT version FROM keys WHERE deleted_at < ?1)`
	raiseTombstones   = `UPDATE counters SET value = max(value, ?) WHERE name = 'tombstones'`
	forgetSources     = `DELETE FROM sources WHERE deleted_at < ?`
	forgetRevokedKeys = `DELETE FROM keys WHERE deleted_at < ?`
)

// expireTombstones forgets deleted sources and keys. Who has not asked for changes since gets everything anew.
func expireTombstones(c *conn, before time.Time) error {
	last := int64(0)
	if _, err := c.prepare(lastTombstone).int(before.UnixMilli()).one(func(st *stmt) { last = st.readInt() }); err != nil || last == 0 {
		return err
	}
	if err := c.prepare(raiseTombstones).int(last).run(); err != nil {
		return err
	}
	for _, sql := range []string{forgetSources, forgetRevokedKeys} {
		if err := c.prepare(sql).int(before.UnixMilli()).run(); err != nil {
			return err
		}
	}
	return nil
}

const (
	sweepPause = store.ClaimTTL / 12 // between passes: a page then has several claims that ran out
	sweepRows  = 16                  // rows to look at for each that may be deleted
)

// claimSweep deletes claims that have run out, pass by pass through the table in order of their digests. An index by
// time would cost every claim a second row, and deleting by it would dirty a page a claim. The writer's own.
type claimSweep struct {
	begun time.Time // the pass that is under way, or the last
	under bool      // a pass is under way
	at    [16]byte  // it has looked at the digests up to here
}

const (
	// nextClaims and deleteClaim use the key.
	nextClaims  = `SELECT digest, until FROM claims WHERE digest > ? ORDER BY digest LIMIT ?`
	deleteClaim = `DELETE FROM claims WHERE digest = ?`
)

// sweep deletes at most limit claims, and reports whether the pass is done.
func (w *claimSweep) sweep(c *conn, now time.Time, limit int) (done bool, err error) {
	if !w.under {
		if now.Sub(w.begun) < sweepPause && !now.Before(w.begun) {
			return true, nil
		}
		*w = claimSweep{begun: now, under: true}
	}
	looked, at := 0, w.at
	var ended [][16]byte
	st := c.prepare(nextClaims).blob(at[:]).int(int64(sweepRows * limit))
	for len(ended) < limit && st.next() {
		digest, until := st.read16(), st.readInt()
		at = digest
		if looked++; until <= now.UnixMilli() {
			ended = append(ended, digest)
		}
	}
	if err := st.end(); err != nil {
		return false, err
	}
	for _, digest := range ended {
		if err := c.prepare(deleteClaim).blob(digest[:]).run(); err != nil {
			return false, err
		}
	}
	// If the transaction fails, the next pass deletes what this one meant to.
	w.at, w.under = at, len(ended) == limit || looked == sweepRows*limit
	return !w.under, nil
}
