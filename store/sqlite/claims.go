package sqlite

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
)

// maxPendingClaims bounds claims in memory. Beyond it Seen has them written before it claims more; events that are open
// in a dispatcher, whose claims these are, are bounded far lower.
const maxPendingClaims = 1 << 16

// claim says who keeps a digest until when.
type claim struct {
	holder event.ID
	until  time.Time
}

// claims keeps new claims in memory until the next transaction writes them: a claim counts no earlier than the Record
// that makes it durable, so Seen waits for no transaction and no fsync. Only one process consumes with the store, so
// nobody else looks for them. A crash loses them together with whatever they kept out of this process.
type claims struct {
	mu      sync.Mutex
	pending map[[16]byte]claim
}

type pendingClaim struct {
	digest [16]byte
	claim
}

func (c *claims) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending)
}

// find returns the pending claims of these digests.
func (c *claims) find(digests [][16]byte) map[[16]byte]claim {
	found := map[[16]byte]claim{}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, d := range digests {
		if held, ok := c.pending[d]; ok {
			found[d] = held
		}
	}
	return found
}

func (c *claims) add(taken []pendingClaim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range taken {
		c.pending[t.digest] = t.claim
	}
}

const (
	// putClaim takes a digest that is free or has run out; Seen has made sure. By the key: digests are random, so each
	// row dirties a page of its own once the table is large, the dearest row of an event.
	putClaim = `INSERT INTO claims (digest, event, until) VALUES (?, ?, ?)
		ON CONFLICT (digest) DO UPDATE SET event = excluded.event, until = excluded.until`
	// anyReleased and unrelease: an event that claims again is no longer released. The table is nearly always empty.
	anyReleased = `SELECT 1 FROM released LIMIT 1`
	unrelease   = `DELETE FROM released WHERE event = ?`
)

// write writes the pending claims within a transaction of the writer, by digest, so that neighbours share a page.
func (c *claims) write(on *conn) ([]pendingClaim, error) {
	c.mu.Lock()
	all := make([]pendingClaim, 0, len(c.pending))
	for digest, held := range c.pending {
		all = append(all, pendingClaim{digest, held})
	}
	c.mu.Unlock()
	if len(all) == 0 {
		return nil, nil
	}
	slices.SortFunc(all, func(a, b pendingClaim) int { return bytes.Compare(a.digest[:], b.digest[:]) })
	released, err := on.prepare(anyReleased).one(func(*stmt) {})
	if err != nil {
		return nil, err
	}
	for i := range all {
		if err := on.prepare(putClaim).blob(all[i].digest[:]).blob(all[i].holder[:]).int(all[i].until.UnixMilli()).run(); err != nil {
			return nil, err
		}
		if !released {
			continue
		}
		if err := on.prepare(unrelease).blob(all[i].holder[:]).run(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// written forgets claims that are committed, unless they have changed meanwhile. Whoever looks for one finds it here
// or, later, in the table.
func (c *claims) written(all []pendingClaim) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range all {
		if held, ok := c.pending[all[i].digest]; ok && held == all[i].claim {
			delete(c.pending, all[i].digest)
		}
	}
}
