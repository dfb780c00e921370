package egress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"
)

// head is what is needed of the lines before an answer's body. What an endpoint says elsewhere is not looked at.
type head struct {
	status     int
	proto11    bool // HTTP/1.1: framing by chunks, and connections that stay open
	length     int64
	hasLength  bool
	chunked    bool
	codings    int // lines of transfer-encoding
	close      bool
	keepAlive  time.Duration // how long the endpoint keeps an idle connection; 0: it does not say
	retryAfter time.Duration
	hasRetry   bool
}

// readHead reads the head of the final answer, stepping over at most five that are not final.
func readHead(r *lineReader, now time.Time) (h head, err error) {
	r.allow(maxHead)
	for range max1xx + 1 {
		h = head{}
		if err := h.read(r, now); err != nil {
			return h, err
		}
		if h.status < 100 || h.status > 199 || h.status == 101 {
			return h, nil
		}
	}
	return h, fmt.Errorf("%w: more than %d interim answers", errMalformed, max1xx)
}

func (h *head) read(r *lineReader, now time.Time) error {
	line, err := r.line()
	if errors.Is(err, io.EOF) && r.buffered() {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	if err := h.readStatusLine(line); err != nil {
		return err
	}
	framing := false // the line before was one that frames the body
	for first := true; ; first = false {
		line, err := r.line()
		switch {
		case errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		case len(line) == 0:
			return h.check()
		case line[0] == ' ' || line[0] == '\t': // folded (RFC 9112 §5.2): the value goes on
			if first || framing {
				return fmt.Errorf("%w: folded header", errMalformed)
			}
			if err := checkValue(line); err != nil {
				return err
			}
		default:
			if framing, err = h.readField(line, now); err != nil {
				return err
			}
		}
	}
}

// readStatusLine reads "HTTP/1.1 200 OK"; the reason is optional.
func (h *head) readStatusLine(line []byte) error {
	version, rest, ok := bytes.Cut(line, []byte{' '})
	// There were no status lines before HTTP/1.0: what says 0 is no version that can be framed by any rule.
	if !ok || len(version) != len("HTTP/1.1") || string(version[:5]) != "HTTP/" || version[5] < '1' || version[5] > '9' || version[6] != '.' || !isDigit(version[7]) {
		return fmt.Errorf("%w: status line", errMalformed)
	}
	code, _, _ := bytes.Cut(bytes.TrimLeft(rest, " "), []byte{' '})
	if len(code) != 3 || !isDigit(code[0]) || code[0] == '0' || !isDigit(code[1]) || !isDigit(code[2]) {
		return fmt.Errorf("%w: status code", errMalformed)
	}
	h.status = int(code[0]-'0')*100 + int(code[1]-'0')*10 + int(code[2]-'0')
	h.proto11 = version[5] > '1' || version[5] == '1' && version[7] > '0'
	h.close = version[5] != '1'
	return nil
}

// readField reads a header line and reports whether it is one that frames the body.
func (h *head) readField(line []byte, now time.Time) (framing bool, err error) {
	name, value, ok := bytes.Cut(line, []byte{':'})
	if !ok || len(name) == 0 {
		return false, fmt.Errorf("%w: header line without a name", errMalformed)
	}
	for _, c := range name {
		if !tokenBytes[c] && c != ' ' {
			return false, fmt.Errorf("%w: header name", errMalformed)
		}
	}
	if err := checkValue(value); err != nil {
		return false, err
	}
	value = trimSpace(value)
	switch {
	case is(name, "content-length"):
		return true, h.setLength(value)
	case is(name, "transfer-encoding"):
		h.codings++
		h.chunked = is(value, "chunked")
		return true, nil
	case is(name, "connection"):
		h.close = h.close || hasToken(value, "close")
	case is(name, "keep-alive"):
		h.keepAlive = keepAliveTimeout(value)
	case is(name, "retry-after"):
		if !h.hasRetry {
			h.retryAfter, h.hasRetry = parseRetryAfter(string(value), now)
		}
	case name[len(name)-1] == ' ' && (is(trimSpace(name), "content-length") || is(trimSpace(name), "transfer-encoding")):
		// Some read it as framing and some do not: nobody knows where this answer ends.
		return false, fmt.Errorf("%w: space behind the name of a header that frames the body", errMalformed)
	}
	return false, nil
}

func checkValue(value []byte) error {
	for _, c := range value {
		if isControl(c) {
			return fmt.Errorf("%w: control character in a header", errMalformed)
		}
	}
	return nil
}

// setLength takes a Content-Length. A repeated one must say the same.
func (h *head) setLength(value []byte) error {
	var n int64
	for _, c := range value {
		if !isDigit(c) || n > (1<<62)/10 {
			return fmt.Errorf("%w: content-length is not one number", errMalformed)
		}
		n = n*10 + int64(c-'0')
	}
	if len(value) == 0 || h.hasLength && n != h.length {
		return fmt.Errorf("%w: content-length is not one number", errMalformed)
	}
	h.length, h.hasLength = n, true
	return nil
}

// check looks at what only the whole head says.
func (h *head) check() error {
	if h.codings == 0 || !h.proto11 {
		h.chunked = false // HTTP/1.0 knows no chunks
		return nil
	}
	if h.codings > 1 || !h.chunked {
		return fmt.Errorf("%w: transfer-encoding other than chunked", errMalformed)
	}
	return nil
}

// reusable reports whether the connection may serve another request, once the body has been read to its end.
func (h *head) reusable() bool {
	framed := h.chunked != h.hasLength || h.bodiless() // both: whoever wrote it is confused, or wants us to be
	return h.proto11 && !h.close && framed && h.status >= 200
}

// bodiless reports whether the answer ends with its head, whatever the head says.
func (h *head) bodiless() bool { return h.status == 204 || h.status == 304 || h.status < 200 }

// keepAliveTimeout reads the timeout of "timeout=5, max=100"; 0 if there is none.
func keepAliveTimeout(value []byte) time.Duration {
	for param := range bytes.SplitSeq(value, []byte{','}) {
		name, number, _ := bytes.Cut(trimSpace(param), []byte{'='})
		if !is(name, "timeout") {
			continue
		}
		if d, ok := parseSeconds(string(number)); ok && d > 0 {
			return d
		}
	}
	return 0
}

// hasToken reports whether the comma-separated list has the token.
func hasToken(list []byte, token string) bool {
	for item := range bytes.SplitSeq(list, []byte{','}) {
		if is(trimSpace(item), token) {
			return true
		}
	}
	return false
}

// is reports whether b is the ASCII word, which is in lower case.
func is(b []byte, word string) bool {
	if len(b) != len(word) {
		return false
	}
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func trimSpace(b []byte) []byte { return bytes.Trim(b, " \t") }
