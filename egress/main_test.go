package egress

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/dialguard"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

func TestMain(m *testing.M) {
	if os.Getenv(receiverEnv) != "" { // this process is the receiver of a benchmark
		runReceiver()
		return
	}
	goleak.VerifyTestMain(m)
}

// loopback lets tests reach their own servers.
var loopback = dialguard.Config{Allow: []string{"127.0.0.0/8", "::1/128"}, AllowHTTP: true}

// options are what differs between test senders. The zero value is a lean sender that may reach loopback.
type options struct {
	guard *dialguard.Config
	roots *x509.CertPool
	idle  int  // 0: the default; -1: none
	http  bool // send with net/http
	log   *zap.Logger
}

func newSender(tb testing.TB, o options) *HTTPSender {
	tb.Helper()
	cfg := Defaults()
	cfg.Version, cfg.RootCAs = "1.2.3", o.roots
	if o.idle != 0 {
		cfg.IdleConnections = max(o.idle, 0)
	}
	network := loopback
	if o.guard != nil {
		network = *o.guard
	}
	guard, err := dialguard.New(network)
	if err != nil {
		tb.Fatal(err)
	}
	if o.log == nil {
		o.log = zap.NewNop()
	}
	s := New(cfg, guard, o.log, prometheus.NewPedanticRegistry(), noop.NewTracerProvider().Tracer(""))
	if o.http {
		s.transport = newReference(s.transport.(*client), cfg.IdleConnections)
	}
	tb.Cleanup(s.Close)
	return s
}

// endpointAt returns an endpoint with a deadline short enough for tests that wait for it.
func endpointAt(url string) *store.Endpoint {
	return &store.Endpoint{ID: 7, Tenant: "default", Name: "test", URL: url, Timeout: 10 * time.Second, State: store.EndpointActive}
}

func newEvent(body string) *event.Event {
	return &event.Event{
		ID: event.NewID(time.Now()), Tenant: "default", Source: "github", Type: "push", ContentType: "application/json", Body: []byte(body),
	}
}

func send(tb testing.TB, s Sender, e *store.Endpoint) Result {
	tb.Helper()
	return s.Send(tb.Context(), &Attempt{Event: newEvent(`{"n":1}`), Endpoint: e, Number: 1})
}

// arrival is a request as a receiver saw it.
type arrival struct {
	*http.Request
	body []byte
}

// startReceiver returns a receiver that answers with answer (nil: 200) and the requests that arrive at it.
func startReceiver(tb testing.TB, answer http.HandlerFunc) (url string, arrivals <-chan arrival) {
	tb.Helper()
	ch := make(chan arrival, 1000)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			tb.Errorf("read request: %v", err)
		}
		ch <- arrival{r, body}
		if answer != nil {
			answer(w, r)
		}
	}))
	tb.Cleanup(srv.Close)
	return srv.URL, ch
}

// rawServer speaks whatever a test makes it speak.
type rawServer struct {
	url      string
	mu       sync.Mutex
	conns    map[net.Conn]bool
	accepted int
}

// startRaw serves every connection with serve, then closes it.
func startRaw(tb testing.TB, serve func(c *rawConn)) *rawServer {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s := &rawServer{url: "http://" + ln.Addr().String() + "/hook", conns: map[net.Conn]bool{}}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns[conn] = true
			s.accepted++
			s.mu.Unlock()
			wg.Go(func() {
				defer conn.Close()
				serve(&rawConn{Conn: conn, r: bufio.NewReader(conn)})
			})
		}
	})
	tb.Cleanup(func() {
		ln.Close()
		s.mu.Lock()
		for conn := range s.conns {
			conn.Close()
		}
		s.mu.Unlock()
		wg.Wait()
	})
	return s
}

func (s *rawServer) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.accepted
}

// rawConn is a server's end of a connection.
type rawConn struct {
	net.Conn
	r *bufio.Reader
}

// request reads a whole request; false means there is none.
func (c *rawConn) request() (body []byte, ok bool) {
	r, err := http.ReadRequest(c.r)
	if err != nil {
		return nil, false
	}
	body, err = io.ReadAll(r.Body)
	return body, err == nil
}

// head reads the head of a request alone.
func (c *rawConn) head() string {
	var b strings.Builder
	for !strings.HasSuffix(b.String(), "\r\n\r\n") {
		line, err := c.r.ReadString('\n')
		if err != nil {
			return b.String()
		}
		b.WriteString(line)
	}
	return b.String()
}

func (c *rawConn) say(s string) { io.WriteString(c, s) } //nolint:errcheck // the client may have gone, which is the test's point

// hang waits until the client goes.
func (c *rawConn) hang() { io.Copy(io.Discard, c.r) } //nolint:errcheck // see say

// reset ends the connection with RST.
func (c *rawConn) reset() {
	c.Conn.(*net.TCPConn).SetLinger(0) //nolint:errcheck // it is closed next
	c.Close()
}

// sayForever repeats s until the client goes.
func (c *rawConn) sayForever(s string, pause time.Duration) {
	s = strings.Repeat(s, max(1, 4096/len(s)))
	if pause > 0 {
		s = s[:1]
	}
	for {
		if _, err := io.WriteString(c, s); err != nil {
			return
		}
		if pause > 0 {
			time.Sleep(pause)
		}
	}
}

var everyByte = func() []byte {
	var b bytes.Buffer
	for i := range 256 {
		b.WriteByte(byte(i))
	}
	return b.Bytes()
}()
