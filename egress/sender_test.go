package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/sluicehq/sluice/pkg/dialguard"
)

func TestWhatTheGuardForbidsIsRefusedWithoutAConnection(t *testing.T) {
	t.Parallel()
	srv := startRaw(t, func(c *rawConn) { c.hang() })
	port := srv.url[strings.LastIndexByte(srv.url, ':')+1 : len(srv.url)-len("/hook")]
	closed := dialguard.Defaults()
	noHTTP := dialguard.Config{Allow: loopback.Allow}
	httpOnly := dialguard.Config{AllowHTTP: true}
	for name, c := range map[string]struct {
		guard *dialguard.Config
		url   string
	}{
		"loopback":                  {&httpOnly, srv.url},
		"loopback by name":          {&httpOnly, "http://localhost:" + port + "/"},
		"loopback, mapped":          {&closed, "https://[::ffff:127.0.0.1]:" + port + "/"},
		"loopback as a number":      {&loopback, "http://2130706433:" + port + "/"},
		"metadata":                  {&loopback, "http://169.254.169.254/latest"},
		"a port of another service": {&loopback, "http://127.0.0.1:25/"},
		"http without permission":   {&noHTTP, srv.url},
		"another scheme":            {&loopback, "gopher://127.0.0.1:" + port + "/"},
	} {
		res := send(t, newSender(t, options{guard: c.guard}), endpointAt(c.url))
		if res.Outcome != OutcomeRefused || res.Connected || res.Status != 0 {
			t.Errorf("%s: %+v, want refused", name, res)
		}
		checkResult(t, res)
	}
	if n := srv.connections(); n != 0 {
		t.Errorf("%d connections, want none", n)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	target, arrivals := startReceiver(t, nil)
	for _, status := range []int{301, 302, 303, 307, 308} {
		url, _ := startReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", target)
			w.WriteHeader(status)
		})
		if res := send(t, newSender(t, options{}), endpointAt(url)); res.Outcome != OutcomeRejected || res.Status != status {
			t.Errorf("%d: %+v, want rejected", status, res)
		}
	}
	if len(arrivals) != 0 {
		t.Errorf("%d requests followed", len(arrivals))
	}
}

func TestWhenOurContextEndsTheAttemptIsAborted(t *testing.T) {
	t.Parallel()
	stages := map[string]struct {
		serve     func(c *rawConn)
		tls       bool
		connected bool
		body      int
	}{
		"in the handshake": {serve: (*rawConn).hang, tls: true, connected: true},
		"before an answer": {serve: (*rawConn).hang, connected: true},
		"in the head":      {serve: saysAndWaits("HTTP/1.1 200 OK\r\nA: "), connected: true},
		"in the body":      {serve: saysAndWaits("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"), connected: true},
		"in a large body":  {serve: func(c *rawConn) { <-time.After(patience) }, connected: true, body: 32 << 20},
	}
	for name, c := range stages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arrived := make(chan struct{})
			srv := startRaw(t, func(c2 *rawConn) {
				c2.r.Peek(1) //nolint:errcheck // waits for the client
				close(arrived)
				c.serve(c2)
			})
			url := srv.url
			if c.tls {
				url = "https" + strings.TrimPrefix(url, "http")
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-arrived; cancel() }()
			e := newEvent(strings.Repeat("x", c.body))
			res := newSender(t, options{}).Send(ctx, &Attempt{Event: e, Endpoint: endpointAt(url), Number: 1})
			if res.Outcome != OutcomeAborted || res.Connected != c.connected || res.Duration > 5*time.Second {
				t.Errorf("%+v, want aborted soon", res)
			}
			checkResult(t, res)
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if res := newSender(t, options{}).Send(ctx, &Attempt{Event: newEvent(""), Endpoint: endpointAt("http://127.0.0.1:1/"), Number: 1}); res.Outcome != OutcomeAborted {
		t.Errorf("Send with a context that has ended = %+v, want aborted", res)
	}
	expired, cancel := context.WithDeadline(t.Context(), time.Now().Add(patience/4))
	defer cancel()
	srv := startRaw(t, func(c *rawConn) { c.hang() })
	if res := newSender(t, options{}).Send(expired, &Attempt{Event: newEvent(""), Endpoint: endpointAt(srv.url), Number: 1}); res.Outcome != OutcomeAborted {
		t.Errorf("Send beyond our context's deadline = %+v, want aborted", res)
	}
}

