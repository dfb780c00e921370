package due

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/storetest"
)

var errDown = errors.New("down")

// gateStore is a store whose gates can fail, and that says how often they were written.
type gateStore struct {
	*storetest.Memory
	down   atomic.Bool            // for writes
	silent atomic.Bool            // for reads
	before atomic.Pointer[func()] // called before the next write; nil: nothing
	writes atomic.Int32
}

func (s *gateStore) SetGate(ctx context.Context, g store.Gate) (store.Gate, error) {
	s.writes.Add(1)
	if f := s.before.Swap(nil); f != nil {
		(*f)()
	}
	if s.down.Load() {
		return store.Gate{}, errDown
	}
	return s.Memory.SetGate(ctx, g)
}

func (s *gateStore) ListGates(ctx context.Context, since time.Time) ([]store.Gate, error) {
	if s.silent.Load() {
		return nil, errDown
	}
	return s.Memory.ListGates(ctx, since)
}

// inMirror runs f with a mirror that runs, over a store with endpoints 1 and 2. news returns what changed since the last
// call.
func inMirror(t *testing.T, f func(s *gateStore, g *Gates, news func() []store.Gate)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &gateStore{Memory: storetest.NewMemory()}
		for id := range store.EndpointID(2) {
			s.PutEndpoint(store.Endpoint{ID: id + 1, State: store.EndpointActive})
		}
		g := NewGates(s, zap.NewNop())
		ctx, stop := context.WithCancel(t.Context())
		if err := g.Load(ctx); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var told []store.Gate
		ended := make(chan error)
		go func() {
			ended <- g.Run(ctx, func(gates []store.Gate) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, gates...)
			})
		}()
		f(s, g, func() []store.Gate {
			time.Sleep(gatePoll + time.Millisecond)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			out := told
			told = nil
			return out
		})
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v, want nil", err)
		}
	})
}

// elsewhere has another process write a gate.
func elsewhere(t *testing.T, s *gateStore, id store.EndpointID, state store.GateState, notBefore time.Time) {
	t.Helper()
	g := s.Gate(id)
	g.State, g.NotBefore = state, notBefore
	if _, err := s.Memory.SetGate(t.Context(), g); err != nil {
		t.Fatal(err)
	}
}

func closed(g store.Gate, notBefore time.Time) store.Gate {
	g.State, g.NotBefore = store.GateClosed, notBefore
	return g
}

func TestWhatIsDecidedHereCountsAtOnceAndIsWritten(t *testing.T) {
	inMirror(t, func(s *gateStore, g *Gates, news func() []store.Gate) {
		until := time.Now().Add(time.Minute)
		g.Set(closed(g.Get(1), until))
		if got := g.Get(1); got.State != store.GateClosed {
			t.Errorf("gate is believed %s right after it was closed", got.State)
		}
		if told := news(); len(told) != 0 {
			t.Errorf("told of %v, want nothing: it was our own doing", told)
		}
		if got := s.Gate(1); got.State != store.GateClosed || !got.NotBefore.Equal(until) {
			t.Errorf("the store has %+v, want it closed until %v", got, until)
		}
		open := g.Get(1)
		open.State, open.NotBefore = store.GateOpen, time.Time{}
		g.Set(open)
		news()
		if got := s.Gate(1); got.State != store.GateOpen || len(g.known) != 0 {
			t.Errorf("the store has %s and %d gates are remembered, want open and none", got.State, len(g.known))
		}
	})
}

func TestWhatOthersDecideIsNewsOnce(t *testing.T) {
	inMirror(t, func(s *gateStore, g *Gates, news func() []store.Gate) {
		elsewhere(t, s, 1, store.GateClosed, time.Now().Add(time.Minute))
		if told := news(); len(told) != 1 || told[0].State != store.GateClosed {
			t.Errorf("told of %v, want one closed gate", told)
		}
		if told := news(); len(told) != 0 {
			t.Errorf("told of %v a second time", told)
		}
		elsewhere(t, s, 1, store.GateOpen, time.Time{})
		if told := news(); len(told) != 1 || told[0].State != store.GateOpen || g.Get(1).State != store.GateOpen {
			t.Errorf("told of %v, want one open gate", told)
		}
	})
}

func TestWriteThatComesSecondGivesWay(t *testing.T) {
	inMirror(t, func(s *gateStore, g *Gates, news func() []store.Gate) {
		theirs := time.Now().Add(time.Hour)
		meanwhile := func() { elsewhere(t, s, 1, store.GateClosed, theirs) }
		s.before.Store(&meanwhile)
		g.Set(closed(g.Get(1), time.Now().Add(time.Minute)))
		if told := news(); len(told) != 1 || !told[0].NotBefore.Equal(theirs) {
			t.Errorf("told of %v, want the winner's gate", told)
		}
		if got := g.Get(1); !got.NotBefore.Equal(theirs) {
			t.Errorf("believed closed until %v, want the winner's %v", got.NotBefore, theirs)
		}
	})
}

