package lane

import (
	"fmt"
	"testing"
	"time"
)

// items are what a dispatcher's deliveries are to a lane: pointers.
func items(n int) []*int {
	s := make([]*int, n)
	for i := range s {
		s[i] = new(int)
	}
	return s
}

func BenchmarkOfferStartDone(b *testing.B) {
	for _, depth := range []int{1, 200} {
		b.Run(fmt.Sprintf("depth %d", depth), func(b *testing.B) {
			b.ReportAllocs()
			now := time.Now()
			l := New[*int](Settings{}, now)
			all := items(depth)
			for _, item := range all[1:] {
				l.Offer(item, 1024)
			}
			next := all[0]
			for b.Loop() {
				if !l.Offer(next, 1024) {
					b.Fatal("refused")
				}
				item, ok := l.Start(now)
				if !ok {
					b.Fatal("not started")
				}
				next = item
				l.Done(now, Success)
			}
		})
	}
}

// BenchmarkWaiting is the same without the breaker: what the lane itself costs.
func BenchmarkWaiting(b *testing.B) {
	b.ReportAllocs()
	now := time.Now()
	l := New[*int](Settings{}, now)
	item := new(int)
	for b.Loop() {
		l.Offer(item, 1024)
		l.Start(now)
		l.Done(now, Neutral)
	}
}

func BenchmarkRemove(b *testing.B) {
	b.ReportAllocs()
	l := New[*int](Settings{}, time.Now())
	all := items(200)
	for _, item := range all {
		l.Offer(item, 1)
	}
	for i := 0; b.Loop(); i++ {
		item := all[i*7%len(all)]
		l.Remove(item)
		l.Offer(item, 1)
	}
}

func BenchmarkRampNextWhileItRefuses(b *testing.B) {
	b.ReportAllocs()
	r, now := driven(15 * time.Second)
	r.start(now)
	for b.Loop() {
		r.next(now)
	}
}

func BenchmarkSlots(b *testing.B) {
	b.Run("free", func(b *testing.B) {
		b.ReportAllocs()
		s, h := NewSlots(1024, 1024), new(Holder)
		for b.Loop() {
			s.Take(h, t0)
			s.Give(h, false, time.Millisecond, t0)
			s.Next(t0)
		}
	})
	b.Run("10000 waiting", func(b *testing.B) {
		b.ReportAllocs()
		s := NewSlots(1024, 1024)
		hs := make([]Holder, 10_000)
		running := make([]*Holder, 0, 1024)
		for i := range hs {
			s.Take(&hs[i], t0)
			s.Give(&hs[i], false, time.Millisecond, t0)
		}
		for i := range hs {
			if s.Take(&hs[i], t0) {
				running = append(running, &hs[i])
			}
		}
		for i := 0; b.Loop(); i++ {
			h := running[i%len(running)]
			s.Give(h, false, time.Millisecond, t0)
			s.Take(h, t0) // wants more, and waits
			next := s.Next(t0)
			if !s.Take(next, t0) {
				b.Fatal("the named holder got no slot")
			}
			running[i%len(running)] = next
		}
	})
}
