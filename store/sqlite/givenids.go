package sqlite

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// givenBlock is how many given ids share a block: half a MiB. A look-up costs 2 µs a block, 0.1 s for a billion events.
const givenBlock = 16 << 10

// givenIDs numbers the blocks. The writer's own.
type givenIDs struct {
	block int64 // that is filled now
	rows  int   // in it, at least
}

const (
	insertGivenID = `INSERT INTO given_ids (block, hash, event) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`
	// These go to an end of the key, and count one block.
	lastBlock  = `SELECT coalesce(max(block), 0) FROM given_ids`
	firstBlock = `SELECT coalesce(min(block), 0) FROM given_ids`
	blockRows  = `SELECT count(*) FROM given_ids WHERE block = ?`
	// findGivenID steps through the blocks by the key: two seeks a block.
	findGivenID = `WITH RECURSIVE blocks (block) AS (
		SELECT max(block) FROM given_ids
		UNION ALL SELECT (SELECT max(block) FROM given_ids WHERE block < blocks.block) FROM blocks WHERE blocks.block IS NOT NULL)
		SELECT g.event FROM blocks CROSS JOIN given_ids AS g ON g.block = blocks.block AND g.hash = ?`
	// expireGivenID takes old events out of the oldest block, by the key.
	expireGivenID = `DELETE FROM given_ids WHERE block = ?1 AND (hash, event) IN
		(SELECT hash, event FROM given_ids WHERE block = ?1 AND event < ?2 LIMIT ?3)`
)

// open finds out which block is filled now.
func (g *givenIDs) open(c *conn) error {
	if _, err := c.prepare(lastBlock).one(func(st *stmt) { g.block = st.readInt() }); err != nil {
		return err
	}
	_, err := c.prepare(blockRows).int(g.block).one(func(st *stmt) { g.rows = int(st.readInt()) })
	return err
}

// put notes what an event's sender called it.
func (g *givenIDs) put(c *conn, given string, id event.ID) error {
	if g.rows >= givenBlock {
		g.block, g.rows = g.block+1, 0
	}
	g.rows++
	return c.prepare(insertGivenID).int(g.block).int(givenHash(given)).blob(id[:]).run()
}

// givenHash takes six bytes of a row. Rows of events tell texts with one hash apart.
func givenHash(given string) int64 {
	sum := sha256.Sum256([]byte(given))
	return int64(binary.BigEndian.Uint64(sum[:8]) >> 16)
}

// eventsGiven lists events by given id and whatever else q asks for, newest first.
func (s *Store) eventsGiven(c *conn, q *store.EventQuery, low, high []byte) (rows []store.RecordedEvent, err error) {
	var ids []event.ID
	st := c.prepare(findGivenID).int(givenHash(q.GivenID))
	for st.next() {
		if id := event.ID(st.read16()); bytes.Compare(id[:], low) >= 0 && bytes.Compare(id[:], high) < 0 {
			ids = append(ids, id)
		}
	}
	if err := st.end(); err != nil {
		return nil, err
	}
	slices.SortFunc(ids, func(a, b event.ID) int { return compareIDs(b, a) })
	for _, id := range ids {
		r, found, err := s.event(c, id)
		if err != nil {
			return nil, err
		}
		if e := &r.Event; !found || e.GivenID != q.GivenID || unlike(q.Tenant, e.Tenant) || unlike(q.Key, e.Key) ||
			unlike(q.Source, e.Source) || unlike(q.Type, e.Type) {
			continue
		}
		if rows = append(rows, r); len(rows) == q.Limit {
			break
		}
	}
	return rows, nil
}

func unlike(wanted, got string) bool { return wanted != "" && wanted != got }

// expireGivenIDs deletes at most limit rows of events below cut from the oldest block. Blocks are filled as events are
// recorded, so their events are about as old; one that is not yet old keeps its block the oldest. It returns how many.
func expireGivenIDs(c *conn, cut []byte, limit int64) (int64, error) {
	first := int64(0)
	if _, err := c.prepare(firstBlock).one(func(st *stmt) { first = st.readInt() }); err != nil {
		return 0, err
	}
	if err := c.prepare(expireGivenID).int(first).blob(cut).int(limit).run(); err != nil {
		return 0, err
	}
	return c.changes(), nil
}
