package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestHostileRequestsAreRefusedAndHoldUpNobody(t *testing.T) {
	dir := tempDir(t)
	sink := newReceiver(t, "sink", answerOK)
	github := presets[0]
	c := newConfig(t, dir).sources(github.source()).endpoints(sink.endpoint())
	p := serve(t, dir, c)
	ingress := c.listen("ingress")

	const crowd = 200 // each dribbles a header without end
	var dribblers sync.WaitGroup
	t.Cleanup(dribblers.Wait)
	for range crowd {
		conn := dial(t, ingress)
		write(t, conn, "POST /in/github HTTP/1.1\r\nHost: a\r\nX-A: ")
		dribblers.Go(func() { dribble(t.Context(), conn) })
	}
	t.Run("others are served meanwhile", func(t *testing.T) {
		begin := time.Now()
		if got := post(t, "http://"+ingress+"/in/github", jsonBody(github.sign(github.secret, github.body, begin)), []byte(github.body)); got.status != http.StatusOK {
			t.Errorf("got status %d", got.status)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
	})
	for name, tc := range map[string]struct {
		head string
		body io.Reader
		want string
	}{
		"a length of 10 GiB":           {"POST /in/github HTTP/1.1\r\nHost: a\r\nContent-Length: 10737418240\r\n\r\n", strings.NewReader("x"), "413"},
		"a chunked body without end":   {"POST /in/github HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", endless("10000\r\n" + strings.Repeat("x", 1<<16) + "\r\n"), "413"},
		"headers without end":          {"POST /in/github HTTP/1.1\r\nHost: a\r\n", endless("X-Header: " + strings.Repeat("x", 1000) + "\r\n"), "431"},
		"no HTTP at all":               {"\x16\x03\x01\x02\x00\x01\x00", strings.NewReader("\r\n\r\n"), "400"},
		"two lengths that differ":      {"POST /in/github HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", strings.NewReader("xx"), "400"},
		"a source that does not exist": {"POST /in/nobody HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", strings.NewReader(""), "404"},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, ingress)
			go func() { // the server may close while this writes: what it answered counts
				_, _ = io.Copy(conn, io.MultiReader(strings.NewReader(tc.head), tc.body))
			}()
			answer := make([]byte, 12)
			if _, err := io.ReadFull(conn, answer); err != nil || string(answer[9:]) != tc.want {
				t.Errorf("got %q, %v, want status %s", answer, err, tc.want)
			}
		})
	}
	t.Run("a body that breaks off is no event", func(t *testing.T) {
		conn := dial(t, ingress)
		write(t, conn, "POST /in/github HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{\"seq\"")
		conn.Close()
	})
	t.Run("a header that never ends is cut off", func(t *testing.T) {
		conn := dial(t, ingress)
		write(t, conn, "POST /in/github HTTP/1.1\r\n")
		if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("it is still open after 20 s")
		}
	})
	if as := sink.waitOK(t, 1, 10*time.Second); len(as) != 1 {
		t.Errorf("got %d deliveries, want the good one alone", len(as))
	}
	if rss := residentMiB(t, p.cmd.Process.Pid); rss > 200 {
		t.Errorf("resident memory: %d MiB, want 200 or less", rss)
	}
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

// dribble writes a byte a second until the connection is closed or ctx ends.
func dribble(ctx context.Context, conn net.Conn) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if _, err := conn.Write([]byte("a")); err != nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// endless repeats a text, up to 1 GiB: whoever reads it all has no limit.
func endless(text string) io.Reader { return io.LimitReader(&repeat{text: []byte(text)}, 1<<30) }

type repeat struct {
	text []byte
	rest bytes.Reader
}

// Read reads on in the repeated text.
func (r *repeat) Read(b []byte) (int, error) {
	if r.rest.Len() == 0 {
		r.rest.Reset(r.text)
	}
	return r.rest.Read(b)
}

func residentMiB(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	var kb int
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			if _, err := fmt.Sscanf(value, "%d kB", &kb); err != nil {
				t.Fatal(err)
			}
		}
	}
	if kb == 0 {
		t.Fatal("no VmRSS in /proc")
	}
	return kb / 1024
}
