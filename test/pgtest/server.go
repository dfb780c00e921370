package pgtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Options of a server.
type Options struct {
	NoSync   bool              // fsync off: faster, and a crash of the machine (not of the server) loses data
	Settings map[string]string // for postgresql.conf, over ours
	Within   string            // folder for the server's, which it removes at its end; "" is the system's for temporary files
}

// How Stop stops: Fast ends transactions and writes a checkpoint, Immediate is a crash that recovery follows.
const (
	Fast      = "fast"
	Immediate = "immediate"
)

const immediate = syscall.SIGQUIT

// Server is a PostgreSQL server on a port of 127.0.0.1 that stays the same over restarts. Its superuser is postgres,
// without a password. Methods that stop and start it are for one goroutine, the others for any.
type Server struct {
	programs *programs
	folder   string
	own      *folder // that goes with the server; nil: somebody else removes it
	opts     Options
	port     int
	process  *process // nil: never started
	names    atomic.Int64
}

// Start starts a server of the test's own.
func Start(t testing.TB, opts Options) *Server {
	t.Helper()
	p := require(t)
	s, err := temporary(t, p, opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.create(whole.template); err != nil {
		t.Fatal(err)
	}
	s.Start(t)
	return s
}

// temporary prepares a server that ends with the test.
func temporary(t testing.TB, p *programs, opts Options) (*Server, error) {
	s, err := prepare(p, opts)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server on port %d said:\n%s", s.port, tail(s.log()))
		}
		if err := s.Close(); err != nil {
			t.Log(err)
		}
	})
	return s, nil
}

func newServer(p *programs, folder string, opts Options) *Server {
	return &Server{programs: p, folder: folder, opts: opts}
}

func (s *Server) data() string { return filepath.Join(s.folder, "data") }
func (s *Server) log() string  { return filepath.Join(s.folder, "log") }

// create makes the data folder.
func (s *Server) create(template func(*programs) (string, error)) error {
	from, err := template(s.programs)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.folder, 0o700); err != nil {
		return err
	}
	if err := s.programs.own(s.folder); err != nil {
		return err
	}
	if from == "" {
		return s.programs.initdb(s.data())
	}
	return s.programs.copyFolder(from, s.data())
}

// Start starts a server that is stopped, and waits until it answers. A standby answers too.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) start() error {
	if s.process != nil && s.process.running() {
		return errors.New("start postgres: it runs")
	}
	fresh := s.port == 0
	for try := 1; ; try++ {
		err := s.startOnce(fresh)
		if err == nil || !fresh || try == 3 { // somebody else may have taken the port between the look and the start
			return err
		}
	}
}

func (s *Server) startOnce(fresh bool) (err error) {
	if fresh {
		if s.port, err = freePort(rand.IntN); err != nil {
			return err
		}
	}
	s.process, err = s.programs.spawn(s.log(), filepath.Join(s.programs.bin, "postgres"), s.arguments()...)
	if err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	if err := s.process.awaitReady(s.ping); err != nil {
		s.process.end(immediate)
		return fmt.Errorf("start postgres: %w\n%s", err, tail(s.log()))
	}
	return nil
}

func (s *Server) arguments() []string {
	settings := map[string]string{
		"listen_addresses":        "127.0.0.1",
		"port":                    strconv.Itoa(s.port),
		"unix_socket_directories": "",
		"max_connections":         "200",
		"timezone":                "UTC",
		"log_timezone":            "UTC",
	}
	if s.opts.NoSync {
		settings["fsync"] = "off"
	}
	maps.Copy(settings, s.opts.Settings)
	args := []string{"-D", s.data()}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

func (s *Server) ping() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := pgconn.Connect(ctx, s.URL("postgres"))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// Stop stops the server and waits until it has ended. Mode is Fast or Immediate.
func (s *Server) Stop(t testing.TB, mode string) {
	t.Helper()
	switch mode {
	case Fast:
		s.process.end(syscall.SIGINT)
	case Immediate:
		s.process.end(immediate)
	default:
		t.Fatalf("pgtest: stop mode %q, want %q or %q", mode, Fast, Immediate)
	}
}

// Restart stops the server and starts it again.
func (s *Server) Restart(t testing.TB, mode string) {
	t.Helper()
	s.Stop(t, mode)
	s.Start(t)
}

// Freeze suspends the server with all its processes: connections stay open, and nothing answers.
func (s *Server) Freeze(t testing.TB) {
	t.Helper()
	s.signalAll(t, syscall.SIGSTOP)
}

// Thaw ends Freeze.
func (s *Server) Thaw(t testing.TB) {
	t.Helper()
	s.signalAll(t, syscall.SIGCONT)
}

func (s *Server) signalAll(t testing.TB, sig syscall.Signal) {
	t.Helper()
	first := s.process.cmd.Process.Pid
	if err := syscall.Kill(first, sig); err != nil { // the first process first: it starts no others from now on
		t.Fatal(err)
	}
	pids, err := children(first)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
}

// Addr returns host:port.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// PID returns the number of the server's first process, for measurements.
func (s *Server) PID() int { return s.process.cmd.Process.Pid }

// URL returns the URL of one of the server's databases.
func (s *Server) URL(database string) string { return urlOf(s.Addr(), database) }

func urlOf(addr, database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Host: addr, Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// At returns a database's URL with another address in it: that of a proxy before the server.
func At(addr, databaseURL string) string {
	u, err := url.Parse(databaseURL)
	if err != nil {
		panic("pgtest: " + err.Error())
	}
	u.Host = addr
	return u.String()
}

// Database makes an empty database, removes it when the test ends, and returns its URL.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	return s.database(t, "template0")
}

// Copy is Database with what another one has, which nobody may use meanwhile.
func (s *Server) Copy(t testing.TB, databaseURL string) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatal(err)
	}
	return s.database(t, strings.TrimPrefix(u.Path, "/"))
}

func (s *Server) database(t testing.TB, template string) string {
	t.Helper()
	name := "test_" + strconv.FormatInt(s.names.Add(1), 10)
	s.Exec(t, "postgres", "CREATE DATABASE "+name+" TEMPLATE "+template)
	t.Cleanup(func() {
		if s.process.running() { // a stopped one is the test's own and goes with all it has
			_, _ = s.query("postgres", "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") // a standby cannot
		}
	})
	return s.URL(name)
}

// Exec runs SQL, which may be several statements, in a database as superuser, and returns the rows of the last one as
// text; NULL is the empty string.
func (s *Server) Exec(t testing.TB, database, sql string) [][]string {
	t.Helper()
	rows, err := s.query(database, sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return rows
}

func (s *Server) query(database, sql string) (rows [][]string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandTime)
	defer cancel()
	conn, err := pgconn.Connect(ctx, s.URL(database))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	results, err := conn.Exec(ctx, sql).ReadAll()
	if err != nil {
		return nil, err
	}
	for _, values := range results[len(results)-1].Rows {
		row := make([]string, len(values))
		for i, v := range values {
			row[i] = string(v)
		}
		rows = append(rows, row)
	}
	return rows, nil
}
