package lane

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// plainSlots is Slots in the plainest way: everything is counted anew each time.
type plainSlots struct {
	fast, slow int
	hs         []*plainHolder
	line       []*plainHolder // in the order in which they came
	named      *plainHolder
}

type plainHolder struct {
	fast, slow int
	quickAt    time.Time
}

func (s *plainSlots) used() (fast, slow int) {
	for _, h := range s.hs {
		fast += h.fast
		slow += h.slow
	}
	return fast, slow
}

func (h *plainHolder) proven(now time.Time) bool {
	return !h.quickAt.IsZero() && now.Sub(h.quickAt) < time.Minute
}

func (s *plainSlots) free(h *plainHolder, now time.Time) bool {
	used, _ := s.used()
	unproven := 0
	for _, h := range s.hs {
		if !h.proven(now) {
			unproven += h.fast
		}
	}
	return used < s.fast && (h.proven(now) || unproven < max(s.fast/4, 1))
}

func (s *plainSlots) first(now time.Time) *plainHolder {
	var first *plainHolder
	for _, h := range s.line {
		if s.free(h, now) && (first == nil || h.fast < first.fast) {
			first = h
		}
	}
	return first
}

func (s *plainSlots) waits(h *plainHolder) bool {
	for _, w := range s.line {
		if w == h {
			return true
		}
	}
	return false
}

func (s *plainSlots) leave(h *plainHolder) {
	if s.named == h {
		s.named = nil
	}
	for i, w := range s.line {
		if w == h {
			s.line = append(s.line[:i:i], s.line[i+1:]...)
			return
		}
	}
}

func (s *plainSlots) take(h *plainHolder, now time.Time) bool {
	used, _ := s.used()
	turn := s.line
	if !s.waits(h) {
		turn = append(s.line[:len(s.line):len(s.line)], h)
	}
	first := (&plainSlots{fast: s.fast, slow: s.slow, hs: s.hs, line: turn}).first(now)
	if s.free(h, now) && (first == h || h == s.named || used == 0) {
		s.leave(h)
		h.fast++
		return true
	}
	if s.line = turn; s.named == h {
		s.named = nil
	}
	return false
}

func TestSlotsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fast, slow := rapid.IntRange(1, 16).Draw(t, "fast"), rapid.IntRange(1, 6).Draw(t, "slow")
		s, m := NewSlots(fast, slow), &plainSlots{fast: fast, slow: slow}
		hs := make([]*Holder, rapid.IntRange(1, 5).Draw(t, "holders"))
		for i := range hs {
			hs[i] = &Holder{Owner: i}
			m.hs = append(m.hs, &plainHolder{})
		}
		now := t0
		pick := func(which string, has func(h *plainHolder) bool) (int, bool) {
			i := rapid.IntRange(0, len(hs)-1).Draw(t, which)
			return i, has(m.hs[i])
		}
		holdsFast := func(h *plainHolder) bool { return h.fast > 0 }
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				f, sl := s.InUse()
				mf, ms := m.used()
				if f != mf || sl != ms || f > fast || sl > slow {
					t.Fatalf("in use %d and %d, want %d and %d", f, sl, mf, ms)
				}
				for i, h := range hs {
					if got, want := s.Refuses(h), m.hs[i].slow > 0 && ms == slow; got != want {
						t.Fatalf("Refuses(%d) = %v, want %v", i, got, want)
					}
				}
			},
			"take": func(t *rapid.T) {
				i, _ := pick("taker", holdsFast)
				if got, want := s.Take(hs[i], now), m.take(m.hs[i], now); got != want {
					t.Fatalf("Take(%d) = %v, want %v", i, got, want)
				}
			},
			"next": func(t *rapid.T) {
				want := m.first(now)
				if want != nil {
					m.leave(want)
				}
				m.named = want
				got := s.Next(now)
				if (got == nil) != (want == nil) || got != nil && m.hs[got.Owner.(int)] != want {
					t.Fatalf("Next() = %v, want %p of %v", ownerOf(got), want, m.hs)
				}
			},
			"slow": func(t *rapid.T) {
				i, ok := pick("slow one", holdsFast)
				if !ok {
					t.Skip("runs nothing")
				}
				_, used := m.used()
				if got, want := s.Slow(hs[i]), used < slow; got != want {
					t.Fatalf("Slow(%d) = %v, want %v", i, got, want)
				} else if got {
					m.hs[i].fast--
					m.hs[i].slow++
				}
			},
			"give": func(t *rapid.T) {
				wasSlow := rapid.Bool().Draw(t, "was slow")
				i, ok := pick("giver", func(h *plainHolder) bool { return !wasSlow && h.fast > 0 || wasSlow && h.slow > 0 })
				if !ok {
					t.Skip("runs no such attempt")
				}
				took := 2 * time.Second
				if !wasSlow && rapid.Bool().Draw(t, "quick") {
					took, m.hs[i].quickAt = time.Second-1, now
				}
				if s.Give(hs[i], wasSlow, took, now); wasSlow {
					m.hs[i].slow--
				} else {
					m.hs[i].fast--
				}
			},
			"return": func(t *rapid.T) {
				i, ok := pick("returner", holdsFast)
				if !ok {
					t.Skip("holds nothing")
				}
				s.Return(hs[i])
				m.hs[i].fast--
			},
			"leave": func(t *rapid.T) {
				i, _ := pick("leaver", holdsFast)
				s.Leave(hs[i])
				m.leave(m.hs[i])
			},
			"time": func(t *rapid.T) {
				now = now.Add(rapid.SampledFrom([]time.Duration{time.Second, 20 * time.Second, time.Minute - 1, time.Minute}).Draw(t, "passes"))
			},
		})
	})
}
