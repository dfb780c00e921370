package egress

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/http"
	"regexp"
	"testing"
	"testing/iotest"
	"time"
)

// readAnswer reads an answer as the lean client does.
func readAnswer(src io.Reader) (status int, body []byte, reusable bool, err error) {
	var r lineReader
	r.reset(src)
	h, err := readHead(&r, time.Now())
	if err != nil {
		return 0, nil, false, err
	}
	whole, err := readBody(&r, &h, func(b []byte) { body = append(body, b...) })
	return h.status, body, err == nil && whole && h.reusable() && !r.buffered(), err
}

// readAnswerByTheBook reads an answer with net/http.
func readAnswerByTheBook(src io.Reader) (status int, body []byte, reusable bool, err error) {
	r := bufio.NewReader(src)
	req := &http.Request{Method: http.MethodPost}
	for range max1xx + 1 {
		resp, err := http.ReadResponse(r, req)
		if err != nil {
			return 0, nil, false, err
		}
		defer resp.Body.Close()
		if resp.StatusCode == 101 {
			return 101, nil, false, nil
		}
		if resp.StatusCode >= 100 && resp.StatusCode <= 199 {
			continue
		}
		body, err = io.ReadAll(resp.Body)
		return resp.StatusCode, body, err == nil && !resp.Close && r.Buffered() == 0, err
	}
	return 0, nil, false, errors.New("too many interim answers")
}

// stricter finds what the lean client refuses and net/http does not: versions before 1.0, a status below 100, framing
// headers that are folded or have a space behind their name.
var stricter = regexp.MustCompile(`(?i)HTTP/0\.|HTTP/\d\.\d +(0\d\d|[+-]\d\d)( |\r?\n)|(content-length|transfer-encoding)( +:|:[^\n]*\n[ \t])`)

// laxer finds what net/http refuses and the lean client does not: trailers it does not look at.
var laxer = regexp.MustCompile(`(?i)trailer|\n0+[ \t]*(;[^\n]*)?\r\n[^\r]`)

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 503 Later\r\nRetry-After: 3\r\nConnection: close\r\n\r\nlater",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nKeep-Alive: timeout=5\r\n\r\n2;x=y\r\nok\r\n0\r\nA: b\r\n\r\n",
		"HTTP/1.0 200 OK\nA: b\n c\n\nbody",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 500 smuggled\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 8<<10 {
			return // limits are tested elsewhere
		}
		status, body, reusable, err := readAnswer(bytes.NewReader(b))
		dripStatus, dripBody, dripReusable, dripErr := readAnswer(iotest.OneByteReader(bytes.NewReader(b)))
		if status != dripStatus || !bytes.Equal(body, dripBody) || (err == nil) != (dripErr == nil) || reusable && !dripReusable {
			t.Fatalf("in one piece: %d %q %v; byte by byte: %d %q %v", status, body, err, dripStatus, dripBody, dripErr)
		}
		wantStatus, wantBody, wantReusable, wantErr := readAnswerByTheBook(bytes.NewReader(b))
		switch {
		case err != nil && wantErr != nil:
		case err != nil && !stricter.Match(b):
			t.Fatalf("refused (%v), net/http reads %d %q", err, wantStatus, wantBody)
		case wantErr != nil && err == nil && !laxer.Match(b):
			t.Fatalf("read as %d %q, net/http refuses it: %v", status, body, wantErr)
		case err == nil && wantErr == nil && (status != wantStatus || !bytes.Equal(body, wantBody)):
			t.Fatalf("read as %d %q, by net/http as %d %q", status, body, wantStatus, wantBody)
		}
		if reusable && wantErr == nil && !wantReusable {
			t.Fatalf("connection kept, net/http would not")
		}
		if status != 0 && (status < 100 || status > 999) {
			t.Fatalf("status %d", status)
		}
	})
}

func TestAnswersAreReadWithinTheirBounds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		start, more string
		most        int64
	}{
		"endless head":            {"HTTP/1.1 200 OK\r\n", "A: b\r\n", maxHead},
		"endless line":            {"HTTP/1.1 200 OK\r\nA: ", "x", maxHead},
		"endless interim answers": {"", "HTTP/1.1 100 Continue\r\n\r\n", maxHead},
		"endless body":            {"HTTP/1.1 200 OK\r\n\r\n", "x", maxBody},
		"endless chunks":          {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n", maxBody},
		"endless trailer":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "A: b\r\n", maxBody},
		"endless chunk extension": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "x", maxBody},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			counted := &countingReader{src: io.MultiReader(bytes.NewReader([]byte(c.start)), &endless{text: c.more})}
			_, body, reusable, _ := readAnswer(counted) // whether it is an error differs
			if counted.n > c.most+largeBuffer || len(body) > maxBody || reusable {
				t.Errorf("read %d bytes, kept %d, reusable %v, want at most %d and a buffer", counted.n, len(body), reusable, c.most)
			}
		})
	}
}

// endless repeats text for ever.
type endless struct {
	text string
	at   int
}

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = e.text[e.at]
		e.at = (e.at + 1) % len(e.text)
	}
	return len(b), nil
}

type countingReader struct {
	src io.Reader
	n   int64
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.src.Read(b)
	c.n += int64(n)
	return n, err
}

func TestAReaderThatReturnsNothingIsGivenUp(t *testing.T) {
	t.Parallel()
	if _, _, _, err := readAnswer(readerFunc(func([]byte) (int, error) { return 0, nil })); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("err = %v, want io.ErrNoProgress", err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestWhetherAConnectionIsKept(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok":                                                 true,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok":                       true,
		"HTTP/1.1 204 No Content\r\n\r\n":                                                                true,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n":                                 true,
		"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n":                                                   true,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok?":                                                false, // more than announced
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok":                            false,
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x\r\nConnection: y, Close\r\n\r\nok":        false,
		"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok":                                                 false,
		"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok":                                                 false,
		"HTTP/1.1 200 OK\r\n\r\nok":                                                                      false, // ends with the connection
		"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n": false, // says two things
		"HTTP/1.1 101 Switching Protocols\r\n\r\n":                                                       false,
	} {
		if _, _, got, err := readAnswer(bytes.NewReader([]byte(text))); err != nil || got != want {
			t.Errorf("%q: kept %v (%v), want %v", text, got, err, want)
		}
	}
}

func TestKeepAliveTimeout(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{
		"timeout=5": 4 * time.Second, "timeout=5, max=100": 4 * time.Second, "max=100,Timeout=60": 59 * time.Second, "timeout=1": time.Second / 2,
		"timeout=0": 0, "timeout=-5": 0, "timeout=x": 0, "": 0, "max=5": 0, "timeout=99999999999999999999": 999_999 * time.Second,
	} {
		if got := keepFor(keepAliveTimeout([]byte(value))); got != want {
			t.Errorf("keep-alive %q is kept for %v, want %v", value, got, want)
		}
	}
}
