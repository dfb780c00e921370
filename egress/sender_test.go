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

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/sluicehq/sluice/pkg/dialguard"
	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/store"
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
		"loopback":                       {&httpOnly, srv.url},
		"loopback by name":               {&httpOnly, "http://localhost:" + port + "/"},
		"loopback by a name of hosts(5)": {&httpOnly, "http://runsc:" + port + "/"},
		"loopback, mapped":               {&closed, "https://[::ffff:127.0.0.1]:" + port + "/"},
		"loopback as a number":           {&loopback, "http://2130706433:" + port + "/"},
		"metadata":                       {&loopback, "http://169.254.169.254/latest"},
		"a port of another service":      {&loopback, "http://127.0.0.1:25/"},
		"http without permission":        {&noHTTP, srv.url},
		"another scheme":                 {&loopback, "gopher://127.0.0.1:" + port + "/"},
	} {
		res := send(t, newSender(t, options{guard: c.guard}), endpointAt(c.url))
		if name == "loopback by a name of hosts(5)" && res.Outcome != OutcomeRefused {
			if _, err := net.LookupHost("runsc"); err != nil {
				continue // this machine has no such name
			}
		}
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
		"handshake hangs":      {serve: (*rawConn).hang, tls: true, reason: "tls: handshake not finished in time (the attempt may take 400ms)"},
		"no answer":            {serve: (*rawConn).hang, reason: "no answer: timed out (the attempt may take 400ms)"},
		"request is not read":  {serve: func(c *rawConn) { <-time.After(2 * patience) }, body: 32 << 20, reason: "no answer: timed out (the attempt may take 400ms)"},
		"answer does not end":  {serve: saysAndWaits("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"), reason: "HTTP 200, but the answer did not come whole: timed out (the attempt may take 400ms)"},
		"answers come at drip": {serve: func(c *rawConn) { c.sayForever("H", 10*time.Millisecond) }, reason: "no answer: "},
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
		"timed out":                  {&net.OpError{Op: "dial", Err: context.DeadlineExceeded}, OutcomeFailed, "connect: timed out (the attempt may take 10s)"},
		"no such host":               {&net.DNSError{Err: "no such host", Name: "secret.example", IsNotFound: true}, OutcomeFailed, "connect: no such host"},
		"slow name servers":          {&net.DNSError{Err: "i/o timeout", Name: "secret.example", IsTimeout: true}, OutcomeFailed, "connect: host look-up timed out (the attempt may take 10s)"},
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
		{429, "120", 2 * time.Minute, OutcomeThrottled}, {503, "1", time.Second, OutcomeThrottled}, {503, "86400", time.Hour, OutcomeThrottled},
		{503, "-1", time.Second, OutcomeThrottled}, {503, "soon", 0, OutcomeFailed}, {429, "soon", 0, OutcomeThrottled}, {500, "60", time.Minute, OutcomeFailed},
		{404, "60", time.Minute, OutcomeRejected}, {200, "60", 0, OutcomeDelivered},
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

func TestSecretsStayIn(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ryc4n4ry"
	var logged bytes.Buffer
	log := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&logged), zapcore.DebugLevel))
	spans := tracetest.NewSpanRecorder()
	answers := map[string]func(c *rawConn, request string){
		"an echo": func(c *rawConn, request string) {
			c.say("HTTP/1.1 400 " + canary + "\r\nX: " + request[:20] + "\r\n\r\n" + request)
		},
		"an echo cut off": func(c *rawConn, _ string) {
			c.say("HTTP/1.1 400 No\r\n\r\n" + strings.Repeat("x", maxExcerpt-8) + canary)
		},
		"a broken echo":       func(c *rawConn, request string) { c.say(request) },
		"an echo in a header": func(c *rawConn, _ string) { c.say("HTTP/1.1 400 No\r\n" + canary + "\x01: " + canary + "\r\n\r\n") },
		"an echo in the chunk": func(c *rawConn, _ string) {
			c.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + canary + "\r\n")
		},
		"a hang":  func(c *rawConn, _ string) { c.hang() },
		"a reset": func(c *rawConn, _ string) { c.reset() },
	}
	for name, answer := range answers {
		srv := startRaw(t, func(c *rawConn) {
			head := c.head()
			answer(c, head)
		})
		endpoint := endpointAt(srv.url + "?key=" + canary)
		endpoint.Timeout = patience
		endpoint.Auth = store.Auth{Kind: store.AuthBearer, Secret: canary}
		s := newSender(t, options{log: log})
		s.tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
		a := &Attempt{Event: newEvent(`{"secret":"` + canary + `"}`), Endpoint: endpoint, Number: 1}
		a.Event.Query, a.Event.Headers = "q="+canary, map[string]string{"x": canary}
		res := s.Send(t.Context(), a)
		if strings.Contains(res.Error, canary) {
			t.Errorf("%s: error %q holds the secret", name, res.Error)
		}
		if bytes.Contains(res.Excerpt, []byte("Bearer "+canary)) || bytes.HasSuffix(res.Excerpt, []byte("c4n4")) {
			t.Errorf("%s: excerpt holds the credential: …%q", name, res.Excerpt[max(0, len(res.Excerpt)-200):])
		}
		checkResult(t, res)
	}
	for _, u := range []string{"http://127.0.0.1:1/" + canary, "http://" + canary + ".invalid/", "http://" + canary + ":x/", "http://10.0.0.1/" + canary} {
		if res := send(t, newSender(t, options{log: log}), endpointAt(u)); strings.Contains(res.Error, canary) {
			t.Errorf("error for %s: %q holds the secret", u, res.Error)
		}
	}
	if strings.Contains(logged.String(), canary) || logged.Len() == 0 {
		t.Errorf("log holds the secret, or nothing: %s", logged.String())
	}
	for _, span := range spans.Ended() {
		text := span.Name() + span.Status().Description
		for _, a := range span.Attributes() {
			text += a.Value.Emit()
		}
		if strings.Contains(text, canary) {
			t.Errorf("span %s holds the secret", text)
		}
	}
}

