package postgres

import (
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/store/storetest"
	"github.com/sluicehq/sluice/test/pgtest"
)

// The whole contract holds through a pooler that gives each transaction another connection.
func TestConformanceThroughPgBouncer(t *testing.T) {
	t.Parallel()
	server := pgtest.Shared(t)
	bouncer := pgtest.PgBouncer(t, server)
	model := server.Database(t)
	if _, err := Migrate(t.Context(), model, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	storetest.Run(t, func(t *testing.T) storetest.Harness { return harnessOf(t, bouncer.URL(server.Copy(t, model))) })
}

func TestPgBouncerSharesConnections(t *testing.T) {
	t.Parallel()
	server := pgtest.Shared(t)
	direct := server.Database(t)
	s := opened(t, direct, pgtest.PgBouncer(t, server).URL(direct))
	for range dispatchConns {
		conn, err := s.dispatch.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Release()
	}
	var sessions int
	err := s.people.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()`).Scan(&sessions)
	if err != nil {
		t.Fatal(err)
	}
	if sessions > 4 {
		t.Errorf("%d sessions of the server for %d connections, want 4 at most", sessions, dispatchConns+1)
	}
}

// Session locks mean nothing behind a pooler in transaction mode: two processes could migrate at once.
func TestMigrateRefusesAPooler(t *testing.T) {
	t.Parallel()
	server := pgtest.Shared(t)
	direct := server.Database(t)
	pooled := pgtest.PgBouncer(t, server).URL(direct)
	if _, err := Migrate(t.Context(), pooled, zap.NewNop()); err == nil || !strings.Contains(err.Error(), "the database's own address") {
		t.Errorf("Migrate = %v, want it to ask for the database's own address", err)
	}
	steps, err := Status(t.Context(), pooled)
	if err != nil || len(steps) == 0 {
		t.Errorf("Status = %d steps, %v, want all of them", len(steps), err)
	}
	if _, err := Migrate(t.Context(), direct, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
}
