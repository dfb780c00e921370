package egress

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

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
			text += a.Value.String()
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
			attrs[string(attr.Key)] = attr.Value.String()
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
