package postgres

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/test/pgtest"
)

// commitMessage is what goes over the wire at the end of a transaction.
const commitMessage = "commit\x00"

func wantEndpoints(t *testing.T, s *Store, names ...string) {
	t.Helper()
	got, err := s.ListEndpoints(t.Context(), "", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, e := range got {
		have = append(have, e.Name)
	}
	if strings.Join(have, " ") != strings.Join(names, " ") {
		t.Errorf("endpoints are %q, want %q", have, names)
	}
}

func TestCommitWhoseAnswerIsLostIsLookedUp(t *testing.T) {
	t.Parallel()
	s, proxy, _ := behindProxy(t, pgtest.Shared(t))
	lost := proxy.LoseAnswer(commitMessage)
	made, err := s.CreateEndpoint(t.Context(), anEndpoint("billing"))
	if err != nil {
		t.Fatalf("CreateEndpoint = %v, though it is made", err)
	}
	<-lost
	if got, err := s.GetEndpoint(t.Context(), made.ID); err != nil || got.Name != "billing" {
		t.Errorf("endpoint %s is %q, %v", made.ID, got.Name, err)
	}
	wantEndpoints(t, s, "billing")
}

func TestCommitThatNeverArrivesChangesNothingAndSaysSo(t *testing.T) {
	t.Parallel()
	s, proxy, _ := behindProxy(t, pgtest.Shared(t))
	lost := proxy.LoseRequest(commitMessage)
	_, err := s.CreateEndpoint(t.Context(), anEndpoint("billing"))
	if err == nil || !strings.Contains(err.Error(), "nothing changed") {
		t.Fatalf("CreateEndpoint = %v, want that nothing changed", err)
	}
	<-lost
	wantEndpoints(t, s)
	if _, err := s.CreateEndpoint(t.Context(), anEndpoint("billing")); err != nil {
		t.Fatal(err)
	}
	wantEndpoints(t, s, "billing")
}

func TestCommitIsLookedUpWhenTheNetworkIsBack(t *testing.T) {
	t.Parallel()
	s, proxy, _ := behindProxy(t, pgtest.Shared(t))
	lost := proxy.CutAtAnswer(commitMessage)
	result := make(chan error, 1)
	go func() {
		_, err := s.CreateEndpoint(t.Context(), anEndpoint("billing"))
		result <- err
	}()
	<-lost
	select {
	case err := <-result:
		t.Fatalf("CreateEndpoint without a network = %v, before it can know", err)
	default:
	}
	proxy.Heal()
	if err := <-result; err != nil {
		t.Fatalf("CreateEndpoint = %v, though it is made", err)
	}
	wantEndpoints(t, s, "billing")
}

func TestCommitThatCannotBeLookedUpInTimeIsSaidToBeUnknown(t *testing.T) {
	t.Parallel()
	s, proxy, direct := behindProxy(t, pgtest.Shared(t))
	beside := open(t, direct, store.GenerateKey())
	lost := proxy.CutAtAnswer(commitMessage)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan error, 1)
	go func() {
		result <- s.write(ctx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, `UPDATE counters SET value = value + 1 WHERE name = 'replay'`)
			return err
		})
	}()
	<-lost
	cancel()
	began := time.Now()
	err := <-result
	if took := time.Since(began); took > lookAfter+2*time.Second {
		t.Errorf("it took %v after the caller had gone, want %v", took, lookAfter)
	}
	if err == nil || !strings.Contains(err.Error(), "not known") {
		t.Errorf("write = %v, want that the outcome is not known", err)
	}
	var value int
	if err := beside.people.QueryRow(t.Context(), `SELECT value FROM counters WHERE name = 'replay'`).Scan(&value); err != nil || value != 1 {
		t.Errorf("the counter is %d, %v, want 1", value, err)
	}
}
