package egress

import (
	"sync"
	"time"
)

// idleTimeout is how long a connection is kept for the next attempt. Most servers keep theirs longer, so that it is us
// who close.
const idleTimeout = 30 * time.Second

// poolKey says for which endpoints a connection is good.
type poolKey struct {
	address string // "host:port"
	host    string // in the certificate; empty: no TLS
}

// pool keeps idle connections: of each key the one used last is used next, and beyond its limit the one that has been
// idle longest, whosever it is, gives way. No goroutine waits for it; a timer closes what has been idle too long.
type pool struct {
	limit int

	mu             sync.Mutex
	closed         bool
	byKey          map[poolKey]*conn // the one used last; the others are below it
	oldest, newest *conn
	count          int
	sweeper        *time.Timer
	sweeping       sync.WaitGroup
}

func newPool(limit int) *pool { return &pool{limit: limit, byKey: make(map[poolKey]*conn)} }

// get returns an idle connection for key, or nil. Those it finds to be over it closes.
func (p *pool) get(key poolKey, now time.Time) *conn {
	for {
		c := p.take(key)
		if c == nil {
			return nil
		}
		if now.Before(c.until) && !c.closed() {
			return c
		}
		c.endIdle()
	}
}

func (p *pool) take(key poolKey) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.byKey[key]
	if c != nil {
		p.removeLocked(c)
	}
	return c
}

// put keeps c for the next attempt, for at most keep; 0 is as long as the pool likes.
func (p *pool) put(c *conn, keep time.Duration, now time.Time) {
	if keep <= 0 || keep > idleTimeout {
		keep = idleTimeout
	}
	c.since, c.until = now, now.Add(keep)
	if over := p.add(c); over != nil {
		over.endIdle()
	}
}

// add takes c in and returns the connection that has no place, which may be c.
func (p *pool) add(c *conn) (over *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.limit == 0 {
		return c
	}
	if p.count == p.limit {
		over = p.oldest
		p.removeLocked(over)
	}
	if c.below = p.byKey[c.key]; c.below != nil {
		c.below.above = c
	}
	p.byKey[c.key] = c
	if c.older = p.newest; c.older != nil {
		c.older.newer = c
	} else {
		p.oldest = c
	}
	p.newest = c
	p.count++
	p.scheduleLocked(idleTimeout)
	return over
}

func (p *pool) removeLocked(c *conn) {
	switch {
	case c.above != nil:
		c.above.below = c.below
	case c.below != nil:
		p.byKey[c.key] = c.below
	default:
		delete(p.byKey, c.key)
	}
	if c.below != nil {
		c.below.above = c.above
	}
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		p.oldest = c.newer
	}
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		p.newest = c.older
	}
	c.older, c.newer, c.below, c.above = nil, nil, nil, nil
	p.count--
}

// scheduleLocked has what is over swept after d, unless that is arranged already.
func (p *pool) scheduleLocked(d time.Duration) {
	if p.sweeper != nil || p.closed {
		return
	}
	p.sweeping.Add(1)
	p.sweeper = time.AfterFunc(d, func() {
		defer p.sweeping.Done()
		for _, c := range p.expired(time.Now()) {
			c.endIdle()
		}
	})
}

// expired takes out what has been idle for its time and arranges the next sweep.
func (p *pool) expired(now time.Time) (over []*conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweeper = nil
	for c := p.oldest; c != nil && now.Sub(c.since) >= idleTimeout; c = p.oldest {
		p.removeLocked(c)
		over = append(over, c)
	}
	if p.oldest != nil {
		p.scheduleLocked(idleTimeout - now.Sub(p.oldest.since))
	}
	return over
}

// close closes all idle connections; from then on put closes what it gets. It leaves nothing running.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	if p.sweeper != nil && p.sweeper.Stop() {
		p.sweeping.Done()
	}
	var all []*conn
	for c := p.oldest; c != nil; c = p.oldest {
		p.removeLocked(c)
		all = append(all, c)
	}
	p.mu.Unlock()
	for _, c := range all {
		c.endIdle()
	}
	p.sweeping.Wait()
}