func TestACanceledAttemptDoesNotSpoilTheNext(t *testing.T) {
	t.Parallel()
	srv := startRaw(t, func(c *rawConn) { answers200(c, tls.ConnectionState{}) })
	s := newSender(t, options{})
	endpoint := endpointAt(srv.url)
	for range 200 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		if res := s.Send(ctx, &Attempt{Event: newEvent(""), Endpoint: endpoint, Number: 1}); res.Outcome != OutcomeDelivered && res.Outcome != OutcomeAborted {
			t.Fatalf("Send = %+v, want delivered or aborted", res)
		}
		if res := send(t, s, endpoint); res.Outcome != OutcomeDelivered {
			t.Fatalf("the attempt after it = %+v", res)
		}
	}
}

func TestAnAttemptEndsWithItsTimeout(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		serve  func(c *rawConn)
		tls    bool
		body   int
		reason string
	}{
		"handshake hangs":      {serve: (*rawConn).hang, tls: true, reason: "tls: handshake not finished in time"},
		"no answer":            {serve: (*rawConn).hang, reason: "no whole answer in time (the attempt may take 400ms)"},
		"request is not read":  {serve: func(c *rawConn) { <-time.After(2 * patience) }, body: 32 << 20, reason: "no whole answer in time (the attempt may take 400ms)"},
		"answer does not end":  {serve: saysAndWaits("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"), reason: "HTTP 200, and then: no whole answer in time (the attempt may take 400ms)"},
		"answers come at drip": {serve: func(c *rawConn) { c.sayForever("H", 10*time.Millisecond) }, reason: ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := startRaw(t, c.serve)
			endpoint := endpointAt(srv.url)
			if c.tls {
				endpoint.URL = "https" + strings.TrimPrefix(srv.url, "http")
			}
			endpoint.Timeout = patience
			res := newSender(t, options{}).Send(t.Context(), &Attempt{Event: newEvent(strings.Repeat("x", c.body)), Endpoint: endpoint, Number: 1})
			if res.Outcome != OutcomeFailed || !res.Connected || !strings.HasPrefix(res.Error, c.reason) || res.Duration < patience/2 || res.Duration > patience+5*time.Second {
				t.Errorf("%v after %v: %s; want failed after %v: %s", res.Outcome, res.Duration, res.Error, patience, c.reason)
			}
			checkResult(t, res)
		})
	}
}

func TestConnectionsThatCannotBeMade(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err     error
		outcome Outcome
		reason  string
	}{
		"refused":                    {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, OutcomeFailed, "connect: connection refused"},
		"timed out":                  {&net.OpError{Op: "dial", Err: context.DeadlineExceeded}, OutcomeFailed, "connect: timed out"},
		"no such host":               {&net.DNSError{Err: "no such host", Name: "secret.example", IsNotFound: true}, OutcomeFailed, "connect: no such host"},
		"slow name servers":          {&net.DNSError{Err: "i/o timeout", Name: "secret.example", IsTimeout: true}, OutcomeFailed, "connect: host look-up timed out"},
		"failing name servers":       {&net.DNSError{Err: "server misbehaving", Name: "secret.example"}, OutcomeFailed, "connect: host look-up failed: server misbehaving"},
		"out of descriptors":         {errors.Join(dialguard.ErrUnavailable, syscall.EMFILE), OutcomeAborted, "connect: no way out: too many open files"},
		"our name servers dead":      {errors.Join(dialguard.ErrUnavailable, &net.DNSError{Err: "read: connection refused", Name: "secret.example"}), OutcomeAborted, "connect: no way out: host look-up failed: "},
		"refused by the guard":       {dialguard.ErrDenied, OutcomeRefused, "not allowed"},
		"something never thought of": {errors.New("http://secret.example/"), OutcomeFailed, "connect: failed"},
	} {
		s := newSender(t, options{})
		s.transport.(*client).dial = func(context.Context, string, string) (net.Conn, error) { return nil, c.err }
		res := send(t, s, endpointAt("http://127.0.0.1:1/"))
		if res.Outcome != c.outcome || res.Connected || !strings.HasPrefix(res.Error, c.reason) || strings.Contains(res.Error, "secret") {
			t.Errorf("%s: %+v, want %v: %s", name, res, c.outcome, c.reason)
		}
		checkResult(t, res)
	}
}

