package lane

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// laneModel follows a lane from outside: what it was given, what it started, and what it said.
type laneModel struct {
	l         *Lane[int]
	now       time.Time
	settings  Settings
	next      int // item
	queues    [2][]sized
	last      origin
	inFlight  int
	exclusive bool

	closed    bool
	notBefore time.Time // while closed
	proven    bool      // a probe has succeeded
	started   starts    // while closed
}

type sized struct{ item, size int }

func (m *laneModel) fits(o origin, size int) bool {
	n, bytes := len(m.queues[o]), 0
	for _, s := range m.queues[o] {
		bytes += s.size
	}
	return n == 0 || n < 256 && bytes+size <= 1<<20
}

func (m *laneModel) offer(t *rapid.T, o origin) {
	size := rapid.SampledFrom([]int{0, 1, 4096, 300 << 10, 1 << 20, 5 << 20}).Draw(t, "size")
	for range rapid.SampledFrom([]int{1, 3, 300}).Draw(t, "times") {
		m.next++
		want := m.fits(o, size)
		var got bool
		if o == due {
			got = m.l.OfferDue(m.next, size)
		} else {
			want = want && !m.closed && !m.exclusive
			got = m.l.Offer(m.next, size)
		}
		if got != want {
			t.Fatalf("offer of %d bytes to queue %d = %v, want %v", size, o, got, want)
		}
		if got {
			m.queues[o] = append(m.queues[o], sized{m.next, size})
		}
	}
}

func (m *laneModel) remove(t *rapid.T) {
	item := rapid.IntRange(1, max(m.next, 1)).Draw(t, "item")
	want := false
	for o := range m.queues {
		if i := slices.IndexFunc(m.queues[o], func(s sized) bool { return s.item == item }); i >= 0 {
			want = true
			m.queues[o] = slices.Delete(m.queues[o], i, i+1)
		}
	}
	if got := m.l.Remove(item); got != want {
		t.Fatalf("Remove(%d) = %v, want %v", item, got, want)
	}
}

func (m *laneModel) start(t *rapid.T) {
	wake, woken := m.l.Wake(m.now)
	item, ok := m.l.Start(m.now)
	if ok != (woken && !wake.After(m.now)) {
		t.Fatalf("Start = %v, but Wake = %v, %v at %v", ok, wake, woken, m.now)
	}
	waits := len(m.queues[fresh]) + len(m.queues[due])
	if !ok {
		if waits > 0 && m.inFlight < m.l.Limit() && !m.closed && m.settings.PerSecond == 0 {
			t.Fatalf("nothing started although nothing forbids it: %d waiting, %d in flight, limit %d", waits, m.inFlight, m.l.Limit())
		}
		return
	}
	o := m.last
	if len(m.queues[fresh+due-m.last]) > 0 {
		o = fresh + due - m.last
	}
	if waits == 0 || m.queues[o][0].item != item {
		t.Fatalf("Start = %d, want the first of queue %d: %v", item, o, m.queues)
	}
	m.queues[o] = m.queues[o][1:]
	m.last = o
	if m.inFlight++; m.inFlight > m.l.Limit() {
		t.Fatalf("%d in flight, limit %d", m.inFlight, m.l.Limit())
	}
	if m.closed {
		m.startedClosed(t)
	}
}

func (m *laneModel) startedClosed(t *rapid.T) {
	switch m.started = append(m.started, m.now); {
	case m.now.Before(m.notBefore):
		t.Fatalf("started at %v, not before %v", m.now, m.notBefore)
	case !m.proven && m.inFlight > 1:
		t.Fatalf("a probe started while %d others ran", m.inFlight-1)
	case m.started.breaks() != "":
		t.Fatalf("start %d of a closed lane: %s", len(m.started), m.started.breaks())
	}
}

