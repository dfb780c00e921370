package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/test/pgtest"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	time.Local = time.UTC // tables show local time
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "SLUICE_") {
			os.Unsetenv(name) //nolint:errcheck // it is there
		}
	}
	pgtest.Main(m)
}

// result is how a command line ended.
type result struct {
	code     int
	out, err string
}

// sluice runs a command line in an empty directory, or the test's current one.
func sluice(t *testing.T, args ...string) result {
	t.Helper()
	return sluiceIn(t, "", args...)
}

// sluiceIn is sluice with standard input.
func sluiceIn(t *testing.T, in string, args ...string) result {
	t.Helper()
	var out, errOut bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(in), &out, &errOut)
	return result{code, out.String(), errOut.String()}
}

// wantGolden compares got with a file in testdata.
func wantGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s\n(-update writes it anew)", path, got, want)
	}
}

// screen is an output that tests wait for text on.
type screen struct {
	mu      sync.Mutex
	text    strings.Builder
	written chan struct{} // closed and made anew with each write
}

func newScreen() *screen { return &screen{written: make(chan struct{})} }

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.written)
	s.written = make(chan struct{})
	return s.text.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// await waits until the screen shows all of texts.
func (s *screen) await(t *testing.T, texts ...string) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		text, written := s.text.String(), s.written
		s.mu.Unlock()
		missing := ""
		for _, want := range texts {
			if !strings.Contains(text, want) {
				missing = want
			}
		}
		if missing == "" {
			return
		}
		select {
		case <-written:
		case <-deadline:
			t.Fatalf("%q did not appear on\n%s", missing, text)
		}
	}
}

func TestInterruptedCommandSaysSo(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errOut bytes.Buffer
	if code := run(ctx, []string{"events", "--control-url", "http://127.0.0.1:1"}, nil, &out, &errOut); code != exitFailed {
		t.Errorf("code = %d, want %d", code, exitFailed)
	}
	if errOut.String() != "sluice: interrupted\n" {
		t.Errorf("stderr = %q", errOut.String())
	}
}

func TestReaderThatIsGoneEndsTheCommandQuietly(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	ended := false
	out := &stdout{w, func() { ended = true }}
	var errOut bytes.Buffer
	if code := run(t.Context(), []string{"version"}, nil, out, &errOut); code != exitOK || errOut.Len() > 0 {
		t.Errorf("got code %d and %q, want 0 and nothing", code, errOut.String())
	}
	if !ended {
		t.Error("the command's context goes on")
	}
	if _, err := out.WriteString("x"); !errors.Is(err, errReaderGone) {
		t.Errorf("WriteString: %v", err)
	}
	if _, err := out.ReadFrom(strings.NewReader("x")); !errors.Is(err, errReaderGone) {
		t.Errorf("ReadFrom: %v", err)
	}
}