func TestAnAttemptIsASpanUnderTheEvents(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 404} {
		url, _ := startReceiver(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		spans := tracetest.NewSpanRecorder()
		s := newSender(t, options{})
		s.tracer = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans)).Tracer("test")
		a := &Attempt{Event: newEvent(""), Endpoint: endpointAt(url), Number: 4}
		a.Event.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
		res := s.Send(t.Context(), a)
		ended := spans.Ended()
		if len(ended) != 1 {
			t.Fatalf("%d spans, want 1", len(ended))
		}
		span := ended[0]
		if span.Name() != telemetry.SpanAttempt || span.Parent().SpanID().String() != "b7ad6b7169203331" || span.SpanContext().TraceID().String() != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("span %s of %s under %s", span.Name(), span.SpanContext().TraceID(), span.Parent().SpanID())
		}
		attrs := map[string]string{}
		for _, attr := range span.Attributes() {
			attrs[string(attr.Key)] = attr.Value.Emit()
		}
		for key, want := range map[string]string{
			"sluice.event_id": a.Event.ID.String(), "sluice.endpoint_id": a.Endpoint.ID.String(), "sluice.attempt": "4",
			"sluice.outcome": res.Outcome.String(), "http.response.status_code": map[int]string{200: "200", 404: "404"}[status],
		} {
			if attrs[key] != want {
				t.Errorf("%s = %q, want %q", key, attrs[key], want)
			}
		}
		if failed := span.Status().Code == codes.Error; failed != (status != 200) {
			t.Errorf("status %d: span failed %v", status, failed)
		}
	}
}

func TestAttemptsAreCountedFromZero(t *testing.T) {
	t.Parallel()
	guard, err := dialguard.New(loopback)
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewPedanticRegistry()
	s := New(Defaults(), guard, zap.NewNop(), reg, nil)
	defer s.Close()
	if n, err := testutil.GatherAndCount(reg, "sluice_egress_attempts_total"); err != nil || n != len(Outcomes()) {
		t.Errorf("%d outcomes from the start (%v), want %d", n, err, len(Outcomes()))
	}
	url, _ := startReceiver(t, nil)
	send(t, s, endpointAt(url))
	send(t, s, endpointAt(url))
	send(t, s, endpointAt("nonsense"))
	for outcome, want := range map[Outcome]float64{OutcomeDelivered: 2, OutcomeRefused: 1, OutcomeFailed: 0} {
		if got := testutil.ToFloat64(s.metrics.Attempts.WithLabelValues(outcome.String())); got != want {
			t.Errorf("%s attempts: %v, want %v", outcome, got, want)
		}
	}
	if n, err := testutil.GatherAndCount(reg, "sluice_egress_attempt_seconds"); err != nil || n != 1 {
		t.Errorf("%d histograms, %v", n, err)
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader("# HELP sluice_egress_connects_total Connections to endpoints that were opened.\n# TYPE sluice_egress_connects_total counter\nsluice_egress_connects_total 1\n"), "sluice_egress_connects_total"); err != nil {
		t.Error(err)
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
