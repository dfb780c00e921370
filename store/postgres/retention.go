package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluicehq/sluice/store"
)

const (
	expireQuarantine = `DELETE FROM quarantine WHERE number IN (SELECT number FROM quarantine WHERE at < $1 ORDER BY at LIMIT $2)`
	expireReleased   = `DELETE FROM released WHERE event < $1::uuid`
	expireNodes      = `DELETE FROM nodes WHERE expires <= $1`
	// expireClaims reads some blocks of the table.
	expireClaims = `DELETE FROM claims WHERE ctid >= format('(%s,0)', $1::bigint)::tid AND ctid < format('(%s,0)', $2::bigint)::tid AND until <= $3`
	claimBlocks  = `SELECT pg_relation_size('claims') / current_setting('block_size')::bigint`
)

// Expire drops partitions of days that have ended before: what is kept is kept up to a day longer. The rest is deleted
// row by row, at most limit of them.
func (s *Store) Expire(ctx context.Context, bodies, history, now time.Time, limit int) (more bool, err error) {
	if history.After(bodies) {
		bodies = history // a body does not outlive its event
	}
	for _, p := range partitioned {
		before := history
		if p.table == "bodies" {
			before = bodies
		}
		if err := s.dropPartitions(ctx, p.table, before); err != nil {
			return false, s.describe("expire", err)
		}
	}
	err = s.transact(ctx, s.people, pgx.TxOptions{}, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, expireQuarantine, history.UnixMilli(), limit)
		if err != nil {
			return err
		}
		more = tag.RowsAffected() == int64(limit)
		if _, err := tx.Exec(ctx, expireReleased, firstID(history)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, expireNodes, s.toDatabase(now)); err != nil {
			return err
		}
		return s.expireTombstones(ctx, tx, history)
	})
	if err != nil {
		return false, s.describe("expire", err)
	}
	swept, err := s.sweep.runOnce(ctx, s, now)
	return more || !swept, s.describe("expire claims", err)
}

const (
	sweepPause  = store.ClaimTTL / 72 // between passes: a block then has several claims that ran out
	sweepBlocks = 1000                // 8 MB a step
)

// claimSweep deletes claims that have run out, in passes over the table in the order of its blocks: an index by time
// would cost every claim a second row.
type claimSweep struct {
	mu    sync.Mutex
	begun time.Time // the pass that is under way, or the last
	under bool
	at    int64 // the next block
}

// runOnce looks at some blocks, and reports whether the pass is done.
func (w *claimSweep) runOnce(ctx context.Context, s *Store, now time.Time) (done bool, err error) {
	w.mu.Lock()
	at := w.at
	if !w.under {
		if now.Sub(w.begun) < sweepPause && !now.Before(w.begun) {
			w.mu.Unlock()
			return true, nil
		}
		w.begun, w.under, at = now, true, 0
	}
	w.mu.Unlock()
	var blocks int64
	if err := s.people.QueryRow(ctx, claimBlocks).Scan(&blocks); err != nil {
		return false, err
	}
	if _, err := s.people.Exec(ctx, expireClaims, at, at+sweepBlocks, now.UnixMilli()); err != nil {
		return false, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at, w.under = at+sweepBlocks, at+sweepBlocks < blocks
	return !w.under, nil
}
