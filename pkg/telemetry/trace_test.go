package telemetry

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collector is an OTLP/HTTP collector that counts requests and keeps the last body.
type collector struct {
	*httptest.Server
	status   atomic.Int32
	requests atomic.Int32
	body     atomic.Value
	path     atomic.Value
}

func startCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{}
	c.status.Store(http.StatusOK)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		c.body.Store(string(body))
		c.path.Store(r.URL.Path)
		c.requests.Add(1)
		w.WriteHeader(int(c.status.Load()))
	}))
	t.Cleanup(c.Close)
	return c
}

func withoutCollectorEnv(t *testing.T) {
	t.Helper()
	for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_SDK_DISABLED", "OTEL_TRACES_SAMPLER"} {
		t.Setenv(name, "")
	}
}

func startTracer(t *testing.T, cfg TraceConfig, log *zap.Logger) (trace.Tracer, func(context.Context) error) {
	t.Helper()
	tracer, shutdown, err := NewTracer(t.Context(), cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	return tracer, shutdown
}

func TestOneTraceFromAcceptToAttempt(t *testing.T) {
	withoutCollectorEnv(t)
	c := startCollector(t)
	tracer, shutdown := startTracer(t, TraceConfig{Endpoint: c.URL, Service: "sluice-test", Version: "1.2.3"}, zap.NewNop())

	ctx, accept := tracer.Start(t.Context(), SpanAccept)
	parent, state := Inject(ctx)
	accept.End()
	ctx, attempt := tracer.Start(Extract(t.Context(), parent, state), SpanAttempt)
	attempt.End()
	if got, want := trace.SpanContextFromContext(ctx).TraceID(), accept.SpanContext().TraceID(); got != want {
		t.Errorf("attempt is in trace %s, want %s", got, want)
	}
	if err := shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := c.path.Load(); got != "/v1/traces" {
		t.Errorf("spans went to %v, want /v1/traces", got)
	}
	body, _ := c.body.Load().(string)
	for _, want := range []string{SpanAccept, SpanAttempt, "sluice-test", "1.2.3"} {
		if !strings.Contains(body, want) {
			t.Errorf("collector did not get %q", want)
		}
	}
}

func TestWithoutAnEndpointNothingIsRecordedButAParentPassesThrough(t *testing.T) {
	withoutCollectorEnv(t)
	tracer, shutdown := startTracer(t, TraceConfig{Service: "sluice-test"}, zap.NewNop())
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ctx, span := tracer.Start(Extract(t.Context(), parent, "vendor=1"), SpanAccept)
	defer span.End()
	if span.IsRecording() {
		t.Error("span is recording")
	}
	if gotParent, gotState := Inject(ctx); gotParent != parent || gotState != "vendor=1" {
		t.Errorf("Inject = %q, %q, want %q, %q", gotParent, gotState, parent, "vendor=1")
	}
	if n := testing.AllocsPerRun(100, func() {
		_, span := tracer.Start(t.Context(), SpanAccept)
		Inject(ctx)
		span.End()
	}); n > 8 {
		t.Errorf("%v allocations for a span nobody wants, want few", n)
	}
	if err := shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestTheEnvironmentTurnsTracingOnAndOff(t *testing.T) {
	withoutCollectorEnv(t)
	c := startCollector(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	tracer, shutdown := startTracer(t, TraceConfig{}, zap.NewNop())
	_, span := tracer.Start(t.Context(), SpanAccept)
	if !span.IsRecording() {
		t.Error("with OTEL_EXPORTER_OTLP_ENDPOINT: not recording")
	}
	span.End()
	if err := shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := c.path.Load(); got != "/v1/traces" {
		t.Errorf("spans went to %v, want /v1/traces", got)
	}
	t.Setenv("OTEL_SDK_DISABLED", "true")
	tracer, _ = startTracer(t, TraceConfig{Endpoint: c.URL}, zap.NewNop())
	if _, span := tracer.Start(t.Context(), SpanAccept); span.IsRecording() {
		t.Error("with OTEL_SDK_DISABLED: recording")
	}
}

func TestSampleKeepsAShareOfNewTraces(t *testing.T) {
	withoutCollectorEnv(t)
	c := startCollector(t)
	tracer, shutdown := startTracer(t, TraceConfig{Endpoint: c.URL, Sample: 0.1}, zap.NewNop())
	kept := 0
	for range 2000 {
		_, span := tracer.Start(t.Context(), SpanAccept)
		if span.SpanContext().IsSampled() {
			kept++
		}
	}
	if kept < 100 || kept > 320 { // 200 ± 9 standard deviations
		t.Errorf("kept %d of 2000, want about 200", kept)
	}
	if err := shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestABrokenCollectorIsWarnedAboutOnce(t *testing.T) {
	withoutCollectorEnv(t)
	c := startCollector(t)
	c.status.Store(http.StatusBadRequest) // not retried
	core, logs := observer.New(zap.InfoLevel)
	exporter := newTestExporter(t, c, zap.New(core))
	for range 3 {
		exportOne(t, exporter)
	}
	c.status.Store(http.StatusOK)
	exportOne(t, exporter)
	if got := logs.Len(); got != 2 {
		t.Fatalf("%d lines, want a warning and an all-clear: %v", got, logs.All())
	}
	if got := logs.All()[0].Level; got != zap.WarnLevel {
		t.Errorf("first line is %v, want warn", got)
	}
}

func TestExtractLeavesContextAloneForWhatIsNoTraceparent(t *testing.T) {
	t.Parallel()
	for _, parent := range []string{"", "00", "00-zz-b7ad6b7169203331-01", "00-00000000000000000000000000000000-b7ad6b7169203331-01", strings.Repeat("0", 10_000)} {
		ctx := Extract(t.Context(), parent, "")
		if sc := trace.SpanContextFromContext(ctx); sc.IsValid() {
			t.Errorf("Extract(%.60q) = %v, want none", parent, sc)
		}
	}
}

func TestLongTracestateIsLeftOut(t *testing.T) {
	t.Parallel()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	long := "a=" + strings.Repeat("b", 200) + ",c=" + strings.Repeat("d", 200) + ",e=" + strings.Repeat("f", 200)
	gotParent, gotState := Inject(Extract(t.Context(), parent, long))
	if gotParent != parent || gotState != "" {
		t.Errorf("Inject(Extract) = %q, %q, want %q and no state", gotParent, gotState, parent)
	}
}

func FuzzExtract(f *testing.F) {
	f.Add("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=1")
	f.Add("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-x", "a=b,c=d")
	f.Fuzz(func(t *testing.T, parent, state string) {
		parent, state = Inject(Extract(t.Context(), parent, state))
		again, againState := Inject(Extract(t.Context(), parent, state))
		if again != parent || againState != state {
			t.Fatalf("Inject(Extract(%q, %q)) = %q, %q", parent, state, again, againState)
		}
	})
}

func BenchmarkInjectNothing(b *testing.B) {
	b.ReportAllocs()
	ctx := b.Context()
	for b.Loop() {
		Inject(ctx)
	}
}

func BenchmarkInjectExtract(b *testing.B) {
	b.ReportAllocs()
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	ctx := trace.ContextWithSpanContext(b.Context(), sc)
	for b.Loop() {
		parent, state := Inject(ctx)
		Extract(b.Context(), parent, state)
	}
}

func exportOne(t *testing.T, e *quietExporter) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := e.ExportSpans(ctx, recordedSpan(t)); err != nil {
		t.Fatal(err)
	}
}

func newTestExporter(t *testing.T, c *collector, log *zap.Logger) *quietExporter {
	t.Helper()
	ctx := t.Context()
	inner, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(c.URL))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := inner.Shutdown(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	return &quietExporter{SpanExporter: inner, log: log}
}

func recordedSpan(t *testing.T) []sdktrace.ReadOnlySpan {
	t.Helper()
	t.Helper()
	recorder := tracetest.NewSpanRecorder()
	_, span := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder)).Tracer("test").Start(t.Context(), SpanAttempt)
	span.End()
	return recorder.Ended()
}
