package broker_test

import (
	"sync"
	"testing"

	"github.com/sluicehq/sluice/broker"
	"pgregory.net/rapid"
)

func add(t *testing.T, w *broker.Window, next int64, size int) uint64 {
	t.Helper()
	ticket, ok := w.Add(next, size)
	if !ok {
		t.Fatalf("Add(%d, %d) = refused, want it to fit", next, size)
	}
	return ticket
}

func wantCommitted(t *testing.T, w *broker.Window, want int64) {
	t.Helper()
	if got := w.Committed(); got != want {
		t.Fatalf("Committed() = %d, want %d", got, want)
	}
}

func TestWindowCommitsTheSettledPrefixOnly(t *testing.T) {
	t.Parallel()
	w := broker.NewWindow(10, 8, 1000)
	a, b, c := add(t, w, 11, 1), add(t, w, 12, 1), add(t, w, 13, 1)
	w.Settle(c)
	wantCommitted(t, w, 10)
	w.Settle(a)
	wantCommitted(t, w, 11)
	w.Settle(b)
	wantCommitted(t, w, 13)
}

func TestWindowPassesAGapWithTheMessageBeforeIt(t *testing.T) {
	t.Parallel()
	w := broker.NewWindow(0, 8, 1000)
	w.Skip(5) // nothing handed out yet
	wantCommitted(t, w, 5)
	a := add(t, w, 6, 1)
	w.Skip(9)
	wantCommitted(t, w, 5)
	b := add(t, w, 10, 1)
	w.Settle(a)
	wantCommitted(t, w, 9)
	w.Settle(b)
	wantCommitted(t, w, 10)
}

func TestWindowIsFullByMessagesFromTheFirstUnsettledOn(t *testing.T) {
	t.Parallel()
	w := broker.NewWindow(0, 3, 1000)
	stuck := add(t, w, 1, 1)
	w.Settle(add(t, w, 2, 1))
	w.Settle(add(t, w, 3, 1))
	if _, ok := w.Add(4, 1); ok {
		t.Fatal("Add fitted a fourth message behind the stuck one, want it refused")
	}
	w.Settle(stuck)
	add(t, w, 4, 1)
}

func TestWindowIsFullByBytesOfTheUnsettled(t *testing.T) {
	t.Parallel()
	w := broker.NewWindow(0, 100, 10)
	a := add(t, w, 1, 6)
	if _, ok := w.Add(2, 5); ok {
		t.Fatal("Add fitted 6 + 5 bytes into 10")
	}
	b := add(t, w, 2, 4)
	w.Settle(b)
	add(t, w, 3, 4) // what is settled behind a stuck message gives its bytes back
	w.Settle(a)
}

func TestWindowTakesALargeMessageAlone(t *testing.T) {
	t.Parallel()
	w := broker.NewWindow(0, 100, 10)
	large := add(t, w, 1, 50)
	if _, ok := w.Add(2, 1); ok {
		t.Fatal("Add fitted a message beside one that fills the window")
	}
	w.Settle(large)
	add(t, w, 2, 1)
}

func TestWindowIgnoresWhatComesAfterClose(t *testing.T) {
	t.Parallel()
	w := broker.NewWindow(0, 100, 100)
	a := add(t, w, 1, 7)
	if committed, bytes := w.Close(); committed != 0 || bytes != 7 {
		t.Fatalf("Close() = %d, %d, want 0, 7", committed, bytes)
	}
	if settled, _ := w.Settle(a); settled {
		t.Fatal("Settle after Close took effect")
	}
	w.Skip(9)
	wantCommitted(t, w, 0)
	if _, ok := w.Add(2, 1); ok {
		t.Fatal("Add after Close fitted")
	}
	if committed, bytes := w.Close(); committed != 0 || bytes != 0 {
		t.Fatalf("second Close() = %d, %d, want 0, 0: bytes are given back once", committed, bytes)
	}
}

func TestWindowSettlesOnceHoweverManySettle(t *testing.T) {
	t.Parallel()
	w := broker.NewWindow(0, 1000, 1<<20)
	tickets := make([]uint64, 1000)
	for i := range tickets {
		tickets[i] = add(t, w, int64(i)+1, 10)
	}
	var wg sync.WaitGroup
	settled := make(chan struct{}, 4*len(tickets))
	for range 4 {
		wg.Go(func() {
			for _, ticket := range tickets {
				if ok, _ := w.Settle(ticket); ok {
					settled <- struct{}{}
				}
			}
		})
	}
	wg.Wait()
	if len(settled) != len(tickets) {
		t.Fatalf("%d settlements took effect, want %d", len(settled), len(tickets))
	}
	if n, bytes := w.Unsettled(); n != 0 || bytes != 0 {
		t.Fatalf("Unsettled() = %d, %d, want 0, 0", n, bytes)
	}
	wantCommitted(t, w, 1000)
}

// TestWindowAgreesWithAModel compares with the obvious implementation: a list of messages and a scan.
func TestWindowAgreesWithAModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const maxBytes = 200
		maxMessages := rapid.IntRange(1, 200).Draw(t, "messages")
		start := rapid.Int64Range(0, 1<<40).Draw(t, "start")
		w := broker.NewWindow(start, maxMessages, maxBytes)
		type message struct {
			next    int64
			size    int
			ticket  uint64
			settled bool
		}
		var model []message
		fetched := start
		committed := func() int64 {
			for i, m := range model {
				if !m.settled {
					if i == 0 {
						return start
					}
					return model[i-1].next
				}
			}
			if len(model) == 0 {
				return start
			}
			return model[len(model)-1].next
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				size := rapid.IntRange(0, 60).Draw(t, "size")
				unsettled, bytes, span := 0, 0, 0
				for _, m := range model {
					if !m.settled {
						unsettled++
						bytes += m.size
					}
					if !m.settled || span > 0 {
						span++
					}
				}
				fits := span < maxMessages && (unsettled == 0 || bytes+size <= maxBytes)
				ticket, ok := w.Add(fetched+1, size)
				if ok != fits {
					t.Fatalf("Add(%d bytes) = %v with %d messages and %d bytes unsettled, want %v", size, ok, unsettled, bytes, fits)
				}
				if ok {
					fetched++
					model = append(model, message{next: fetched, size: size, ticket: ticket})
				}
			},
			"skip": func(t *rapid.T) {
				fetched += rapid.Int64Range(0, 5).Draw(t, "by")
				w.Skip(fetched)
				if len(model) > 0 {
					model[len(model)-1].next = fetched
				} else {
					start = fetched
				}
			},
			"settle": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip()
				}
				m := &model[rapid.IntRange(0, len(model)-1).Draw(t, "which")]
				if ok, _ := w.Settle(m.ticket); ok == m.settled {
					t.Fatalf("Settle = %v of a message with settled = %v", ok, m.settled)
				}
				m.settled = true
			},
			"": func(t *rapid.T) {
				if got, want := w.Committed(), committed(); got != want {
					t.Fatalf("Committed() = %d, want %d", got, want)
				}
			},
		})
	})
}
