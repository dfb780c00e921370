package e2e

import (
	"testing"
	"time"

	"github.com/sluicehq/sluice/test/e2e/ledger"
)

func TestRestartInTheMiddleLosesAndRepeatsNothing(t *testing.T) {
	s := newStage(t)
	stop := s.producer.start(t, 200, 8)
	for range 2 {
		s.producer.waitAccepted(t, 200)
		s.process.stop()
		s.process.start()
	}
	s.producer.waitAccepted(t, 200)
	stop()
	s.drain(t, time.Minute)
	report := s.check(t, 0) // a restart in good order is no fault
	if report.Counts[ledger.Resent] == 0 {
		t.Error("no delivery was repeated after a failure: the flaky receiver was not put to the test")
	}
}
