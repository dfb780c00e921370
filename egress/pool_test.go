package egress

import (
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// idler makes idle connections for a pool and knows which are closed.
type idler struct {
	t     *testing.T
	pool  *pool
	mu    sync.Mutex
	ended map[*conn]bool
}

func newIdler(t *testing.T, limit int) *idler {
	t.Helper()
	return &idler{t: t, pool: newPool(limit), ended: map[*conn]bool{}}
}

// conn returns a connection to host that has not been put yet.
func (i *idler) conn(host string) *conn {
	ours, theirs := net.Pipe()
	i.t.Cleanup(func() { theirs.Close() })
	c := &conn{key: poolKey{address: host}, stream: ours, closed: func() bool { return false }}
	c.onEnd = func() { i.mu.Lock(); defer i.mu.Unlock(); i.ended[c] = true }
	return c
}

func (i *idler) isEnded(c *conn) bool { i.mu.Lock(); defer i.mu.Unlock(); return i.ended[c] }

func (i *idler) closed() int { i.mu.Lock(); defer i.mu.Unlock(); return len(i.ended) }

func (i *idler) put(host string, keep time.Duration) *conn {
	c := i.conn(host)
	i.pool.put(c, keep, time.Now())
	return c
}

func (i *idler) get(host string) *conn { return i.pool.get(poolKey{address: host}, time.Now()) }

func TestTheConnectionUsedLastIsUsedNext(t *testing.T) {
	i := newIdler(t, 10)
	defer i.pool.close()
	a, b, other := i.put("x", 0), i.put("x", 0), i.put("y", 0)
	if got := i.get("x"); got != b {
		t.Error("got another than the one put last")
	}
	if got := i.get("x"); got != a {
		t.Error("got another than the one put first")
	}
	if i.get("x") != nil || i.get("z") != nil {
		t.Error("got a connection of another host")
	}
	if i.get("y") != other {
		t.Error("lost the other host's connection")
	}
	if len(i.pool.byKey) != 0 || i.pool.count != 0 {
		t.Errorf("an empty pool holds %d keys, counts %d", len(i.pool.byKey), i.pool.count)
	}
}

func TestTheConnectionIdleLongestGivesWay(t *testing.T) {
	i := newIdler(t, 3)
	defer i.pool.close()
	first, second, third := i.put("x", 0), i.put("y", 0), i.put("x", 0)
	i.pool.put(i.get("y"), 0, time.Now()) // y was used again
	fourth := i.put("z", 0)
	if !i.isEnded(first) || i.isEnded(second) || i.isEnded(third) || i.isEnded(fourth) {
		t.Errorf("closed %d, want the first alone", i.closed())
	}
	if i.get("x") != third || i.get("x") != nil {
		t.Error("x has another connection than its third")
	}
}

func TestAPoolOfNoneKeepsNothing(t *testing.T) {
	i := newIdler(t, 0)
	defer i.pool.close()
	if c := i.put("x", 0); !i.isEnded(c) || i.get("x") != nil {
		t.Error("the connection was kept")
	}
}

func TestConnectionsThatAreOverAreClosedNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIdler(t, 10)
		defer i.pool.close()
		good := i.put("x", 0)
		hinted := i.put("x", 4*time.Second)
		closed := i.put("x", 0)
		closed.closed = func() bool { return true }
		time.Sleep(4 * time.Second)
		if got := i.get("x"); got != good || !i.isEnded(closed) || !i.isEnded(hinted) || i.isEnded(good) {
			t.Errorf("got %p, closed %d, want the first, and the others closed", got, i.closed())
		}
		good.endIdle()
	})
}

func TestIdleConnectionsAreClosedAfterHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := newIdler(t, 10)
		first := i.put("x", 0)
		time.Sleep(20 * time.Second)
		second := i.put("y", time.Hour)
		time.Sleep(10*time.Second - 1)
		synctest.Wait()
		if i.closed() != 0 {
			t.Errorf("closed %d before 30 s", i.closed())
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if !i.isEnded(first) || i.isEnded(second) {
			t.Errorf("after 30 s closed %d, want the first", i.closed())
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		if !i.isEnded(second) || i.pool.sweeper != nil {
			t.Errorf("after 50 s closed %d, timer %v, want all and none", i.closed(), i.pool.sweeper)
		}
		third := i.put("z", 0) // the timer starts again
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if !i.isEnded(third) {
			t.Error("a later connection is not closed after 30 s")
		}
		i.pool.close()
	})
}

func TestAClosedPoolClosesAllItHasAndGets(t *testing.T) {
	i := newIdler(t, 10)
	a, b := i.put("x", 0), i.put("y", 0)
	i.pool.close()
	i.pool.close()
	c := i.put("x", 0)
	if !i.isEnded(a) || !i.isEnded(b) || !i.isEnded(c) || i.get("x") != nil {
		t.Errorf("closed %d, want all three", i.closed())
	}
}

// TestThePoolAgreesWithASimpleModel plays random steps against a list in order of use.
func TestThePoolAgreesWithASimpleModel(t *testing.T) {
	const limit = 5
	rnd := rand.New(rand.NewPCG(1, 2))
	i := newIdler(t, limit)
	defer i.pool.close()
	var model []*conn // idle ones, the oldest first
	for step := range 5000 {
		host := string(rune('a' + rnd.IntN(4)))
		if rnd.IntN(2) == 0 {
			if model = append(model, i.put(host, 0)); len(model) > limit {
				if !i.isEnded(model[0]) {
					t.Fatalf("step %d: the oldest is open", step)
				}
				model = model[1:]
			}
		} else {
			got := i.get(host)
			at := -1
			for n, c := range model {
				if c.key.address == host {
					at = n
				}
			}
			if at < 0 && got != nil || at >= 0 && got != model[at] {
				t.Fatalf("step %d: got %p for %s, want %d of %v", step, got, host, at, model)
			}
			if at >= 0 {
				model = slices.Delete(model, at, at+1)
				got.endIdle()
			}
		}
		if i.pool.count != len(model) {
			t.Fatalf("step %d: counts %d, want %d", step, i.pool.count, len(model))
		}
	}
}
