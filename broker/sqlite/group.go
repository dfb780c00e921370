package sqlite

import (
	"slices"
	"sync"
)

// group is a consumer group of one topic: who of this process owns which stream, and how far each has come.
type group struct {
	id    int64
	name  string
	topic *topic

	mu      sync.Mutex
	members []*member
	want    []*member // who is to own each stream, by number
	owner   []*member // who does; it has to give the stream up before another can have it
	pumps   []*pump   // of owned streams
	settled []int64   // committed position of streams without a pump
	saved   []int64   // committed position in the file
}

// member is a consumer that runs.
type member struct {
	changed chan struct{} // has room for one: there may be something to give or to take
}

func newGroup(t *topic, r groupRow) *group {
	n := len(t.streams)
	g := &group{
		id: r.id, name: r.name, topic: t,
		want: make([]*member, n), owner: make([]*member, n), pumps: make([]*pump, n),
		settled: make([]int64, n), saved: make([]int64, n),
	}
	g.takeOver(r)
	copy(g.settled, g.saved)
	return g
}

// takeOver notes what the file has.
func (g *group) takeOver(r groupRow) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, s := range g.topic.streams {
		saved, ok := r.positions[s.id]
		if !ok { // an operator removed it
			saved = s.first
		}
		g.saved[i] = saved
	}
}

// join adds a member and shares the streams out anew.
func (g *group) join() *member {
	m := &member{changed: make(chan struct{}, 1)}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members = append(g.members, m)
	g.shareLocked()
	return m
}

// leave removes a member that owns nothing any more.
func (g *group) leave(m *member) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members = slices.DeleteFunc(g.members, func(x *member) bool { return x == m })
	g.shareLocked()
}

// shareLocked decides who is to own what: as evenly as possible, and moving as little as possible.
func (g *group) shareLocked() {
	if len(g.members) == 0 {
		clear(g.want)
		return
	}
	few, more := len(g.want)/len(g.members), len(g.want)%len(g.members)
	share := make(map[*member]int, len(g.members))
	for i, m := range g.want { // keep what fits
		switch {
		case m == nil || !slices.Contains(g.members, m) || share[m] > few || share[m] == few && more == 0:
			g.want[i] = nil
		default:
			if share[m]++; share[m] > few {
				more--
			}
		}
	}
	for i := range g.want { // the others go to whoever has least
		if g.want[i] == nil {
			m := slices.MinFunc(g.members, func(a, b *member) int { return share[a] - share[b] })
			g.want[i] = m
			share[m]++
		}
	}
	for _, m := range g.members {
		m.signal()
	}
}

func (m *member) signal() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// moves returns what m has to give up, and what it owns from now on and has to start.
func (g *group) moves(m *member) (give []*pump, take []*stream) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, s := range g.topic.streams {
		switch {
		case g.owner[i] == m && g.want[i] != m:
			give = append(give, g.pumps[i])
		case g.owner[i] == nil && g.want[i] == m:
			g.owner[i] = m // before want may change
			take = append(take, s)
		}
	}
	return give, take
}

// owned returns the pumps of m; a stream that is being started has none yet.
func (g *group) owned(m *member) (pumps []*pump) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.owner {
		if g.owner[i] == m && g.pumps[i] != nil {
			pumps = append(pumps, g.pumps[i])
		}
	}
	return pumps
}

// resume returns the committed position of a stream without a pump.
func (g *group) resume(number int) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.settled[number]
}

// start notes the pump of a stream.
func (g *group) start(p *pump) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pumps[p.stream.number] = p
}

// stop ends the ownership of a stream whose final position is settled.
func (g *group) stop(p *pump, settled int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := p.stream.number
	g.owner[i], g.pumps[i], g.settled[i] = nil, nil, settled
	if m := g.want[i]; m != nil {
		m.signal()
	}
}

// unsaved returns the committed position of a stream in the file and in memory.
func (g *group) unsaved(number int) (saved, settled int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	settled = g.settled[number]
	if p := g.pumps[number]; p != nil {
		settled = p.committed()
	}
	return g.saved[number], settled
}

func (g *group) savedPosition(number int) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.saved[number]
}

func (g *group) setSaved(number int, position int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.saved[number] = position
}

// running reports whether a consumer of this process runs.
func (g *group) running() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.members) > 0
}