func TestRetryAfterIsReadOfAnyAnswerThatIsNotASuccess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status  int
		value   string
		want    time.Duration
		outcome Outcome
	}{
		{429, "120", 2 * time.Minute, OutcomeThrottled},
		{503, "1", time.Second, OutcomeThrottled},
		{503, "86400", time.Hour, OutcomeThrottled},
		{503, "-1", time.Second, OutcomeThrottled},
		{503, "soon", 0, OutcomeFailed},
		{429, "soon", 0, OutcomeThrottled},
		{500, "60", time.Minute, OutcomeFailed},
		{404, "60", time.Minute, OutcomeRejected},
		{200, "60", 0, OutcomeDelivered},
	} {
		url, _ := startReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", c.value)
			w.WriteHeader(c.status)
		})
		if res := send(t, newSender(t, options{}), endpointAt(url)); res.RetryAfter != c.want || res.Outcome != c.outcome {
			t.Errorf("%d with Retry-After %s: %+v, want %v and %v", c.status, c.value, res, c.outcome, c.want)
		}
	}
}

func TestTheExcerptIsOfAFailureAndBounded(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, maxExcerpt, maxExcerpt + 1, 2 * maxBody} {
		for _, status := range []int{200, 500} {
			body := bytes.Repeat(everyByte, size/256+1)[:size]
			url, _ := startReceiver(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				w.Write(body) //nolint:errcheck // the client stops reading
			})
			want := body[:min(size, maxExcerpt)]
			if status == 200 {
				want = nil
			}
			if res := send(t, newSender(t, options{}), endpointAt(url)); res.Status != status || !bytes.Equal(res.Excerpt, want) {
				t.Errorf("%d bytes with %d: excerpt of %d bytes, want %d", size, status, len(res.Excerpt), len(want))
			}
		}
	}
}

func TestAPanicIsAFailureAndClosesItsConnection(t *testing.T) {
	t.Parallel()
	srv := startRaw(t, func(c *rawConn) { answers200(c, tls.ConnectionState{}) })
	s := newSender(t, options{})
	cl := s.transport.(*client)
	dial := cl.dial
	cl.dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		return &panicConn{conn}, err
	}
	res := send(t, s, endpointAt(srv.url))
	if res.Outcome != OutcomeFailed || res.Error != "internal error" {
		t.Errorf("Send = %+v, want failed with an internal error", res)
	}
	if open := testutil.ToFloat64(s.metrics.OpenConnections); open != 0 {
		t.Errorf("%v connections open, want 0", open)
	}
}

type panicConn struct{ net.Conn }

func (*panicConn) Read([]byte) (int, error) { panic("out of ideas") }

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for _, n := range []int{-1, maxIdleConnections + 1} {
		if problems := (Config{IdleConnections: n}).Validate(); len(problems) != 1 || !strings.HasPrefix(problems[0].Error(), "egress.idle_connections: ") {
			t.Errorf("Validate with %d = %v", n, problems)
		}
	}
	if problems := Defaults().Validate(); len(problems) != 0 {
		t.Errorf("Defaults().Validate() = %v", problems)
	}
}
