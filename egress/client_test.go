package egress

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestAConnectionServesManyAttempts(t *testing.T) {
	t.Parallel()
	for _, how := range []bool{false, true} {
		srv := startRaw(t, func(c *rawConn) {
			for i := 0; ; i++ {
				if _, ok := c.request(); !ok {
					return
				}
				c.say([]string{
					"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 204 No\r\n\r\n", "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
					"HTTP/1.1 404 No\r\nContent-Length: 60000\r\n\r\n" + strings.Repeat("x", 60000),
				}[i%4])
			}
		})
		s := newSender(t, options{http: how})
		for i := range 12 {
			if res := send(t, s, endpointAt(srv.url)); res.Status != []int{200, 204, 500, 404}[i%4] {
				t.Fatalf("attempt %d: %+v", i, res)
			}
		}
		if n := srv.connections(); n != 1 {
			t.Errorf("net/http %v: %d connections, want 1", how, n)
		}
	}
}

func TestDataBehindTheAnswerEndsTheConnection(t *testing.T) {
	t.Parallel()
	srv := startRaw(t, func(c *rawConn) {
		for {
			if _, ok := c.request(); !ok {
				return
			}
			c.say("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	s := newSender(t, options{})
	for i := range 5 {
		if res := send(t, s, endpointAt(srv.url)); res.Status != http.StatusInternalServerError || srv.connections() != i+1 {
			t.Fatalf("attempt %d on connection %d: %+v, want the first answer: the second answers nothing", i+1, srv.connections(), res)
		}
	}
}

func TestLargeBodiesKeepTheirConnection(t *testing.T) {
	t.Parallel()
	srv := startRaw(t, func(c *rawConn) {
		for {
			if body, ok := c.request(); !ok || len(body) != 1<<20 {
				return
			}
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	s := newSender(t, options{})
	for range 5 {
		if res := s.Send(t.Context(), &Attempt{Event: newEvent(strings.Repeat("x", 1<<20)), Endpoint: endpointAt(srv.url), Number: 1}); res.Outcome != OutcomeDelivered {
			t.Fatalf("Send = %+v", res)
		}
	}
	if n := srv.connections(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestAnAnswerBeforeTheBodyWasReadCounts(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]func(c *rawConn, over <-chan struct{}){
		"and the connection ends":  func(c *rawConn, _ <-chan struct{}) { closeWrite(c); c.hang() },
		"and nothing more is read": func(_ *rawConn, over <-chan struct{}) { <-over },
		"and the rest is read":     func(c *rawConn, _ <-chan struct{}) { <-time.After(2 * answeredGrace); c.hang() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			over := make(chan struct{})
			srv := startRaw(t, func(c *rawConn) {
				c.head()
				c.say("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")
				after(c, over)
			})
			t.Cleanup(func() { close(over) })
			s := newSender(t, options{})
			for i := range 2 {
				res := s.Send(t.Context(), &Attempt{Event: newEvent(strings.Repeat("x", 8<<20)), Endpoint: endpointAt(srv.url), Number: 1})
				if res.Status != http.StatusRequestEntityTooLarge || res.Outcome != OutcomeRejected || string(res.Excerpt) != "big" {
					t.Errorf("Send = %+v, want the 413", res)
				}
				if n := srv.connections(); n != i+1 {
					t.Errorf("%d connections, want %d: one with half a request on it serves no other", n, i+1)
				}
			}
		})
	}
}

// closesWhenTold answers a request per connection, and closes each when the test says so.
func closesWhenTold(t *testing.T) (srv *rawServer, closeAll func(), requests *atomic.Int64) {
	t.Helper()
	requests = new(atomic.Int64)
	told, done := make(chan struct{}), make(chan struct{}, 100)
	srv = startRaw(t, func(c *rawConn) {
		if _, ok := c.request(); !ok {
			return
		}
		requests.Add(1)
		c.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		_, open := <-told
		if open {
			c.Close()
			done <- struct{}{}
		}
	})
	t.Cleanup(func() { close(told) })
	return srv, func() { told <- struct{}{}; <-done }, requests
}

func TestAnOldConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	srv := startRaw(t, func(c *rawConn) { answers200(c, tls.ConnectionState{}) })
	s := newSender(t, options{})
	cl, key := s.transport.(*client), s.targets.get(endpointAt(srv.url), time.Now()).key
	for _, c := range []struct {
		age         time.Duration // of the connection when the attempt ends
		connections int           // once another attempt was made
	}{{0, 1}, {maxAge - time.Minute, 1}, {maxAge, 2}} {
		send(t, s, endpointAt(srv.url))
		if idle := cl.pool.get(key, time.Now()); idle != nil {
			idle.born = time.Now().Add(-c.age)
			cl.pool.put(idle, 0, time.Now())
		}
		send(t, s, endpointAt(srv.url))
		send(t, s, endpointAt(srv.url))
		if n := srv.connections(); n != c.connections {
			t.Errorf("%d connections with one %v old, want %d", n, c.age, c.connections)
		}
	}
}

func TestAConnectionTheEndpointClosedIsReplacedUnseen(t *testing.T) {
	t.Parallel()
	srv, closeAll, requests := closesWhenTold(t)
	s := newSender(t, options{})
	for i := range 5 {
		if res := send(t, s, endpointAt(srv.url)); res.Outcome != OutcomeDelivered {
			t.Fatalf("attempt %d: %+v, want delivered", i, res)
		}
		closeAll()
	}
	if n := requests.Load(); n != 5 || srv.connections() != 5 {
		t.Errorf("%d requests on %d connections, want 5 on 5", n, srv.connections())
	}
}

func TestARequestThatLeftIsNeverSentAgain(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	srv := startRaw(t, func(c *rawConn) {
		for {
			if _, ok := c.request(); !ok {
				return
			}
			if requests.Add(1)%2 == 0 { // the second of each connection is read and not answered
				c.reset()
				return
			}
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	s := newSender(t, options{})
	for i := range 10 {
		res := send(t, s, endpointAt(srv.url))
		if want := []Outcome{OutcomeDelivered, OutcomeFailed}[i%2]; res.Outcome != want {
			t.Errorf("attempt %d: %v, want %v", i, res.Outcome, want)
		}
	}
	if n := requests.Load(); n != 10 {
		t.Errorf("%d requests arrived for 10 attempts", n)
	}
}

func TestARequestThatNeverLeftIsSentOnANewConnection(t *testing.T) {
	t.Parallel()
	for name, brokenAnswer := range map[string]string{"nothing came": "", "an answer to nothing came": "HTTP/1.1 408 Too Slow\r\nContent-Length: 0\r\n\r\n"} {
		srv, _, requests := closesWhenTold(t)
		s := newSender(t, options{})
		endpoint := endpointAt(srv.url)
		stale := &deafConn{answer: strings.NewReader(brokenAnswer)}
		key := s.targets.get(endpoint, time.Now()).key
		sock := &socket{Conn: stale}
		s.metrics.OpenConnections.Inc()
		s.transport.(*client).pool.put(&conn{
			key: key, socket: sock, stream: sock, closed: func() bool { return false }, onEnd: s.metrics.OpenConnections.Dec, born: time.Now(),
		}, 0, time.Now())
		res := send(t, s, endpoint)
		if res.Outcome != OutcomeDelivered || !stale.closed || requests.Load() != 1 {
			t.Errorf("%s: %+v, %d requests, stale one closed %v, want delivered by one request", name, res, requests.Load(), stale.closed)
		}
	}
}

func TestAConnectionWhoseAttemptWasCanceledIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	sock := &socket{Conn: &answeringConn{cancel: cancel}}
	c := &conn{socket: sock, stream: sock, onEnd: func() {}}
	h, reusable, err := c.exchange(ctx, time.Now().Add(time.Minute), &request{head: []byte("POST / HTTP/1.1\r\n\r\n")}, &answer{})
	if err != nil || h.status != 200 || reusable {
		t.Errorf("exchange = %d, reusable %v, %v, want 200 on a connection that may get a deadline in the past any moment", h.status, reusable, err)
	}
}

// answeringConn answers, and ends the attempt's context at the same moment.
type answeringConn struct {
	net.Conn
	cancel func()
}

func (c *answeringConn) Write(b []byte) (int, error) { return len(b), nil }
func (c *answeringConn) SetDeadline(time.Time) error { return nil }
func (c *answeringConn) Read(b []byte) (int, error) {
	c.cancel()
	return copy(b, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), nil
}

// deafConn is a connection that takes no byte.
type deafConn struct {
	net.Conn
	answer *strings.Reader
	closed bool
}

func (c *deafConn) Write([]byte) (int, error)   { return 0, net.ErrClosed }
func (c *deafConn) Read(b []byte) (int, error)  { return c.answer.Read(b) }
func (c *deafConn) SetDeadline(time.Time) error { return nil }
func (c *deafConn) Close() error                { c.closed = true; return nil }

func TestIdleConnectionsCostNoGoroutineAndCloseLeavesNothing(t *testing.T) {
	// Not parallel: it counts goroutines.
	const hosts = 50
	ln := make([]*rawServer, hosts)
	var served sync.WaitGroup
	for i := range ln {
		served.Add(1)
		ln[i] = startRaw(t, func(c *rawConn) {
			defer served.Done()
			for {
				if _, ok := c.request(); !ok {
					return
				}
				c.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		})
	}
	s := newSender(t, options{})
	before := runtime.NumGoroutine()
	for _, srv := range ln {
		send(t, s, endpointAt(srv.url))
	}
	if open := testutil.ToFloat64(s.metrics.OpenConnections); open != hosts {
		t.Errorf("%v connections open, want %d", open, hosts)
	}
	if n := runtime.NumGoroutine() - before - hosts; n > 0 { // one per connection is the server's
		t.Errorf("%d goroutines more with %d idle connections, want none", n, hosts)
	}
	s.Close()
	served.Wait() // every server has seen its connection end
	if open := testutil.ToFloat64(s.metrics.OpenConnections); open != 0 {
		t.Errorf("%v connections open after Close, want 0", open)
	}
	if connects := testutil.ToFloat64(s.metrics.Connects); connects != hosts {
		t.Errorf("%v connects counted, want %d", connects, hosts)
	}
	url, _ := startReceiver(t, nil)
	if res := send(t, s, endpointAt(url)); res.Outcome != OutcomeDelivered || testutil.ToFloat64(s.metrics.OpenConnections) != 0 {
		t.Errorf("Send after Close = %+v, want delivered on a connection that is not kept", res)
	}
}

func TestManyAttemptsAtOnce(t *testing.T) {
	t.Parallel()
	url, arrivals := startReceiver(t, nil)
	s := newSender(t, options{idle: 8})
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for range 20 {
				if res := send(t, s, endpointAt(url)); res.Outcome != OutcomeDelivered {
					t.Errorf("Send = %+v", res)
				}
			}
		})
	}
	wg.Wait()
	seen := map[string]bool{}
	for range 32 * 20 {
		a := <-arrivals
		seen[a.Header.Get("webhook-id")] = true
	}
	if len(seen) != 32*20 || len(arrivals) != 0 {
		t.Errorf("%d events arrived in %d requests more than 640", len(seen), len(arrivals))
	}
	if open := testutil.ToFloat64(s.metrics.OpenConnections); open > 8 {
		t.Errorf("%v connections idle, want 8 at most", open)
	}
}
