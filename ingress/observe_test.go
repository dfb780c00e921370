package ingress

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/zap/zapcore"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/ingress/provider"
	"github.com/sluicehq/sluice/store"
)

func wantCount(t *testing.T, h *house, preset, outcome string, want float64) {
	t.Helper()
	if got := countOf(h, preset, outcome); got != want {
		t.Errorf("sluice_ingress_requests_total{%s,%s} = %v, want %v", preset, outcome, got, want)
	}
}

func TestMetrics(t *testing.T) {
	h := newHouse(t, nil)
	if n, err := testutil.GatherAndCount(h.registry, "sluice_ingress_requests_total"); err != nil || n != (len(provider.Names())+2)*13 {
		t.Errorf("%d series at the start, %v", n, err)
	}
	h.do(signed(t, "github", "/in/github", []byte("12345")))
	h.do(signed(t, "github", "/in/nobody", nil))
	if got := testutil.ToFloat64(h.metrics.BodyBytes); got != 5 {
		t.Errorf("%v bytes, want 5", got)
	}
	wantCount(t, h, "github", "accepted", 1)
	wantCount(t, h, "none", "unknown", 1)
	for _, name := range []string{"sluice_ingress_request_seconds", "sluice_ingress_publish_seconds"} {
		if n, err := testutil.GatherAndCount(h.registry, name); err != nil || n != 1 {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	if problems, err := testutil.GatherAndLint(h.registry); err != nil || len(problems) > 0 {
		t.Errorf("metrics: %v, %v", problems, err)
	}
}

func TestASourceThatRefusesEverythingIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, nil)
		const warning, over = "source refuses all requests; compare its secret with the provider's", "source accepts requests again"
		said := func(text string, want int) {
			t.Helper()
			if got := h.logs.FilterMessage(text).Len(); got != want {
				t.Errorf("%q was said %d times, want %d", text, got, want)
			}
		}
		bad := func(n int) {
			for range n {
				h.do(httptest.NewRequest("POST", "/in/github", strings.NewReader("{}")))
			}
		}
		good := func() { h.do(signed(t, "github", "/in/github", nil)) }

		bad(1)
		said(warning, 1) // nothing was ever accepted: somebody is setting it up
		bad(50)
		time.Sleep(2 * rejectQuiet)
		bad(50)
		said(warning, 1)
		good()
		said(over, 1)
		time.Sleep(rejectQuiet)
		bad(rejectRun - 1)
		said(warning, 1) // passers-by
		good()
		bad(rejectRun)
		said(warning, 2)

		// A change of the configuration is no reason to say it again.
		fresh := *h.snapshot.sources["default/github"]
		h.snapshot.sources["default/github"] = &fresh
		bad(10)
		said(warning, 2)

		// However often it goes to and fro, not more than one warning a minute.
		for range 100 {
			good()
			bad(rejectRun)
			time.Sleep(time.Second)
		}
		if got := h.logs.FilterMessage(warning).Len(); got > 4 {
			t.Errorf("%d warnings in two minutes", got)
		}
	})
}

func TestSourcesThatCannotWorkAreSaidOnce(t *testing.T) {
	h := newHouse(t, nil)
	h.snapshot.add(&store.Source{Name: "lost", Provider: "of-the-future"})
	h.snapshot.add(&store.Source{Name: "bare", Provider: "standard-webhooks", Secrets: []store.Secret{"whsec_not base64"}})
	for range 5 {
		for _, name := range []string{"lost", "bare"} {
			h.wantAnswer(t, h.do(signed(t, "github", "/in/"+name, nil)), http.StatusServiceUnavailable, "")
		}
	}
	if n := h.logs.FilterLevelExact(zapcore.WarnLevel).Len(); n != 2 {
		t.Errorf("%d warnings, want 2: %v", n, h.logs.All())
	}
	wantCount(t, h, "none", "misconfigured", 5)
	wantCount(t, h, "standard-webhooks", "misconfigured", 5)
}

