package ingress

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// listening serves a house on a loopback port until the test ends.
func listening(t *testing.T) (*house, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, ln), ln.Addr().String()
}

// talk sends raw bytes, as far as they are taken, and returns the status of every answer until the server hangs up.
func talk(t *testing.T, addr string, send func(io.Writer) error, hangUp bool) []int {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() {
		err := send(conn)
		if hangUp {
			err = errors.Join(err, conn.(*net.TCPConn).CloseWrite())
		}
		sent <- err
	}()
	answers := statuses(conn)
	conn.Close()
	if err := <-sent; err != nil && len(answers) == 0 {
		t.Errorf("sending: %v", err)
	}
	return answers
}

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error { _, err := io.WriteString(w, s); return err }
}

// endless writes head, and then piece until that fails.
func endless(head, piece string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, head)
		for err == nil {
			_, err = io.WriteString(w, piece)
		}
		return nil
	}
}

func TestBadInputOnTheWire(t *testing.T) {
	const line = "POST /in/github HTTP/1.1\r\nHost: x\r\n"
	big := strings.Repeat("x", 64<<10)
	tests := []struct {
		name string
		send func(io.Writer) error
		want []int // one of these statuses comes, and nothing else
	}{
		{"10 GiB announced", endless(line+"Content-Length: 10737418240\r\n\r\n", big), []int{413}},
		{"10 GiB announced politely", text(line + "Content-Length: 10737418240\r\nExpect: 100-continue\r\n\r\n"), []int{413}},
		{"endless chunks", endless(line+"Transfer-Encoding: chunked\r\n\r\n", "10000\r\n"+big+"\r\n"), []int{413}},
		{"one endless chunk", endless(line+"Transfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n", big), []int{413}},
		{"a chunk of no size", text(line + "Transfer-Encoding: chunked\r\n\r\nzz\r\n"), []int{400}},
		{"a chunk of negative size", text(line + "Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n"), []int{400}},
		{"a chunk of too many digits", text(line + "Transfer-Encoding: chunked\r\n\r\n11111111111111111\r\n"), []int{400}},
		{"an endless chunk extension", endless(line+"Transfer-Encoding: chunked\r\n\r\n1;a=", big), []int{400}},
		{"endless chunk overhead", endless(line+"Transfer-Encoding: chunked\r\n\r\n", "1;"+strings.Repeat("a", 1000)+"\r\nx\r\n"), []int{400}},
		{"a body cut short", text(line + "Content-Length: 100\r\n\r\nshort"), []int{400}},
		{"chunks cut short", text(line + "Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"), []int{400}},
		{"an unknown coding", text(line + "Transfer-Encoding: gzip\r\n\r\n"), []int{501}},
		{"two codings", text(line + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), []int{501}},
		{"a coding that is nearly chunked", text(line + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), []int{501}},
		{"chunked twice", text(line + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), []int{501}},
		{"two lengths", text(line + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), []int{400}},
		{"a length with a sign", text(line + "Content-Length: +5\r\n\r\nxxxxx"), []int{400}},
		{"a negative length", text(line + "Content-Length: -1\r\n\r\n"), []int{400}},
		{"a list of lengths", text(line + "Content-Length: 5, 5\r\n\r\nxxxxx"), []int{400}},
		{"a length over int64", text(line + "Content-Length: 9223372036854775808\r\n\r\n"), []int{400}},
		{"a flood of headers", endless(line, "X-Flood: "+strings.Repeat("x", 100)+"\r\n"), []int{431}},
		{"one endless header", endless(line+"X-Flood: ", big), []int{431}},
		{"an endless request line", endless("POST /in/", big), []int{431}},
		{"101 headers", text(line + strings.Repeat("X-H: 1\r\n", 101) + "\r\n"), []int{431}},
		{"a space in a header's name", text(line + "X Y: 1\r\n\r\n"), []int{400}},
		{"NUL in a header", text(line + "X-Y: a\x00b\r\n\r\n"), []int{400}},
		{"no host", text("POST /in/github HTTP/1.1\r\n\r\n"), []int{400}},
		{"two hosts", text(line + "Host: y\r\n\r\n"), []int{400}},
		{"no method", text(" /in/github HTTP/1.1\r\nHost: x\r\n\r\n"), []int{400}},
		{"a space in the path", text("POST /in/git hub HTTP/1.1\r\nHost: x\r\n\r\n"), []int{400}},
		{"a path that does not decode", text("POST /in/%zz HTTP/1.1\r\nHost: x\r\n\r\n"), []int{400}},
		{"NUL in the path", text("POST /in/github%00 HTTP/1.1\r\nHost: x\r\n\r\n"), []int{404}},
		{"another protocol", text("GET / HTTP/9.9\r\nHost: x\r\n\r\n"), []int{505}},
		{"HTTP/2 without asking", text("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), []int{400, 405, 505, 404}},
		{"a TLS client", text("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + big), []int{400, 431}},
		{"noise", text(strings.Repeat("\x00\xff\r\n", 1000)), []int{400}},
		{"CONNECT", text("CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n"), []int{404}},
		{"OPTIONS *", text("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), []int{200, 404}},
		{"an upgrade", text("GET /in/github HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"), []int{405}},
		{"no signature", text(line + "Content-Length: 2\r\n\r\n{}"), []int{401}},
	}
	h, addr := listening(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			began := time.Now()
			got := talk(t, addr, tt.send, true)
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("took %v", took)
			}
			if len(got) != 1 || !slices.Contains(tt.want, got[0]) {
				t.Errorf("answers %v, want one of %v", got, tt.want)
			}
		})
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 5<<20 {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
	if total := after.TotalAlloc - before.TotalAlloc; total > 64<<20 {
		t.Errorf("%d MiB were allocated", total>>20)
	}
	h.wantPublished(t, 0)
	h.wantAnswer(t, h.do(signed(t, "github", "/in/github", nil)), 200, "")
	if h.publishing.Load() != 0 {
		t.Error("requests still count as waiting")
	}
}

func TestARequestHiddenBehindTwoLengthsIsNotServed(t *testing.T) {
	h, addr := listening(t)
	hidden := wire(t, signed(t, "token", "/in/token", []byte("{}")))
	outer := signed(t, "token", "/in/token", []byte("{}"))
	var headers strings.Builder
	if err := outer.Header.Write(&headers); err != nil {
		t.Fatal(err)
	}
	got := talk(t, addr, text("POST /in/token HTTP/1.1\r\nHost: x\r\n"+headers.String()+
		fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 5+len(hidden))+hidden), true)
	if len(got) != 1 || got[0] != 200 {
		t.Errorf("answers %v, want one", got)
	}
	if events := h.wantPublished(t, 1); len(events[0].Body) != 0 {
		t.Errorf("published %q", events[0].Body)
	}
}

func TestAResetMidBodyPublishesNothing(t *testing.T) {
	h, addr := listening(t)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	request := wire(t, signed(t, "github", "/in/github", []byte(strings.Repeat("x", 10_000))))
	if _, err := io.WriteString(conn, request[:len(request)-5000]); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	deadline := time.Now().Add(5 * time.Second)
	for countOf(h, "github", "malformed") == 0 {
		if time.Now().After(deadline) {
			t.Fatal("the request never ended")
		}
		runtime.Gosched()
	}
	h.wantPublished(t, 0)
}

func TestKeepAliveServesOneRequestAfterTheOther(t *testing.T) {
	h, addr := listening(t)
	got := talk(t, addr, func(w io.Writer) error {
		for range 50 {
			if _, err := io.WriteString(w, wire(t, signed(t, "github", "/in/github", nil))); err != nil {
				return err
			}
		}
		return nil
	}, true)
	if len(got) != 50 {
		t.Errorf("%d answers, want 50: %v", len(got), got)
	}
	h.wantPublished(t, 50)
}
