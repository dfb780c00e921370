package postgres

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/sluicehq/sluice/test/pgtest"
)

// bothHosts is the URL of a database that is on whichever of two servers takes writes.
func bothHosts(a, b *pgtest.Server, database string) string {
	return fmt.Sprintf("postgres://postgres@%s,%s/%s?sslmode=disable&target_session_attrs=read-write", a.Addr(), b.Addr(), database)
}

func TestFailoverIsFollowed(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t, pgtest.Options{NoSync: true})
	standby := primary.Standby(t)
	primary.Exec(t, "postgres", "CREATE DATABASE fleet")
	s := opened(t, primary.URL("fleet"), bothHosts(primary, standby, "fleet"))
	recorded := 0
	record := func() {
		t.Helper()
		batch := delivered(5)
		eventually(t, func(ctx context.Context) error { return s.Record(ctx, batch) })
		recorded += 5
	}
	record()
	for range 2 {
		standby.AwaitCaughtUp(t, primary)
		primary.Stop(t, pgtest.Fast)
		if err := s.Record(t.Context(), delivered(1)); err == nil {
			t.Fatal("Record on a standby succeeds")
		}
		standby.Promote(t)
		record()
		if _, err := s.CreateEndpoint(t.Context(), anEndpoint(fmt.Sprint("after", recorded))); err != nil {
			t.Fatal(err)
		}
		primary.Follow(t, standby)
		record()
		primary, standby = standby, primary
	}
	wantExactly(t, s, recorded)
}

// A managed service may make a server read-only and leave its connections open.
func TestServerThatBecomesReadOnlyIsLeft(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t, pgtest.Options{NoSync: true})
	standby := primary.Standby(t)
	primary.Exec(t, "postgres", "CREATE DATABASE fleet")
	s := opened(t, primary.URL("fleet"), bothHosts(primary, standby, "fleet"))
	if err := s.Record(t.Context(), delivered(1)); err != nil {
		t.Fatal(err)
	}
	fill(t, s.dispatch)
	fill(t, s.people)
	standby.AwaitCaughtUp(t, primary)
	primary.Exec(t, "postgres", "ALTER SYSTEM SET default_transaction_read_only = on")
	primary.Exec(t, "postgres", "SELECT pg_reload_conf()")
	standby.Promote(t)
	eventually(t, func(ctx context.Context) error { // the reload takes a moment to reach all connections
		if err := s.Record(ctx, delivered(1)); err != nil {
			t.Errorf("Record when the server has become read-only = %v, want it to go to the other one", err)
			return err
		}
		if standby.Exec(t, "fleet", "SELECT count(*) FROM events")[0][0] == "1" {
			return errors.New("the other server has nothing yet")
		}
		return nil
	})
}