func TestWhatIsDecidedDuringALostWriteIsWrittenOverTheWinner(t *testing.T) {
	inMirror(t, func(s *gateStore, g *Gates, news func() []store.Gate) {
		ours := time.Now().Add(2 * time.Minute)
		meanwhile := func() {
			elsewhere(t, s, 1, store.GateClosed, time.Now().Add(time.Hour))
			g.Set(closed(g.Get(1), ours))
		}
		s.before.Store(&meanwhile)
		g.Set(closed(g.Get(1), time.Now().Add(time.Minute)))
		if told := news(); len(told) != 0 {
			t.Errorf("told of %v, want nothing", told)
		}
		if got := s.Gate(1); !got.NotBefore.Equal(ours) {
			t.Errorf("the store has it closed until %v, want %v", got.NotBefore, ours)
		}
		if got := g.Get(1); !got.NotBefore.Equal(ours) {
			t.Errorf("believed closed until %v, want %v", got.NotBefore, ours)
		}
	})
}

func TestUnsavedGateIsNotOverwrittenByAPollAndIsTriedAgain(t *testing.T) {
	inMirror(t, func(s *gateStore, g *Gates, news func() []store.Gate) {
		s.down.Store(true)
		until := time.Now().Add(time.Hour)
		g.Set(closed(g.Get(1), until))
		g.Set(closed(g.Get(2), until))
		elsewhere(t, s, 1, store.GateClosed, time.Now())
		if told := news(); len(told) != 0 || !g.Get(1).NotBefore.Equal(until) {
			t.Errorf("told of %v, believed closed until %v; want nothing and %v: ours is not written yet", told, g.Get(1).NotBefore, until)
		}
		s.writes.Store(0)
		if news(); s.writes.Load() != 1 {
			t.Errorf("%d writes in a second of an outage, want 1: the second would fail like the first", s.writes.Load())
		}
		s.down.Store(false)
		news()
		for id := range store.EndpointID(2) {
			if got := s.Gate(id + 1); got.State != store.GateClosed || !got.NotBefore.Equal(until) {
				t.Errorf("gate %d is %s until %v after the outage, want closed until %v", id+1, got.State, got.NotBefore, until)
			}
		}
	})
}

func TestWhatOthersDecidedDuringALongOutageIsLearnt(t *testing.T) {
	inMirror(t, func(s *gateStore, g *Gates, news func() []store.Gate) {
		s.silent.Store(true)
		news()
		elsewhere(t, s, 1, store.GateClosed, time.Now().Add(time.Hour))
		time.Sleep(10 * gateLookback)
		s.silent.Store(false)
		if news(); g.Get(1).State != store.GateClosed {
			t.Error("a gate closed by others during the outage is believed open")
		}
	})
}

func TestExpectedGateOpensByTheRowThatComesNext(t *testing.T) {
	inMirror(t, func(s *gateStore, g *Gates, news func() []store.Gate) {
		elsewhere(t, s, 1, store.GateClosed, time.Now())
		elsewhere(t, s, 1, store.GateOpen, time.Time{}) // before we saw it closed
		g.Expect(1, time.Now())
		if told := news(); len(told) != 1 || told[0].State != store.GateOpen {
			t.Errorf("told of %v, want that it is open", told)
		}
	})
}

func TestWhatIsDecidedOfAnExpectedGateIsWrittenOverItsRow(t *testing.T) {
	inMirror(t, func(s *gateStore, g *Gates, news func() []store.Gate) {
		elsewhere(t, s, 1, store.GateClosed, time.Now().Add(time.Hour))
		news()
		elsewhere(t, s, 1, store.GateClosed, time.Now()) // by a resume
		g.Expect(1, time.Now())
		until := time.Now().Add(15 * time.Second)
		g.Set(closed(g.Get(1), until)) // the probe failed before the poll
		if told := news(); len(told) != 0 {
			t.Errorf("told of %v, want nothing: the row of the resume is older", told)
		}
		if got := s.Gate(1); !got.NotBefore.Equal(until) || !g.Get(1).NotBefore.Equal(until) {
			t.Errorf("the store has it closed until %v, believed %v, want %v", got.NotBefore, g.Get(1).NotBefore, until)
		}
	})
}

func TestGateOfAnEndpointThatIsGoneIsForgotten(t *testing.T) {
	inMirror(t, func(_ *gateStore, g *Gates, news func() []store.Gate) {
		g.Set(store.Gate{Endpoint: 9, State: store.GateClosed})
		news()
		if len(g.known) != 0 || len(g.unsaved) != 0 {
			t.Errorf("%d known and %d unsaved, want none", len(g.known), len(g.unsaved))
		}
	})
}

func TestStopWritesWhatIsUnsaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &gateStore{Memory: storetest.NewMemory()}
		s.PutEndpoint(store.Endpoint{ID: 1})
		g := NewGates(s, zap.NewNop())
		g.Set(closed(g.Get(1), time.Now()))
		<-g.wake // as if the stop came first
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if err := g.Run(ctx, func([]store.Gate) {}); err != nil {
			t.Fatal(err)
		}
		if got := s.Gate(1); got.State != store.GateClosed {
			t.Errorf("the store has it %s after a stop, want closed", got.State)
		}
	})
}
