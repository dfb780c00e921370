package e2e

import (
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/sluicehq/sluice/test/e2e/ledger"
)

// stage is producers before a sluice and receivers behind it.
type stage struct {
	config    config
	process   *process
	producer  *producer
	receivers []*receiver
	routes    []ledger.Route
}

// delivery is one as the API gives it.
type delivery struct {
	ID       string `json:"id"`
	Event    string `json:"event"`
	Endpoint string `json:"endpoint"`
	State    string `json:"state"`
	Attempts int    `json:"attempt_count"`
}

// named is a thing with an id and a name.
type named struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// drain waits until every event that was accepted has reached every endpoint that is to get it.
func (s *stage) drain(t *testing.T, within time.Duration) {
	t.Helper()
	eventually(t, within, "everything accepted delivered", func() error {
		if lost := ledger.Check(s.book(nil)).Counts[ledger.Lost]; lost > 0 {
			return fmt.Errorf("%d deliveries are missing", lost)
		}
		return nil
	})
}

// check asks the gateway what became of everything and holds the ledgers against each other.
func (s *stage) check(t *testing.T, duplicates int) *ledger.Report {
	t.Helper()
	var states []ledger.State
	// Outcomes are recorded behind the deliveries. What is not there within the time stays a problem.
	var report *ledger.Report
	deadline := time.Now().Add(20 * time.Second)
	for {
		states = s.states(t)
		report = ledger.Check(s.book(states))
		if report.Counts[ledger.Stuck] == 0 || time.Now().After(deadline) {
			break
		}
		<-time.After(250 * time.Millisecond)
	}
	t.Log(report)
	for _, problem := range report.Problems(duplicates) {
		t.Error(problem)
	}
	return report
}

// states returns all deliveries that the gateway knows.
func (s *stage) states(t *testing.T) []ledger.State {
	t.Helper()
	a := s.process.api(s.config)
	out := []ledger.State{}
	for _, e := range list[named](a, "/v1/endpoints", nil) {
		for _, d := range list[delivery](a, "/v1/deliveries", url.Values{"endpoint": {e.ID}}) {
			out = append(out, ledger.State{Seq: -1, EventID: d.Event, Endpoint: e.Name, State: d.State})
		}
	}
	return out
}

func (s *stage) book(states []ledger.State) *ledger.Book {
	b := &ledger.Book{States: states, Routes: s.routes}
	s.producer.mu.Lock()
	b.Sent = slices.Clone(s.producer.sent)
	s.producer.mu.Unlock()
	for _, r := range s.receivers {
		for _, a := range r.all() {
			b.Receipts = append(b.Receipts, a.Receipt)
		}
	}
	return b
}
