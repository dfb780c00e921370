package telemetry

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
)

// Names of spans.
const (
	SpanAccept  = "ingress.accept" // from the first byte of the request until the broker has the event
	SpanAttempt = "egress.attempt" // one request to an endpoint
)

// Attributes of spans.
const (
	AttrEvent    = attribute.Key("sluice.event_id")
	AttrEndpoint = attribute.Key("sluice.endpoint_id")
	AttrSource   = attribute.Key("sluice.source")
	AttrTenant   = attribute.Key("sluice.tenant")
	AttrAttempt  = attribute.Key("sluice.attempt")
	AttrOutcome  = attribute.Key("sluice.outcome")
	AttrStatus   = attribute.Key("http.response.status_code")
)

// tracerName is the instrumentation scope of all spans.
const tracerName = "github.com/sluicehq/sluice"

// TraceConfig says where spans go. What is unset comes from the OTEL_… variables that the OpenTelemetry SDK knows.
type TraceConfig struct {
	Endpoint string  // base URL of an OTLP/HTTP collector, such as http://localhost:4318; empty: OTEL_EXPORTER_OTLP_ENDPOINT
	Sample   float64 // share of new traces to keep, above 0 and up to 1; a parent's decision is followed. 0: OTEL_TRACES_SAMPLER, else all
	Service  string  // service.name unless OTEL_SERVICE_NAME says otherwise, such as "sluice-ingress"
	Version  string  // service.version
}

// NewTracer returns a tracer that sends spans by OTLP over HTTP in the background. Without an endpoint, in cfg or in
// the environment, it returns one that does nothing but pass a parent's context on. Shutdown flushes until its context
// ends and stops what runs in the background; call it once, after the last span has ended.
func NewTracer(ctx context.Context, cfg TraceConfig, log *zap.Logger) (tracer trace.Tracer, shutdown func(context.Context) error, err error) {
	if !tracingWanted(cfg) {
		return noop.NewTracerProvider().Tracer(tracerName), func(context.Context) error { return nil }, nil
	}
	var where []otlptracehttp.Option
	if cfg.Endpoint != "" {
		traces, err := url.JoinPath(cfg.Endpoint, "v1", "traces") // as the SDK does with the variable, and not with the option
		if err != nil {
			return nil, nil, errors.New("trace collector: not a URL") // it may carry credentials
		}
		where = append(where, otlptracehttp.WithEndpointURL(traces))
	}
	exporter, err := otlptracehttp.New(ctx, where...)
	if err != nil {
		return nil, nil, fmt.Errorf("open trace exporter: %w", err)
	}
	about, err := describe(ctx, cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("describe this process for traces (see OTEL_RESOURCE_ATTRIBUTES): %w", err)
	}
	opts := []sdktrace.TracerProviderOption{
		sdktrace.WithResource(about),
		sdktrace.WithBatcher(&quietExporter{SpanExporter: exporter, log: log}),
	}
	if cfg.Sample > 0 {
		opts = append(opts, sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(cfg.Sample))))
	}
	provider := sdktrace.NewTracerProvider(opts...)
	return provider.Tracer(tracerName, trace.WithInstrumentationVersion(cfg.Version)), provider.Shutdown, nil
}

func tracingWanted(cfg TraceConfig) bool {
	if disabled, err := strconv.ParseBool(os.Getenv("OTEL_SDK_DISABLED")); err == nil && disabled {
		return false
	}
	return cfg.Endpoint != "" || os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != ""
}

func describe(ctx context.Context, cfg TraceConfig) (*resource.Resource, error) {
	return resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", cfg.Service), attribute.String("service.version", cfg.Version)),
		resource.WithTelemetrySDK(),
		resource.WithHost(),
		resource.WithFromEnv(), // last: what the operator says wins
	)
}

// quietExporter keeps failures of the collector from the SDK's global error handler, which prints past our logger:
// the first of a row is logged, and the next success.
type quietExporter struct {
	sdktrace.SpanExporter
	log     *zap.Logger
	failing atomic.Bool
}

// ExportSpans sends spans on; it never returns an error.
func (e *quietExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	err := e.SpanExporter.ExportSpans(ctx, spans)
	switch was := e.failing.Swap(err != nil); {
	case err != nil && !was:
		e.log.Warn("trace collector does not take spans; they are dropped until it does", Error(err))
	case err == nil && was:
		e.log.Info("trace collector takes spans again")
	}
	return nil
}

// maxTraceState bounds a tracestate from outside in bytes: what is longer is left out, as W3C Trace Context §3.3.1.5
// allows.
const maxTraceState = 512

// Inject returns the span context of ctx as W3C traceparent and tracestate; both empty if there is none.
func Inject(ctx context.Context) (traceparent, tracestate string) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return "", ""
	}
	var c carrier
	propagation.TraceContext{}.Inject(ctx, &c)
	return c.parent, c.state
}

// Extract returns ctx with the remote span context that Inject wrote. Text that is not one leaves ctx as it is.
func Extract(ctx context.Context, traceparent, tracestate string) context.Context {
	if traceparent == "" {
		return ctx
	}
	if len(tracestate) > maxTraceState {
		tracestate = ""
	}
	return propagation.TraceContext{}.Extract(ctx, &carrier{parent: traceparent, state: tracestate})
}

type carrier struct{ parent, state string }

func (c *carrier) Get(key string) string {
	switch key {
	case "traceparent":
		return c.parent
	case "tracestate":
		return c.state
	}
	return ""
}

func (c *carrier) Set(key, value string) {
	switch key {
	case "traceparent":
		c.parent = value
	case "tracestate":
		c.state = value
	}
}

func (c *carrier) Keys() []string { return []string{"traceparent", "tracestate"} }
