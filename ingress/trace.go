package ingress

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/pkg/telemetry"
)

// trace returns the context of the request, within the sender's trace if it has one, and starts the span if spans are
// recorded. The context does not end with the client: an event on its way to the broker is not called back.
func (c *call) trace() context.Context {
	ctx := context.WithoutCancel(c.r.Context())
	if parent := c.r.Header.Get("Traceparent"); parent != "" {
		ctx = telemetry.Extract(ctx, parent, c.r.Header.Get("Tracestate"))
	}
	if c.tracing {
		ctx, c.span = c.deps.Tracer.Start(ctx, telemetry.SpanAccept, trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(c.began))
	}
	return ctx
}

// describeSpan says what the span is about.
func (c *call) describeSpan(e *event.Event) {
	if c.span != nil {
		c.span.SetAttributes(telemetry.AttrEvent.String(e.ID.String()), telemetry.AttrSource.String(e.Source), telemetry.AttrTenant.String(e.Tenant))
	}
}

func (c *call) endSpan() {
	if c.span == nil {
		return
	}
	c.span.SetAttributes(telemetry.AttrStatus.Int(c.status), telemetry.AttrOutcome.String(c.outcome.String()))
	if c.status >= 500 {
		c.span.SetStatus(codes.Error, c.outcome.String())
	}
	c.span.End()
}
