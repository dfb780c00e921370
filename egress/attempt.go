package egress

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// Sender makes attempts. It is safe for concurrent use.
type Sender interface {
	// Send makes one attempt and returns what came of it, within the endpoint's timeout. It never panics and never
	// follows a redirect. When ctx ends first the outcome is OutcomeAborted.
	Send(ctx context.Context, a *Attempt) Result
}

// Attempt is one try to hand an event to an endpoint.
type Attempt struct {
	Event    *event.Event
	Endpoint *store.Endpoint
	Number   int // from 1; told to the receiver
}

// Outcome classes what came of an attempt: what happens to the delivery, to the endpoint's health and to its pace.
type Outcome uint8

// The outcomes. Only OutcomeDelivered and OutcomeRefused finish a delivery by themselves.
const (
	OutcomeDelivered Outcome = iota // 2xx: finished; success
	OutcomeRejected                 // 3xx, most 4xx: retry; success for the endpoint's health, it is alive
	OutcomeGone                     // 410: as rejected; for two events a minute apart it disables the endpoint
	OutcomeThrottled                // 408, 425, 429, 503 with Retry-After: retry, does not count; slow down, health neutral
	OutcomeFailed                   // other 5xx, timeout, refused, reset, TLS, DNS, bad response: retry; failure
	OutcomeRefused                  // our policy forbids the request: dead at once; health neutral
	OutcomeAborted                  // our own doing: ctx ended, out of file descriptors, no route: not an attempt; health neutral
)

var outcomeNames = [...]string{"delivered", "rejected", "gone", "throttled", "failed", "refused", "aborted"}

// String returns the outcome's name, as logs and metrics have it.
func (o Outcome) String() string { return outcomeNames[o] }

// Outcomes returns all outcomes, for metrics that start at zero.
func Outcomes() []Outcome {
	return []Outcome{OutcomeDelivered, OutcomeRejected, OutcomeGone, OutcomeThrottled, OutcomeFailed, OutcomeRefused, OutcomeAborted}
}

// Result is what came of an attempt.
type Result struct {
	Outcome    Outcome
	Status     int           // HTTP status; 0: no answer came
	RetryAfter time.Duration // what the endpoint asked for, 1 s to 1 h; 0: nothing
	Error      string        // why it was not delivered: ≤ 512 bytes of printable UTF-8 without URL or secrets; empty when delivered
	Excerpt    []byte        // of the response body unless delivered, ≤ 16 KiB
	Started    time.Time
	Duration   time.Duration
	Connected  bool // a connection existed: what failed is the endpoint, not the way to it
}
