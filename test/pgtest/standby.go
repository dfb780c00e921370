package pgtest

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Standby starts a server that follows this one by streaming replication, and answers reads.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	standby, err := temporary(t, s.programs, Options{NoSync: s.opts.NoSync, Settings: s.opts.Settings})
	if err != nil {
		t.Fatal(err)
	}
	err = s.programs.run("pg_basebackup", "--pgdata="+standby.data(), "--dbname="+s.URL("postgres"), "--write-recovery-conf",
		"--wal-method=stream", "--checkpoint=fast", "--no-sync")
	if err != nil {
		t.Fatal(err)
	}
	standby.Start(t)
	return standby
}

// Follow makes a stopped server, the primary of old, a standby of another: the other half of a failover. It may have
// nothing that the other one lacks.
func (s *Server) Follow(t testing.TB, primary *Server) {
	t.Helper()
	for name, text := range map[string]string{
		"standby.signal":       "",
		"postgresql.auto.conf": "primary_conninfo = '" + primary.URL("postgres") + "'\n",
	} {
		path := filepath.Join(s.data(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.programs.own(path); err != nil {
			t.Fatal(err)
		}
	}
	s.Start(t)
}

// AwaitCaughtUp waits until a standby has everything that its primary has committed by now.
func (s *Server) AwaitCaughtUp(t testing.TB, primary *Server) {
	t.Helper()
	end := primary.Exec(t, "postgres", "SELECT pg_current_wal_lsn()")[0][0]
	s.await(t, "SELECT pg_last_wal_replay_lsn() >= '"+end+"'")
}

// Promote makes a standby a primary of its own.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	s.Exec(t, "postgres", "SELECT pg_promote()")
	s.await(t, "SELECT NOT pg_is_in_recovery()")
}

// await polls until a query returns true.
func (s *Server) await(t testing.TB, query string) {
	t.Helper()
	deadline := time.NewTimer(startTime)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for s.Exec(t, "postgres", query)[0][0] != "t" {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("after %v still not: %s", startTime, query)
		}
	}
}
