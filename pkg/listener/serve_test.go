package listener

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a Serve that runs.
type server struct {
	url  string
	stop context.CancelFunc
	done chan error
}

func start(t *testing.T, h http.Handler, o Options) *server {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s := &server{url: "http://" + ln.Addr().String(), stop: cancel, done: make(chan error, 1)}
	go func() { s.done <- Serve(ctx, ln, h, o) }()
	t.Cleanup(func() {
		cancel()
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

func options() Options { return Options{Conns: 8, Grace: 5 * time.Second, Log: zap.NewNop()} }

func TestServeLetsRequestsUnderWayFinish(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		answer(w, "done")
	}), options())
	got := make(chan string, 1)
	go func() {
		resp, err := http.Get(s.url)
		if err != nil {
			got <- err.Error()
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		got <- string(body) + errorText(err)
	}()
	<-entered
	s.stop()
	select {
	case err := <-s.done:
		t.Fatalf("Serve returned %v while a request was under way", err)
	default:
	}
	close(release)
	if text := <-got; text != "done" {
		t.Errorf("answer = %q, want done", text)
	}
	if err := <-s.done; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
}

func TestServeReturnsWhyItsListenerBroke(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	err = Serve(t.Context(), ln, http.NotFoundHandler(), options())
	if !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), ln.Addr().String()) {
		t.Errorf("Serve = %v, want one that names the address and net.ErrClosed", err)
	}
}

func TestConnectionsBeyondTheBoundWait(t *testing.T) {
	o := options()
	o.Conns = 1
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, "ok") }), o)
	addr := strings.TrimPrefix(s.url, "http://")
	first := dial(t, addr)
	wantAnswer(t, first) // keeps the connection open
	second := dial(t, addr)
	ask(t, second)
	if err := read(t, second, 50*time.Millisecond); !isTimeout(err) {
		t.Fatalf("second connection: %v, want no answer while the first is open", err)
	}
	first.Close()
	if err := read(t, second, 10*time.Second); err != nil {
		t.Errorf("second connection after the first closed: %v", err)
	}
}

func TestServerComplaintsAreLoggedAsWarnings(t *testing.T) {
	core, logs := observer.New(zap.DebugLevel)
	o := options()
	o.Log = zap.New(core)
	s := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("broken") }), o)
	if resp, err := http.Get(s.url); err == nil {
		resp.Body.Close()
	}
	s.stop()
	if err := <-s.done; err != nil {
		t.Errorf("Serve = %v, want nil", err)
	}
	if all := logs.All(); len(all) != 1 || all[0].Level != zap.WarnLevel || !strings.Contains(all[0].Message, "broken") {
		t.Errorf("logged %v, want one warning about the panic", all)
	}
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func wantAnswer(t *testing.T, conn net.Conn) {
	t.Helper()
	ask(t, conn)
	if err := read(t, conn, 10*time.Second); err != nil {
		t.Fatal(err)
	}
}

func ask(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
}

// read returns why nothing could be read from conn within wait.
func read(t *testing.T, conn net.Conn, wait time.Duration) error {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		t.Fatal(err)
	}
	_, err := conn.Read(make([]byte, 512))
	return err
}

// answer writes text; when that fails, whoever asked sees it.
func answer(w io.Writer, text string) { _, _ = io.WriteString(w, text) }

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return " " + err.Error()
}
