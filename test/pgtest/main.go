package pgtest

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// session is what the tests of one binary share: a data folder as initdb makes it, and one server.
type session struct {
	mu     sync.Mutex
	open   bool    // Main runs
	folder *folder // nil: not needed yet
	shared *Server
}

var whole session

// Main runs the tests, ends what they shared, looks for leaked goroutines, and exits.
func Main(m *testing.M, opts ...goleak.Option) { goleak.VerifyTestMain(runner{m}, opts...) }

type runner struct{ m *testing.M }

func (r runner) Run() int {
	whole.begin()
	defer whole.end()
	return r.m.Run()
}

// Shared returns the test binary's server, started when first asked for. It keeps its data in memory where the system
// lets it, so it is no place to measure, and must not be stopped: other tests use it at the same time.
func Shared(t testing.TB) *Server {
	t.Helper()
	p := require(t)
	whole.mu.Lock()
	defer whole.mu.Unlock()
	if !whole.open {
		t.Fatal("pgtest: a package that shares a server wants func TestMain(m *testing.M) { pgtest.Main(m) }")
	}
	if whole.shared != nil {
		return whole.shared
	}
	folder, err := whole.folderLocked(p)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(p, filepath.Join(folder, "shared"), Options{})
	if err := s.create(whole.templateLocked); err != nil {
		t.Fatal(err)
	}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	whole.shared = s
	return s
}

func (w *session) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = true
}

func (w *session) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = false
	if w.shared != nil {
		w.shared.process.end(immediate)
		w.shared = nil
	}
	if w.folder != nil {
		_ = w.folder.remove() // the next one sweeps what stays
		w.folder = nil
	}
}

// template returns a fresh data folder to copy: initdb takes a second, a copy of what it makes a tenth of that. Outside
// of Main there is none, as nobody would remove it.
func (w *session) template(p *programs) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.templateLocked(p)
}

func (w *session) templateLocked(p *programs) (string, error) {
	if !w.open {
		return "", nil
	}
	folder, err := w.folderLocked(p)
	if err != nil {
		return "", err
	}
	data := filepath.Join(folder, "template")
	if _, err := os.Stat(data); err == nil {
		return data, nil
	}
	return data, p.initdb(data)
}

func (w *session) folderLocked(p *programs) (_ string, err error) {
	if w.folder == nil {
		if w.folder, err = p.tempFolder(memoryFolder()); err != nil {
			return "", err
		}
	}
	return w.folder.path, nil
}