func TestSourcesAreCompiledOnceForEachVersion(t *testing.T) {
	h := newHouse(t, nil)
	src := h.snapshot.sources["default/github"]
	first := h.sources.compiled(src)
	if h.sources.compiled(src) != first {
		t.Error("compiled twice")
	}
	fresh := *src
	fresh.Secrets = []store.Secret{"another secret, for the new version"}
	h.snapshot.sources["default/github"] = &fresh
	h.wantAnswer(t, h.do(signed(t, "github", "/in/github", nil)), http.StatusUnauthorized, "")
	if len(h.sources.byID) != 1 {
		t.Errorf("%d are kept, want 1", len(h.sources.byID))
	}
}

func TestNothingSecretIsLogged(t *testing.T) {
	h := newPublisherHouse(t, nil)
	const body, query = `{"type":"t","card":"4242424242424242"}`, "token=query-canary"
	for _, name := range provider.Names() {
		h.do(signed(t, name, "/in/"+name+"?"+query, []byte(body)))
		bad := signed(t, name, "/in/"+name+"?"+query, []byte(body))
		for header := range bad.Header {
			bad.Header.Set(header, bad.Header.Get(header)+"x")
		}
		h.do(bad)
		h.do(httptest.NewRequest("POST", "/in/"+name+"?"+query, strings.NewReader(body)))
	}
	h.do(post(publishKey, `{"type":"t","data":`+body+`}`))
	h.do(post(publishKey+"x", `{"type":"t","data":`+body+`}`))
	h.broker.fail = func(context.Context, []*broker.Message) error { return broker.ErrUnavailable }
	h.do(signed(t, "github", "/in/github?"+query, []byte(body)))

	encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "msg"})
	for _, entry := range h.logs.All() {
		line, err := encoder.EncodeEntry(entry.Entry, entry.Context)
		if err != nil {
			t.Fatal(err)
		}
		for _, canary := range []string{"4242", "query-canary", testSecret, "MfKQ9r8G", publishKey, "sha256="} {
			if strings.Contains(line.String(), canary) {
				t.Errorf("%q is logged: %s", canary, line)
			}
		}
	}
	if h.logs.Len() < 20 {
		t.Errorf("only %d lines were logged", h.logs.Len())
	}
}

func TestTheSpanIsWithinTheSendersTraceAndTheEventWithinTheSpan(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	tracer := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test")
	h := newPublisherHouse(t, func(_ *Config, d *Deps) { d.Tracer = tracer })
	r := signed(t, "github", "/in/github?q=secret", nil)
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	h.do(r)
	h.do(post(publishKey, `{"type":"t","data":1}`))
	h.do(httptest.NewRequest("POST", "/in/github", nil))
	spans := recorder.Ended()
	if len(spans) != 3 {
		t.Fatalf("%d spans, want 3", len(spans))
	}
	events := h.wantPublished(t, 2)
	for i, e := range events {
		sc := spans[i].SpanContext()
		if want := fmt.Sprintf("00-%s-%s-01", sc.TraceID(), sc.SpanID()); e.TraceParent != want {
			t.Errorf("event %d: traceparent %q, want the span's, %q", i, e.TraceParent, want)
		}
	}
	if got := spans[0].SpanContext().TraceID().String(); got != "0af7651916cd43dd8448eb211c80319c" || spans[0].Parent().SpanID().String() != "b7ad6b7169203331" {
		t.Errorf("the span is in trace %s", got)
	}
	if text := fmt.Sprint(spans[0].Attributes()); strings.Contains(text, "secret") || !strings.Contains(text, events[0].ID.String()) {
		t.Errorf("attributes %s", text)
	}
}

func countOf(h *house, preset, outcome string) float64 {
	return testutil.ToFloat64(h.metrics.Requests.WithLabelValues(preset, outcome))
}
