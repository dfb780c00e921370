package ledger

import (
	"cmp"
	"slices"
)

// Check holds the book's three parts against each other. The book's slices are sorted by it.
func Check(b *Book) *Report {
	c := &checker{
		Report:   Report{Events: len(b.Sent), Counts: map[Class]int{}, Examples: map[Class][]string{}},
		book:     b,
		sent:     map[int64]*Sent{},
		ids:      map[int64]string{},
		seqs:     map[string]int64{},
		answered: map[place]bool{},
		states:   map[place]string{},
	}
	slices.SortFunc(b.Sent, func(x, y Sent) int { return cmp.Compare(x.Seq, y.Seq) })
	slices.SortStableFunc(b.Receipts, func(x, y Receipt) int { return x.At.Compare(y.At) })
	for i := range b.Sent {
		s := &b.Sent[i]
		c.sent[s.Seq] = s
		if s.Outcome == OK {
			c.Accepted++
		}
	}
	c.receipts()
	c.gateway()
	c.events()
	return &c.Report
}

type checker struct {
	Report
	book     *Book
	sent     map[int64]*Sent
	ids      map[int64]string // id by event, as first received
	seqs     map[string]int64 // and back
	answered map[place]bool   // received: whether a 2xx was written whole
	states   map[place]string
}

// place is an event at an endpoint.
type place struct {
	seq      int64
	endpoint string
}

// receipts looks at each arrival, in the order of time.
func (c *checker) receipts() {
	recovered := map[int64]bool{}
	for _, r := range c.book.Receipts {
		s, ok := c.sent[r.Seq]
		if !ok || s.Outcome == Fail {
			c.add(Unexpected, "%s (%d) at %s", r.EventID, r.Seq, r.Endpoint)
			continue
		}
		c.receipt(s, r)
		if s.Outcome == Unknown && !recovered[s.Seq] {
			recovered[s.Seq] = true
			c.add(Recovered, "%s (%d), answered %d", r.EventID, r.Seq, s.Status)
		}
	}
}

func (c *checker) receipt(s *Sent, r Receipt) {
	if needs(c.book.Routes, *s)[r.Endpoint] == forbidden {
		c.add(Misrouted, "%s (%d) of type %s at %s", r.EventID, r.Seq, s.Type, r.Endpoint)
		return
	}
	if r.Body != s.Body || !r.Signed {
		c.add(Corrupt, "%s (%d) at %s, signed rightly: %v", r.EventID, r.Seq, r.Endpoint, r.Signed)
	}
	if r.At.Before(s.Begun) {
		c.add(Acausal, "%s (%d) at %s, %v early", r.EventID, r.Seq, r.Endpoint, s.Begun.Sub(r.At))
	}
	c.identify(r)

	p := place{r.Seq, r.Endpoint}
	written, again := c.answered[p]
	switch {
	case again && written:
		c.add(Duplicate, "%s (%d) at %s, attempt %d", r.EventID, r.Seq, r.Endpoint, r.Attempt)
	case again:
		c.add(Resent, "%s (%d) at %s, attempt %d", r.EventID, r.Seq, r.Endpoint, r.Attempt)
	}
	c.answered[p] = written || (r.Status/100 == 2 && r.Written)
}

// identify checks that ids and events correspond one to one.
func (c *checker) identify(r Receipt) {
	id, seen := c.ids[r.Seq]
	other, taken := c.seqs[r.EventID]
	if (seen && id != r.EventID) || (taken && other != r.Seq) {
		c.add(Renamed, "event %d at %s as %s, before as %q", r.Seq, r.Endpoint, r.EventID, id)
		return
	}
	c.ids[r.Seq], c.seqs[r.EventID] = r.EventID, r.Seq
}

// gateway looks at what the gateway says.
func (c *checker) gateway() {
	for _, s := range c.book.States {
		if seq, ok := c.seqs[s.EventID]; ok {
			s.Seq = seq
		}
		c.states[place{s.Seq, s.Endpoint}] = s.State
		if s.State == "delivered" && !c.delivered(place{s.Seq, s.Endpoint}) {
			c.add(Phantom, "%s (%d) at %s", s.EventID, s.Seq, s.Endpoint)
		}
	}
}

// delivered reports whether a 2xx was given. A receiver that died before it had written it whole counts: the gateway may
// have read it all the same.
func (c *checker) delivered(p place) bool {
	if c.answered[p] {
		return true
	}
	return slices.ContainsFunc(c.book.Receipts, func(r Receipt) bool {
		return r.Seq == p.seq && r.Endpoint == p.endpoint && r.Status/100 == 2
	})
}

// events looks at each event that was accepted, or turned out to have been, wherever it must be.
func (c *checker) events() {
	for i := range c.book.Sent {
		s := &c.book.Sent[i]
		if _, seen := c.ids[s.Seq]; s.Outcome == Fail || (s.Outcome == Unknown && !seen) {
			continue
		}
		for endpoint, n := range needs(c.book.Routes, *s) {
			if n == required {
				c.event(s, place{s.Seq, endpoint})
			}
		}
	}
}

func (c *checker) event(s *Sent, p place) {
	state, known := c.states[p]
	if c.answered[p] {
		if c.book.States != nil && state != "delivered" {
			c.add(Stuck, "%s (%d) was delivered to %s; the gateway says %q", c.ids[s.Seq], s.Seq, p.endpoint, state)
		}
		return
	}
	switch {
	case state == "dead" || state == "canceled" || state == "delivered": // the last is a phantom, and counted as one
	case known:
		c.add(Stuck, "%s (%d) is %s for %s", c.ids[s.Seq], s.Seq, state, p.endpoint)
	default:
		c.add(Lost, "event %d of type %s to %s, sent %s", s.Seq, s.Type, p.endpoint, s.Begun.Format("15:04:05.000"))
	}
}
