package ingress

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/ingress/provider"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/pkg/telemetry"
)

// receive takes a provider's request.
func (c *call) receive() {
	snap := c.deps.Snapshot()
	if snap == nil {
		c.refuse(errNotReady)
		return
	}
	found, suffix, err := route(snap, c.r.URL.EscapedPath())
	if err != nil {
		c.refuse(errUnknownSource)
		return
	}
	src := c.sources.compiled(found)
	c.counters = &src.counters
	if src.scheme == nil {
		c.refuse(errMisconfigured)
		return
	}
	if c.allow = src.methods; !slices.Contains(c.allow, c.r.Method) {
		c.refuse(errMethod)
		return
	}
	ctx := c.trace()
	if err := c.accept(ctx, src, suffix); err != nil {
		c.refuse(err)
	}
}

// accept reads, verifies and publishes the request, and answers it if that went well.
func (c *call) accept(ctx context.Context, src *source, suffix string) error {
	body, err := readBody(ctx, c.w, c.r, c.cfg.MaxBody, c.began, c.holdMemory())
	if err != nil {
		return err
	}
	c.metrics.BodyBytes.Add(float64(len(body)))
	now := time.Now()
	req := &provider.Request{Method: c.r.Method, URL: c.publicURL(src), Query: c.r.URL.RawQuery, Header: c.r.Header, Body: body}
	reply, err := src.scheme.Receive(req, now)
	if err != nil {
		return c.invalid(src, now, err)
	}
	src.rejecting.valid(c.log, src)
	if reply != nil {
		c.answer(reply, telemetry.IngressChallenge)
		return nil
	}
	e := c.event(src, req, now, suffix)
	e.TraceParent, e.TraceState = telemetry.Inject(ctx)
	if err := e.Validate(); err != nil {
		return &refusal{status: http.StatusBadRequest, outcome: telemetry.IngressMalformed, detail: err.Error()}
	}
	c.describeSpan(e)
	if err := c.publish(ctx, src.scheme.Deadline(), c.message(e)); err != nil {
		return err
	}
	if entry := c.log.Check(zap.DebugLevel, "event accepted"); entry != nil {
		entry.Write(telemetry.EventID(e.ID), telemetry.Tenant(e.Tenant), telemetry.Source(e.Source), zap.String("type", e.Type), telemetry.TraceID(ctx))
	}
	ok := src.scheme.OK()
	c.answer(&ok, telemetry.IngressAccepted)
	return nil
}

func (c *call) holdMemory() *held {
	c.memory.budget = c.deps.Bodies
	return &c.memory
}

// publicURL is what the provider called, if it signs that.
func (c *call) publicURL(src *source) string {
	if !src.scheme.SignsURL() {
		return ""
	}
	url := c.cfg.PublicURL + c.r.URL.EscapedPath()
	if c.r.URL.RawQuery != "" || c.r.URL.ForceQuery {
		url += "?" + c.r.URL.RawQuery
	}
	return url
}

// invalid notes a request that was refused, and says how that is answered.
func (c *call) invalid(src *source, now time.Time, err error) error {
	var inv *provider.InvalidError
	if !errors.As(err, &inv) {
		c.log.Debug("request cannot be verified", telemetry.Tenant(src.Tenant), telemetry.Source(src.Name), telemetry.Error(err))
		return err
	}
	if inv.Reason == provider.ReasonMethod {
		return err
	}
	src.rejecting.invalid(now, c.log, src, err)
	c.log.Debug("request refused", telemetry.Tenant(src.Tenant), telemetry.Source(src.Name), zap.String("reason", string(inv.Reason)), telemetry.Error(err))
	return &refusal{status: src.scheme.InvalidStatus(), outcome: telemetry.IngressInvalid, detail: inv.Detail}
}

// event makes the event of a verified request.
func (c *call) event(src *source, req *provider.Request, now time.Time, suffix string) *event.Event {
	at := now.UTC().Truncate(time.Millisecond)
	about := src.scheme.Describe(req)
	return &event.Event{
		ID:          event.NewID(at),
		Tenant:      src.Tenant,
		Source:      src.Name,
		Type:        about.Type,
		GivenID:     about.GivenID,
		Time:        at,
		Method:      c.r.Method,
		Path:        suffix,
		Query:       strings.ToValidUTF8(c.r.URL.RawQuery, "\uFFFD"),
		ContentType: plain(c.r.Header.Get("Content-Type")),
		Headers:     about.Headers,
		Body:        req.Body,
	}
}

// plain returns text if it can be an attribute of an event; a content type that cannot says nothing.
func plain(text string) string {
	if len(text) > event.MaxAttribute || strings.IndexByte(text, '\t') >= 0 || !utf8.ValidString(text) {
		return ""
	}
	return text
}

// answer sends what the provider wants to see.
func (c *call) answer(reply *provider.Reply, outcome telemetry.IngressOutcome) {
	c.settle(reply.Status, outcome)
	if reply.Body == "" {
		c.w.WriteHeader(reply.Status)
		return
	}
	if reply.ContentType != "" {
		c.w.Header().Set("Content-Type", reply.ContentType)
	}
	c.w.Header().Set("X-Content-Type-Options", "nosniff") // it may hold what somebody sent
	c.w.WriteHeader(reply.Status)
	c.w.Write([]byte(reply.Body)) //nolint:errcheck // the provider is gone, and nothing depends on it
}
