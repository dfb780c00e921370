package egress

import (
	"errors"

	"github.com/sluicehq/sluice/pkg/dialguard"
)

// ErrAborted is wrapped by the errors of attempts that we ended ourselves: the context was done first.
var ErrAborted = errors.New("given up by us")

// Classify returns the outcome of an attempt: the only place that decides it. status is that of the final answer, 0 if
// none came; retryAfter says that the answer had a Retry-After that could be read; err is why the attempt got no whole
// answer, nil if it got one. An answer counts only once it is whole: a receiver that breaks off behind its status line
// has as likely failed in its work (a handler that panics after writing 200).
func Classify(status int, retryAfter bool, err error) Outcome {
	switch {
	case err == nil:
		return classifyStatus(status, retryAfter)
	case errors.Is(err, ErrAborted), errors.Is(err, dialguard.ErrUnavailable):
		return OutcomeAborted
	case errors.Is(err, dialguard.ErrDenied), errors.Is(err, errUnsendable):
		return OutcomeRefused
	}
	return OutcomeFailed // DNS, connection, TLS, timeout, a broken answer: the endpoint's, whatever it was
}

func classifyStatus(status int, retryAfter bool) Outcome {
	if status == 503 && retryAfter {
		return OutcomeThrottled // it says when to come back; without, 503 is an outage like any 5xx
	}
	if status >= 0 && status < len(statusOutcomes) {
		return statusOutcomes[status]
	}
	return OutcomeFailed
}

// statusOutcomes has the outcome of every status code; what is in no class (below 200, 600 and above) is a failure.
//
//   - 3xx is never followed: the receiver lives, but is not where its owner says it is.
//   - 4xx is retried too. Receivers answer 401 while their secret is being rotated and 404 in the middle of a deploy;
//     giving up would drop the event.
//   - 408, 425 and 429 ask for patience and say nothing about the event or the receiver's health.
var statusOutcomes = func() (table [600]Outcome) {
	for status := range table {
		switch {
		case status < 200:
			table[status] = OutcomeFailed // 1xx cannot be final; 101 switches to a protocol nobody asked for
		case status < 300:
			table[status] = OutcomeDelivered
		case status < 500:
			table[status] = OutcomeRejected
		default:
			table[status] = OutcomeFailed
		}
	}
	table[408] = OutcomeThrottled
	table[425] = OutcomeThrottled
	table[429] = OutcomeThrottled
	table[410] = OutcomeGone
	return table
}()