func (m *laneModel) done(t *rapid.T) {
	if m.inFlight == 0 {
		t.Skip("nothing runs")
	}
	v := rapid.SampledFrom([]Verdict{Success, Success, Success, Success, Failure, Throttle, Neutral}).Draw(t, "verdict")
	isProbe := m.closed && !m.proven && m.l.gate.phase == probing
	m.inFlight--
	trip := m.l.Done(m.now, v)
	switch {
	case trip && v != Failure:
		t.Fatalf("verdict %d tripped", v)
	case isProbe && trip != (v == Failure):
		t.Fatalf("a probe with verdict %d: trip = %v", v, trip)
	case !isProbe && m.closed && !m.proven && trip:
		t.Fatal("an attempt from before Close tripped")
	case isProbe && v == Success:
		m.proven = true
	case trip && m.closed:
		m.proven, m.notBefore = false, m.now.Add(15*time.Second)
		m.started = nil
	}
	if !m.proven && m.l.MayOpen(m.now, true) {
		t.Fatal("MayOpen without a probe that succeeded")
	}
}

func (m *laneModel) close(t *rapid.T) {
	m.notBefore = m.now.Add(rapid.SampledFrom([]time.Duration{-time.Second, 0, time.Second, 15 * time.Second}).Draw(t, "not before"))
	var want []int
	for _, s := range m.queues[fresh] {
		want = append(want, s.item)
	}
	if got := m.l.Close(m.notBefore); !slices.Equal(got, want) {
		t.Fatalf("Close() = %v, want %v", got, want)
	}
	m.queues[fresh] = nil
	m.closed, m.proven, m.started = true, false, nil
}

func (m *laneModel) pass(t *rapid.T) {
	if at, ok := m.l.Wake(m.now); ok && at.After(m.now) && rapid.Bool().Draw(t, "to its wake") {
		m.now = at.Add(-1)
		if m.start(t); m.l.InFlight() != m.inFlight {
			t.Fatalf("InFlight() = %d, want %d", m.l.InFlight(), m.inFlight)
		}
		if again, ok := m.l.Wake(m.now); !ok || !again.Equal(at) {
			t.Fatalf("Wake = %v, %v a nanosecond before %v", again, ok, at)
		}
		m.now = at
		running := m.inFlight
		if m.start(t); m.inFlight != running+1 {
			t.Fatalf("nothing started at %v, when Wake said", at)
		}
		return
	}
	m.now = m.now.Add(pause().Draw(t, "pause"))
}

func (m *laneModel) configure(t *rapid.T) {
	m.settings = Settings{
		MaxInFlight: rapid.SampledFrom([]int{0, 1, 3, 100}).Draw(t, "max in flight"),
		PerSecond:   rapid.SampledFrom([]float64{0, 0, 0.5, 20}).Draw(t, "per second"),
		Burst:       rapid.IntRange(0, 5).Draw(t, "burst"),
	}
	m.l.Configure(m.settings, m.now)
}

func (m *laneModel) check(t *rapid.T) {
	waits := len(m.queues[fresh]) + len(m.queues[due])
	switch l := m.l; {
	case l.Waiting() != waits || l.DueWaiting() != len(m.queues[due]) || l.InFlight() != m.inFlight || l.Closed() != m.closed:
		t.Fatalf("waiting %d, due %d, in flight %d, closed %v, want %d, %d, %d, %v", l.Waiting(), l.DueWaiting(), l.InFlight(), l.Closed(),
			waits, len(m.queues[due]), m.inFlight, m.closed)
	case l.DueRoom() > 0 && !m.fits(due, 0):
		t.Fatalf("DueRoom() = %d, but OfferDue takes nothing", l.DueRoom())
	case l.Idle() && (waits > 0 || m.inFlight > 0 || m.closed):
		t.Fatal("Idle with something to do")
	}
}

func TestLaneModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &laneModel{l: New[int](Settings{}, t0), now: t0}
		t.Repeat(map[string]func(*rapid.T){
			"":          m.check,
			"offer":     func(t *rapid.T) { m.offer(t, fresh) },
			"offer due": func(t *rapid.T) { m.offer(t, due) },
			"remove":    m.remove,
			"start":     m.start,
			"start all": func(t *rapid.T) {
				for running := -1; running != m.inFlight; {
					running = m.inFlight
					m.start(t)
				}
			},
			"done":      m.done,
			"done too":  m.done,
			"pass":      m.pass,
			"pass too":  m.pass,
			"close":     m.close,
			"configure": m.configure,
			"open": func(*rapid.T) {
				m.l.Open(m.now)
				m.closed = false
			},
			"exclusive": func(t *rapid.T) {
				m.exclusive = rapid.Bool().Draw(t, "on")
				m.l.Exclusive(m.exclusive)
			},
		})
	})
}
