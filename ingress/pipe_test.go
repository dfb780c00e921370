package ingress

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipeListener hands out net.Pipes, so that a whole server runs on fake time.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (l *pipeListener) dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	return client
}

// running serves a house on pipes until the test ends.
func running(t *testing.T) (*house, *pipeListener) {
	t.Helper()
	ln := newPipeListener()
	return serve(t, ln), ln
}

// wire writes a request as text.
func wire(t *testing.T, r *http.Request) string {
	t.Helper()
	var out strings.Builder
	if err := r.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// status reads one answer; 0 if the connection was closed without one.
func status(conn net.Conn) int {
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return 0
	}
	discardBody(res)
	return res.StatusCode
}

// send writes text, as far as the server takes it.
func send(conn net.Conn, text string) {
	io.WriteString(conn, text) //nolint:errcheck // a server that hangs up is what tests look for
}

// pour writes a body at a rate of n bytes per second, until that fails.
func pour(conn net.Conn, head, body string, n int) {
	send(conn, head)
	for ; body != ""; body = body[min(n, len(body)):] {
		if _, err := io.WriteString(conn, body[:min(n, len(body))]); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// drip writes text a byte at a time, until that fails.
func drip(conn net.Conn, text string, every time.Duration) {
	for i := range len(text) {
		if _, err := conn.Write([]byte{text[i]}); err != nil {
			return
		}
		time.Sleep(every)
	}
}

func TestSlowClients(t *testing.T) {
	body := strings.Repeat("x", 100_000)
	tests := []struct {
		name   string
		client func(conn net.Conn, head, body string)
		status int
		least  time.Duration
		most   time.Duration
	}{
		{"a header byte every 10 s", func(conn net.Conn, head, _ string) { drip(conn, head, 10*time.Second) }, 400 /* over TCP: closed without an answer */, 5 * time.Second, 5 * time.Second},
		{"no body at all", func(conn net.Conn, head, _ string) { send(conn, head) }, 408, 5 * time.Second, 5 * time.Second},
		{"a body byte every second", func(conn net.Conn, head, body string) { send(conn, head); drip(conn, body, time.Second) }, 408, 5 * time.Second, 6 * time.Second},
		{"just under the rate", func(conn net.Conn, head, body string) {
			pour(conn, head, body, 900)
		}, 408, 30 * time.Second, 31 * time.Second},
		{"above the rate", func(conn net.Conn, head, body string) {
			pour(conn, head, body, 5000)
		}, 200, 19 * time.Second, 20 * time.Second},
		{"a body that stops", func(conn net.Conn, head, body string) { send(conn, head+body[:20_000]) }, 408, 24 * time.Second, 25 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, ln := running(t)
				r := signedAt(t, "github", "/in/github", []byte(body), time.Now())
				head, rest, _ := strings.Cut(wire(t, r), "\r\n\r\n")
				conn := ln.dial()
				began := time.Now()
				var client sync.WaitGroup
				client.Go(func() { tt.client(conn, head+"\r\n\r\n", rest) })
				got := status(conn)
				if took := time.Since(began); got != tt.status || took < tt.least || took > tt.most {
					t.Errorf("answer %d after %v, want %d after %v to %v", got, took, tt.status, tt.least, tt.most)
				}
				conn.Close()
				client.Wait()
				want := 0
				if tt.status == 200 {
					want = 1
				}
				h.wantPublished(t, want)
			})
		})
	}
}

func TestAConnectionOutlivesASlowBrokerBehindASlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, ln := running(t)
		h.broker.fail = slow
		r := signedAt(t, "github", "/in/github", []byte("12345"), time.Now())
		head, body, _ := strings.Cut(wire(t, r), "\r\n\r\n")
		conn := ln.dial()
		defer conn.Close()
		go func() {
			send(conn, head+"\r\n\r\n")
			time.Sleep(4 * time.Second)
			send(conn, body)
		}()
		if got := status(conn); got != 503 {
			t.Fatalf("answer %d, want 503", got)
		}
		h.broker.fail = nil
		go send(conn, wire(t, signedAt(t, "github", "/in/github", []byte("12345"), time.Now())))
		if got := status(conn); got != 200 {
			t.Errorf("the next request on the connection: %d", got)
		}
	})
}

func TestRequestsUnderWayFinishWhenIngressStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipeListener()
		h := newHouse(t, func(_ *Config, d *Deps) { d.Listener = ln })
		h.broker.fail = slow
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.Run(ctx) }()
		conn := ln.dial()
		defer conn.Close()
		go send(conn, wire(t, signedAt(t, "github", "/in/github", nil, time.Now())))
		synctest.Wait()
		began := time.Now()
		stop()
		if got := status(conn); got != 503 {
			t.Errorf("answer %d, want that of the broker, 503", got)
		}
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if took := time.Since(began); took > drain {
			t.Errorf("stopping took %v", took)
		}
		if h.logs.FilterMessage("ingress stopped").Len() != 1 {
			t.Error("the stop is not logged")
		}
	})
}

func TestAPortInUseIsAnError(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	h := newHouse(t, func(c *Config, _ *Deps) { c.Listen = taken.Addr().String() })
	if err := h.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "ingress.listen: listen tcp "+taken.Addr().String()) {
		t.Errorf("Run: %v", err)
	}
}
