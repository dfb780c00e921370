package pgtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Bouncer is a PgBouncer in transaction mode before a server.
type Bouncer struct{ addr string }

// PgBouncer starts one. It has four connections to each database of the server, fewer than a store's pools, so that
// clients really share them.
func PgBouncer(t testing.TB, s *Server) *Bouncer {
	t.Helper()
	path, err := findBouncer()
	if err != nil {
		missing(t, err)
	}
	folder, err := s.programs.tempFolder("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := folder.remove(); err != nil {
			t.Log(err)
		}
	})
	port, err := freePort(rand.IntN)
	if err != nil {
		t.Fatal(err)
	}
	b := &Bouncer{net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	ini, log := filepath.Join(folder.path, "pgbouncer.ini"), filepath.Join(folder.path, "log")
	if err := os.WriteFile(ini, []byte(bouncerConfig(s.port, port)), 0o644); err != nil {
		t.Fatal(err)
	}
	run, err := s.programs.spawn(log, path, ini)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		run.end(syscall.SIGTERM) // at once
		if t.Failed() {
			t.Logf("pgbouncer said:\n%s", tail(log))
		}
	})
	if err := run.awaitReady(b.ping); err != nil {
		t.Fatalf("start pgbouncer: %v\n%s", err, tail(log))
	}
	return b
}

// findBouncer looks in PATH, and where Debian has it, which PATH lacks for most users.
func findBouncer() (string, error) {
	if path, err := exec.LookPath("pgbouncer"); err == nil {
		return path, nil
	}
	const debian = "/usr/sbin/pgbouncer"
	if executable(debian) {
		return debian, nil
	}
	return "", errors.New("PgBouncer is not installed")
}

func bouncerConfig(server, port int) string {
	return fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d user=postgres

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_client_conn = 200
`, server, port)
}

func (b *Bouncer) ping() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := pgconn.Connect(ctx, urlOf(b.addr, "postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// URL returns the URL, through the bouncer, of a database of the server, whose own URL is given.
func (b *Bouncer) URL(databaseURL string) string { return At(b.addr, databaseURL) }
