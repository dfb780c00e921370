package ingress

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/ingress/provider"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/pkg/telemetry"
)

// refusal is an answer that is no 2xx.
type refusal struct {
	status     int
	outcome    telemetry.IngressOutcome
	retryAfter int    // seconds; 0: none
	detail     string // for people; nothing that came with the request
	hangUp     bool   // close the connection: what is left of the request is not worth reading
}

// Error returns the detail.
func (r *refusal) Error() string { return r.detail }

// Seconds of Retry-After. Brokers take a while to come back; memory is given back all the time.
const (
	retryBroker = 5
	retryMemory = 1
)

var (
	errNotFound      = &refusal{status: http.StatusNotFound, outcome: telemetry.IngressUnknown, detail: "there is nothing here"}
	errUnknownSource = &refusal{status: http.StatusNotFound, outcome: telemetry.IngressUnknown, detail: "unknown source"}
	errMethod        = &refusal{status: http.StatusMethodNotAllowed, outcome: telemetry.IngressMethod, detail: "method not allowed"}
	errManyHeaders   = &refusal{status: http.StatusRequestHeaderFieldsTooLarge, outcome: telemetry.IngressMalformed, detail: "more than 100 headers", hangUp: true}
	errBodyTooLarge  = &refusal{status: http.StatusRequestEntityTooLarge, outcome: telemetry.IngressTooLarge, detail: "the body is larger than ingress.max_body", hangUp: true}
	errEventTooLarge = &refusal{status: http.StatusRequestEntityTooLarge, outcome: telemetry.IngressTooLarge, detail: "an event is larger than the broker takes"}
	errBodySlow      = &refusal{status: http.StatusRequestTimeout, outcome: telemetry.IngressSlow, detail: "the body came too slowly", hangUp: true}
	errBodyBroken    = &refusal{status: http.StatusBadRequest, outcome: telemetry.IngressMalformed, detail: "the body ended too early, or is wrongly framed", hangUp: true}
	errNoMemory      = &refusal{status: http.StatusServiceUnavailable, outcome: telemetry.IngressBusy, retryAfter: retryMemory, detail: "no memory for the body, try again", hangUp: true}
	errCrowded       = &refusal{status: http.StatusServiceUnavailable, outcome: telemetry.IngressBusy, retryAfter: retryMemory, detail: "too many requests wait for the broker, try again"}
	errNotReady      = &refusal{status: http.StatusServiceUnavailable, outcome: telemetry.IngressMisconfigured, retryAfter: retryBroker, detail: "the configuration is not loaded yet"}
	errMisconfigured = &refusal{status: http.StatusServiceUnavailable, outcome: telemetry.IngressMisconfigured, retryAfter: retryBroker, detail: "the source cannot be verified as it is configured"}
	errUnavailable   = &refusal{status: http.StatusServiceUnavailable, outcome: telemetry.IngressUnavailable, retryAfter: retryBroker, detail: "the event could not be made durable, try again"}
	errAmbiguous     = &refusal{status: http.StatusServiceUnavailable, outcome: telemetry.IngressAmbiguous, retryAfter: retryBroker, detail: "it is not known whether the event is durable, try again"}
	errNoKey         = &refusal{status: http.StatusUnauthorized, outcome: telemetry.IngressInvalid, detail: "want Authorization: Bearer slk_… with a key that is in force"}
	errOtherTenant   = &refusal{status: http.StatusForbidden, outcome: telemetry.IngressInvalid, detail: "the key may not publish for that tenant"}
	errScope         = &refusal{status: http.StatusForbidden, outcome: telemetry.IngressInvalid, detail: "the key may not publish"}
	errFailed        = &refusal{status: http.StatusInternalServerError, outcome: telemetry.IngressFailed, detail: "internal error"}
)

// classify says how an error is answered. Whatever it does not know is a fault of ours: a 5xx, so that the request comes
// again.
func classify(err error) *refusal {
	var known *refusal
	var inv *provider.InvalidError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &inv) && inv.Reason == provider.ReasonMethod:
		return errMethod
	case errors.As(err, &inv):
		return &refusal{status: http.StatusUnauthorized, outcome: telemetry.IngressInvalid, detail: inv.Detail}
	case errors.Is(err, event.ErrMediaType):
		return &refusal{status: http.StatusUnsupportedMediaType, outcome: telemetry.IngressMalformed, detail: err.Error()}
	case errors.Is(err, broker.ErrTooLarge): // whatever happened to its companions: repeating cannot succeed
		return errEventTooLarge
	case errors.Is(err, broker.ErrAmbiguous), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errAmbiguous
	default: // unavailable, unauthorised, unknown topic, closed, and what no adapter should return
		return errUnavailable
	}
}

// refuse answers a provider. The body is empty: some providers require that, none reads it.
func (c *call) refuse(err error) {
	r := classify(err)
	c.settle(r.status, r.outcome)
	c.fill(r)
	c.w.WriteHeader(r.status)
	c.linger(r)
}

// problem answers a publisher with application/problem+json (RFC 9457).
func (c *call) problem(err error) {
	r := classify(err)
	c.settle(r.status, r.outcome)
	c.fill(r)
	if r.status == http.StatusUnauthorized {
		c.w.Header().Set("WWW-Authenticate", "Bearer")
	}
	text, err := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(r.status), r.status, r.detail})
	if err != nil {
		panic(err) // strings and a number
	}
	c.w.Header().Set("Content-Type", "application/problem+json")
	c.w.WriteHeader(r.status)
	c.w.Write(text) //nolint:errcheck // the client is gone, and nothing depends on it
	c.linger(r)
}

// linger reads on for a moment when a body was refused for its size: a client that is still sending when the connection
// is closed gets a reset, which may destroy the answer before it is read.
func (c *call) linger(r *refusal) {
	if r != errBodyTooLarge {
		return
	}
	control := http.NewResponseController(c.w)
	if control.Flush() != nil || control.SetReadDeadline(time.Now().Add(lingerTime)) != nil {
		return
	}
	io.CopyN(io.Discard, c.r.Body, lingerBytes) //nolint:errcheck // whatever ends it, the connection is closed next
}

func (c *call) fill(r *refusal) {
	if r.retryAfter > 0 {
		c.w.Header().Set("Retry-After", strconv.Itoa(r.retryAfter))
	}
	if r.hangUp {
		c.w.Header().Set("Connection", "close")
	}
	if r == errMethod {
		c.w.Header().Set("Allow", strings.Join(c.allow, ", "))
	}
}
