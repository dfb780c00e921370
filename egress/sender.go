package egress

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/dialguard"
	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/store"
)

// transport sends one request: client, and net/http in tests, as a second opinion.
type transport interface {
	roundTrip(ctx context.Context, deadline time.Time, t *target, req *request, ans *answer) error
	close()
}

// HTTPSender is the Sender that makes HTTP requests.
type HTTPSender struct {
	log       *zap.Logger
	tracer    trace.Tracer // nil: no traces
	metrics   *telemetry.Egress
	outcomes  []prometheus.Counter // by Outcome
	targets   *targets
	transport transport
	scratch   sync.Pool // *scratch
}

// scratch is the memory of one attempt.
type scratch struct {
	req request
	ans answer
}

var _ Sender = (*HTTPSender)(nil)

// New returns a sender that connects through guard. cfg must be valid. Close it after the last attempt has returned.
func New(cfg Config, guard *dialguard.Guard, log *zap.Logger, reg prometheus.Registerer, tracer trace.Tracer) *HTTPSender {
	var names []string
	for _, o := range Outcomes() {
		names = append(names, o.String())
	}
	s := &HTTPSender{
		log:     log.With(telemetry.Component("egress")),
		tracer:  tracer,
		metrics: telemetry.NewEgress(reg, names),
		targets: &targets{
			guard:     guard,
			userAgent: "Sluice/" + cmp.Or(cfg.Version, "dev"),
			byID:      make(map[store.EndpointID]*target),
		},
	}
	if _, nothing := tracer.(noop.Tracer); nothing {
		s.tracer = nil
	}
	for _, name := range names {
		s.outcomes = append(s.outcomes, s.metrics.Attempts.WithLabelValues(name))
	}
	s.transport = &client{
		dial:      guard.DialContext,
		tls:       newTLSConfig(cfg.RootCAs),
		handshake: handshakeTimeout,
		pool:      newPool(cfg.IdleConnections),
		opened:    s.metrics.Connects,
		open:      s.metrics.OpenConnections,
	}
	s.scratch.New = func() any { return new(scratch) }
	return s
}

// Close closes the idle connections. Attempts that still run close theirs when they end.
func (s *HTTPSender) Close() { s.transport.close() }

// Send makes one attempt; see Sender.
func (s *HTTPSender) Send(ctx context.Context, a *Attempt) (res Result) {
	started := time.Now()
	ctx, span := s.startSpan(ctx, a)
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("attempt panicked", telemetry.EventID(a.Event.ID), telemetry.EndpointID(a.Endpoint.ID), zap.Any("panic", p), zap.StackSkip("stack", 1))
			res = Result{Outcome: OutcomeFailed, Error: "internal error"}
		}
		res.Started, res.Duration = started, time.Since(started)
		s.report(a, &res, span)
	}()
	return s.attempt(ctx, a, started)
}

func (s *HTTPSender) attempt(ctx context.Context, a *Attempt, now time.Time) Result {
	sc := s.scratch.Get().(*scratch)
	t := s.targets.get(a.Endpoint, now)
	err := t.err
	if err == nil {
		sc.req.head, err = t.appendRequest(sc.req.head[:0], a, now)
	}
	if err == nil {
		sc.req.body = a.Event.Body
		err = s.transport.roundTrip(ctx, now.Add(timeoutOf(a.Endpoint)), t, &sc.req, &sc.ans)
	}
	if err != nil && ctx.Err() != nil {
		err = &failure{stageOf(err), fmt.Errorf("%w: %w", ErrAborted, ctx.Err())}
	}
	res := newResult(t, &sc.ans, err)
	s.release(sc) // not after a panic: a large body may still be on its way out of it
	return res
}

// maxKept is how large a request's buffer may be to be kept for the next, in bytes.
const maxKept = 64 << 10

func (s *HTTPSender) release(sc *scratch) {
	if cap(sc.req.head) > maxKept {
		return
	}
	sc.req.body, sc.req.lines.src = nil, nil
	sc.ans.reset()
	s.scratch.Put(sc)
}

func timeoutOf(e *store.Endpoint) time.Duration { return cmp.Or(e.Timeout, store.DefaultTimeout) }

func newResult(t *target, ans *answer, err error) Result {
	res := Result{
		Outcome:   Classify(ans.status, ans.hasRetry, err),
		Status:    ans.status,
		Connected: err == nil || stageOf(err) > stageConnect,
	}
	if res.Outcome == OutcomeDelivered {
		return res
	}
	res.RetryAfter = ans.retryAfter
	res.Error = reason(ans.status, err, timeoutOf(t.endpoint))
	res.Excerpt = hide(bytes.Clone(ans.excerpt), t.hidden)
	return res
}

func stageOf(err error) stage {
	if failed, ok := errors.AsType[*failure](err); ok {
		return failed.stage
	}
	return stageConnect // nothing was tried
}

// hide blanks the endpoint's credentials in its own words: some echo a request they do not like, and excerpts are shown.
func hide(excerpt []byte, secrets []string) []byte {
	cut := len(excerpt) == maxExcerpt
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		excerpt = bytes.ReplaceAll(excerpt, []byte(secret), []byte("[redacted]"))
		for n := len(secret) - 1; cut && n > 3; n-- { // one that was cut off in its middle
			excerpt = bytes.TrimSuffix(excerpt, []byte(secret[:n]))
		}
	}
	return excerpt[:min(len(excerpt), maxExcerpt)]
}

func (s *HTTPSender) startSpan(ctx context.Context, a *Attempt) (context.Context, trace.Span) {
	if s.tracer == nil {
		return ctx, nil
	}
	return s.tracer.Start(telemetry.Extract(ctx, a.Event.TraceParent, a.Event.TraceState), telemetry.SpanAttempt,
		trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(
			telemetry.AttrEvent.String(a.Event.ID.String()),
			telemetry.AttrEndpoint.String(a.Endpoint.ID.String()),
			telemetry.AttrAttempt.Int(a.Number),
		))
}

// report tells metrics, log and trace what came of the attempt.
func (s *HTTPSender) report(a *Attempt, res *Result, span trace.Span) {
	s.outcomes[res.Outcome].Inc()
	s.metrics.AttemptSeconds.Observe(res.Duration.Seconds())
	if entry := s.log.Check(zap.DebugLevel, "attempt made"); entry != nil {
		entry.Write(telemetry.EventID(a.Event.ID), telemetry.EndpointID(a.Endpoint.ID), telemetry.Attempt(a.Number),
			telemetry.Outcome(res.Outcome), telemetry.Status(res.Status), telemetry.Duration(res.Duration), zap.String(telemetry.KeyError, res.Error))
	}
	if span == nil {
		return
	}
	span.SetAttributes(telemetry.AttrOutcome.String(res.Outcome.String()))
	if res.Status != 0 {
		span.SetAttributes(telemetry.AttrStatus.Int(res.Status))
	}
	if res.Outcome != OutcomeDelivered {
		span.SetStatus(codes.Error, res.Error)
	}
	span.End()
}
