package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/sluicehq/sluice/test/e2e/ledger"
)

// inFlight is egress.in_flight, and slow_in_flight, of a stage: small, so that the bound on duplicates says something.
const inFlight = 64

// recorderBatch is more deliveries than one transaction of the recorder holds at the rates of these tests.
const recorderBatch = 256

// duplicatesPerKill is how many deliveries may arrive twice because a process died: what was in flight, and what two
// batches of the recorder held that were not durable yet.
const duplicatesPerKill = 2*inFlight + 2*recorderBatch

// newStage starts a sluice with three receivers: one takes everything, one only orders and fails every tenth at first, one
// only what is paid, slowly. changes are made to its configuration.
func newStage(t *testing.T, changes ...func(config)) *stage {
	t.Helper()
	dir := tempDir(t)
	all := newReceiver(t, "all", answerOK)
	orders := newReceiver(t, "orders", func(a arrival) int {
		if a.nth == 1 && a.Seq%10 == 0 {
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	paid := newReceiver(t, "paid", answerOK)
	paid.delay = 20 * time.Millisecond

	flaky := orders.endpoint("order.*")
	flaky.Retry = map[string]any{"base": "1s", "factor": 1}
	s := &stage{
		config:    newConfig(t, dir).sources(presets[0].source()).endpoints(all.endpoint(), flaky, paid.endpoint("order.paid", "invoice.**")),
		receivers: []*receiver{all, orders, paid},
		routes: []ledger.Route{
			{Endpoint: "all"},
			{Endpoint: "orders", Types: []string{"order.*"}},
			{Endpoint: "paid", Types: []string{"order.paid", "invoice.**"}},
		},
	}
	s.config["egress"] = map[string]any{"in_flight": inFlight, "slow_in_flight": inFlight}
	s.producer = &producer{
		url: "http://" + s.config.listen("ingress") + "/in/github", preset: presets[0], size: 512,
		types: []string{"order.paid", "order.sent", "invoice.paid.late"},
	}
	for _, change := range changes {
		change(s.config)
	}
	s.process = serve(t, dir, s.config)
	return s
}
