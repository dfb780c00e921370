package egress

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/sluicehq/sluice/pkg/dialguard"
)

// TestEveryStatusCode names each code that HTTP has, so that none changes its outcome unseen.
func TestEveryStatusCode(t *testing.T) {
	t.Parallel()
	want := map[int]Outcome{
		100: OutcomeFailed, 101: OutcomeFailed, 102: OutcomeFailed, 103: OutcomeFailed,
		200: OutcomeDelivered, 201: OutcomeDelivered, 202: OutcomeDelivered, 203: OutcomeDelivered, 204: OutcomeDelivered,
		205: OutcomeDelivered, 206: OutcomeDelivered, 207: OutcomeDelivered, 208: OutcomeDelivered, 226: OutcomeDelivered,
		300: OutcomeRejected, 301: OutcomeRejected, 302: OutcomeRejected, 303: OutcomeRejected, 304: OutcomeRejected,
		305: OutcomeRejected, 307: OutcomeRejected, 308: OutcomeRejected,
		400: OutcomeRejected, 401: OutcomeRejected, 402: OutcomeRejected, 403: OutcomeRejected, 404: OutcomeRejected,
		405: OutcomeRejected, 406: OutcomeRejected, 407: OutcomeRejected, 408: OutcomeThrottled, 409: OutcomeRejected,
		410: OutcomeGone, 411: OutcomeRejected, 412: OutcomeRejected, 413: OutcomeRejected, 414: OutcomeRejected,
		415: OutcomeRejected, 416: OutcomeRejected, 417: OutcomeRejected, 418: OutcomeRejected, 421: OutcomeRejected,
		422: OutcomeRejected, 423: OutcomeRejected, 424: OutcomeRejected, 425: OutcomeThrottled, 426: OutcomeRejected,
		428: OutcomeRejected, 429: OutcomeThrottled, 431: OutcomeRejected, 451: OutcomeRejected,
		500: OutcomeFailed, 501: OutcomeFailed, 502: OutcomeFailed, 503: OutcomeFailed, 504: OutcomeFailed, 505: OutcomeFailed,
		506: OutcomeFailed, 507: OutcomeFailed, 508: OutcomeFailed, 510: OutcomeFailed, 511: OutcomeFailed,
	}
	for status := -1; status <= 1000; status++ {
		outcome, known := want[status]
		switch {
		case known:
		case http.StatusText(status) != "" && status != 306:
			t.Errorf("status %d %s is missing in this table", status, http.StatusText(status))
			continue
		case status >= 200 && status < 300:
			outcome = OutcomeDelivered
		case status >= 300 && status < 500:
			outcome = OutcomeRejected
		default:
			outcome = OutcomeFailed
		}
		if got := Classify(status, false, nil); got != outcome {
			t.Errorf("Classify(%d, false, nil) = %v, want %v", status, got, outcome)
		}
		if status == 503 {
			outcome = OutcomeThrottled
		}
		if got := Classify(status, true, nil); got != outcome {
			t.Errorf("Classify(%d, true, nil) = %v, want %v", status, got, outcome)
		}
	}
}

func TestErrorsAreClassed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		want Outcome
	}{
		"our context ended":                      {fmt.Errorf("%w: %w", ErrAborted, context.Canceled), OutcomeAborted},
		"our side has no way out":                {&failure{stageConnect, fmt.Errorf("%w: x", dialguard.ErrUnavailable)}, OutcomeAborted},
		"the guard refuses the address":          {&failure{stageConnect, fmt.Errorf("%w: x", dialguard.ErrDenied)}, OutcomeRefused},
		"the endpoint has nothing to be sent":    {fmt.Errorf("%w: x", errUnsendable), OutcomeRefused},
		"a refused connection":                   {&failure{stageConnect, errors.New("refused")}, OutcomeFailed},
		"a deadline that was the endpoint's":     {&failure{stageAnswer, context.DeadlineExceeded}, OutcomeFailed},
		"a malformed answer":                     {&failure{stageAnswer, errMalformed}, OutcomeFailed},
		"an idle connection that closed, for us": {&failure{stageAnswer, errUntouched}, OutcomeFailed},
	} {
		for _, status := range []int{0, 200, 404, 503} {
			if got := Classify(status, false, c.err); got != c.want {
				t.Errorf("%s, status %d: %v, want %v", name, status, got, c.want)
			}
		}
	}
}

func TestOutcomesHaveNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, o := range Outcomes() {
		if o.String() == "" || seen[o.String()] {
			t.Errorf("outcome %d is called %q", o, o)
		}
		seen[o.String()] = true
	}
	if len(seen) != len(outcomeNames) {
		t.Errorf("Outcomes() has %d, want %d", len(seen), len(outcomeNames))
	}
}
