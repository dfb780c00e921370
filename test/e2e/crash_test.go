package e2e

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// kills is how often the process is killed: SLUICE_E2E_KILLS, or 5.
func kills(t *testing.T) int {
	t.Helper()
	text := os.Getenv("SLUICE_E2E_KILLS")
	if text == "" {
		return 5
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("SLUICE_E2E_KILLS: %q: want 1 or more", text)
	}
	return n
}

func TestKilledUnderLoadLosesNothing(t *testing.T) {
	n := kills(t)
	s := newStage(t)
	stop := s.producer.start(t, 300, 8)
	for i := range n {
		s.producer.waitAccepted(t, 100)
		// Anywhere in the work: right after the start, in the middle of a batch, among retries.
		after := time.Duration(rand.Int64N(int64(800 * time.Millisecond)))
		<-time.After(after)
		s.process.kill()
		t.Logf("kill %d, %v after the hundredth event", i+1, after)
		s.process.start()
	}
	s.producer.waitAccepted(t, 100)
	stop()
	s.drain(t, 2*time.Minute)
	s.check(t, n*duplicatesPerKill)
	if got, want := s.producer.accepted(), 100*(n+1); got < want {
		t.Errorf("%d events were accepted, want %d or more: the load was no load", got, want)
	}
}
