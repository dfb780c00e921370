package egress

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// patience is the timeout of attempts at servers that make us wait for it.
const patience = 400 * time.Millisecond

// mode is one way in which a server answers. reference is what net/http makes of it where that differs, and why.
type mode struct {
	name      string
	serve     func(c *rawConn) // after the request was read
	want      Outcome
	status    int
	reference Outcome
	why       string // the reference differs
}

// says serves text and ends the connection.
func says(text string) func(c *rawConn) { return func(c *rawConn) { c.say(text) } }

// saysAndWaits serves text and leaves the connection open.
func saysAndWaits(text string) func(c *rawConn) { return func(c *rawConn) { c.say(text); c.hang() } }

const ok200 = "HTTP/1.1 200 OK\r\n"

var modes = []mode{
	// Endings.
	{name: "RST at once", serve: (*rawConn).reset, want: OutcomeFailed},
	{name: "FIN before the answer", serve: func(*rawConn) {}, want: OutcomeFailed},
	{name: "half close, then nothing", serve: func(c *rawConn) { closeWrite(c); c.hang() }, want: OutcomeFailed},
	{name: "half close behind the answer", serve: func(c *rawConn) { c.say(ok200 + "Content-Length: 2\r\n\r\nok"); closeWrite(c); c.hang() }, want: OutcomeDelivered, status: 200},
	{name: "hang", serve: (*rawConn).hang, want: OutcomeFailed},
	{name: "FIN in the status line", serve: says("HTTP/1.1 2"), want: OutcomeFailed},
	{name: "FIN behind the status line", serve: says(ok200), want: OutcomeFailed},
	{name: "FIN in a header", serve: says(ok200 + "Content-Le"), want: OutcomeFailed},
	{name: "FIN before the empty line", serve: says(ok200 + "Content-Length: 0\r\n"), want: OutcomeFailed},
	{name: "hang in the status line", serve: saysAndWaits("HTTP/1.1 "), want: OutcomeFailed},
	{name: "hang in the headers", serve: saysAndWaits(ok200 + "A: b\r\n"), want: OutcomeFailed},
	{name: "hang in the body", serve: saysAndWaits(ok200 + "Content-Length: 5\r\n\r\nab"), want: OutcomeFailed, status: 200},
	{name: "FIN in the body", serve: says(ok200 + "Content-Length: 5\r\n\r\nab"), want: OutcomeFailed, status: 200},
	{name: "RST in the body", serve: func(c *rawConn) { c.say(ok200 + "Content-Length: 5\r\n\r\nab"); c.reset() }, want: OutcomeFailed},
	{name: "FIN in a failure's body", serve: says("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nab"), want: OutcomeFailed, status: 404},

	// Status lines.
	{name: "status 000", serve: says("HTTP/1.1 000 Nothing\r\nContent-Length: 0\r\n\r\n"), want: OutcomeFailed},
	{name: "status 099", serve: says("HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n"), want: OutcomeFailed},
	{name: "status 299", serve: says("HTTP/1.1 299 Fine\r\nContent-Length: 0\r\n\r\n"), want: OutcomeDelivered, status: 299},
	{name: "status 600", serve: says("HTTP/1.1 600 High\r\nContent-Length: 0\r\n\r\n"), want: OutcomeFailed, status: 600},
	{name: "status 999", serve: says("HTTP/1.1 999 No\r\nContent-Length: 0\r\n\r\n"), want: OutcomeFailed, status: 999},
	{name: "status of four digits", serve: says("HTTP/1.1 2000 OK\r\n\r\n"), want: OutcomeFailed},
	{name: "status of two digits", serve: says("HTTP/1.1 20 OK\r\n\r\n"), want: OutcomeFailed},
	{name: "status with a sign", serve: says("HTTP/1.1 +20 OK\r\n\r\n"), want: OutcomeFailed},
	{name: "status in words", serve: says("HTTP/1.1 OK\r\n\r\n"), want: OutcomeFailed},
	{name: "no reason", serve: says("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), want: OutcomeDelivered, status: 200},
	{name: "reason that is not UTF-8", serve: says("HTTP/1.1 500 \xff\xfe\r\nContent-Length: 0\r\n\r\n"), want: OutcomeFailed, status: 500},
	{name: "no HTTP at all", serve: says("220 mail.example ESMTP\r\n"), want: OutcomeFailed},
	{name: "binary", serve: says("\x00\x01\x02\x03\xff\r\n\r\n"), want: OutcomeFailed},
	{name: "HTTP/0.9", serve: says("<html>hello</html>"), want: OutcomeFailed},
	{name: "version in lower case", serve: says("http/1.1 200 OK\r\n\r\n"), want: OutcomeFailed},
	{name: "version of two digits", serve: says("HTTP/1.10 200 OK\r\n\r\n"), want: OutcomeFailed},
	{name: "HTTP/1.0", serve: says("HTTP/1.0 200 OK\r\n\r\nok"), want: OutcomeDelivered, status: 200},
	{name: "HTTP/2.0 in text", serve: says("HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"), want: OutcomeDelivered, status: 200},
	{name: "empty line before the answer", serve: says("\r\n" + ok200 + "Content-Length: 0\r\n\r\n"), want: OutcomeFailed},
	{name: "endless status line", serve: func(c *rawConn) { c.sayForever("HTTP/1.1 ", 0) }, want: OutcomeFailed},

	// Interim answers.
	{name: "100 and 103 before the answer", serve: says("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok200 + "Content-Length: 0\r\n\r\n"), want: OutcomeDelivered, status: 200},
	{name: "five interim answers", serve: says(strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 5) + ok200 + "Content-Length: 0\r\n\r\n"), want: OutcomeDelivered, status: 200},
	{name: "six interim answers", serve: says(strings.Repeat("HTTP/1.1 102 Processing\r\n\r\n", 6) + ok200 + "Content-Length: 0\r\n\r\n"), want: OutcomeFailed},
	{name: "flood of interim answers", serve: func(c *rawConn) { c.sayForever("HTTP/1.1 100 Continue\r\n\r\n", 0) }, want: OutcomeFailed},
	{name: "101", serve: saysAndWaits("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), want: OutcomeFailed, status: 101},

	// Headers.
	{name: "header of 40 KiB", serve: says(ok200 + "A: " + strings.Repeat("x", 40<<10) + "\r\nContent-Length: 0\r\n\r\n"), want: OutcomeFailed},
	{name: "header of 20 KiB", serve: says(ok200 + "A: " + strings.Repeat("x", 20<<10) + "\r\nContent-Length: 0\r\n\r\n"), want: OutcomeDelivered, status: 200},
	{name: "ten thousand headers", serve: says(ok200 + strings.Repeat("A: b\r\n", 10000) + "\r\n"), want: OutcomeFailed},
	{name: "endless headers", serve: func(c *rawConn) { c.say(ok200); c.sayForever("A: b\r\n", 0) }, want: OutcomeFailed},
	{name: "headers at a drip", serve: func(c *rawConn) { c.say(ok200); c.sayForever("A", 10*time.Millisecond) }, want: OutcomeFailed},
	{name: "header without a colon", serve: says(ok200 + "nonsense\r\n\r\n"), want: OutcomeFailed},
	{name: "header without a name", serve: says(ok200 + ": b\r\n\r\n"), want: OutcomeFailed},
	{name: "header name with control characters", serve: says(ok200 + "A\x01: b\r\n\r\n"), want: OutcomeFailed},
	{name: "header with NUL", serve: says(ok200 + "A: b\x00\r\n\r\n"), want: OutcomeFailed},
	{name: "header with CR inside", serve: says(ok200 + "A: b\rc\r\n\r\n"), want: OutcomeFailed},
	{name: "folded header", serve: says(ok200 + "A: b\r\n c\r\nContent-Length: 0\r\n\r\n"), want: OutcomeDelivered, status: 200},
	{name: "folded header first", serve: says(ok200 + " A: b\r\nContent-Length: 0\r\n\r\n"), want: OutcomeFailed},
	{name: "lines that end in LF", serve: says("HTTP/1.1 200 OK\nContent-Length: 0\n\n"), want: OutcomeDelivered, status: 200},
	{name: "space behind a name", serve: says(ok200 + "A : b\r\nContent-Length: 0\r\n\r\n"), want: OutcomeDelivered, status: 200},
	{
		name: "space behind content-length", serve: says(ok200 + "Content-Length : 2\r\n\r\nok"), want: OutcomeFailed,
		reference: OutcomeDelivered, why: "net/http does not take it for framing; others do, so nobody knows where the answer ends",
	},

	// Framing.
	{name: "content-length twice, the same", serve: says(ok200 + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok"), want: OutcomeDelivered, status: 200},
	{name: "content-length twice, different", serve: says(ok200 + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!"), want: OutcomeFailed},
	{name: "content-length list", serve: says(ok200 + "Content-Length: 2, 2\r\n\r\nok"), want: OutcomeFailed},
	{name: "content-length negative", serve: says(ok200 + "Content-Length: -1\r\n\r\n"), want: OutcomeFailed},
	{name: "content-length with plus", serve: says(ok200 + "Content-Length: +2\r\n\r\nok"), want: OutcomeFailed},
	{name: "content-length empty", serve: says(ok200 + "Content-Length:\r\n\r\n"), want: OutcomeFailed},
	{name: "content-length in hexadecimal", serve: says(ok200 + "Content-Length: 0x2\r\n\r\nok"), want: OutcomeFailed},
	{name: "content-length of 10^30", serve: says(ok200 + "Content-Length: 1" + strings.Repeat("0", 30) + "\r\n\r\nok"), want: OutcomeFailed},
	{name: "content-length of 10 GiB that comes", serve: func(c *rawConn) { c.say(ok200 + "Content-Length: 10737418240\r\n\r\n"); c.sayForever("x", 0) }, want: OutcomeDelivered, status: 200},
	{name: "body longer than it says", serve: says(ok200 + "Content-Length: 2\r\n\r\nokHTTP/1.1 500 No\r\n\r\n"), want: OutcomeDelivered, status: 200},
	{name: "body that ends with the connection", serve: says(ok200 + "\r\nok"), want: OutcomeDelivered, status: 200},
	{name: "body that never ends", serve: func(c *rawConn) { c.say(ok200 + "\r\n"); c.sayForever("x", 0) }, want: OutcomeDelivered, status: 200},
	{name: "failure's body that never ends", serve: func(c *rawConn) { c.say("HTTP/1.1 500 No\r\n\r\n"); c.sayForever("x", 0) }, want: OutcomeFailed, status: 500},
	{name: "body at a drip", serve: func(c *rawConn) { c.say(ok200 + "\r\n"); c.sayForever("x", 10*time.Millisecond) }, want: OutcomeFailed, status: 200},
	{name: "204 with a body", serve: says("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok"), want: OutcomeDelivered, status: 204},
	{name: "304", serve: says("HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n"), want: OutcomeRejected, status: 304},
	{name: "gzip bomb", serve: says(ok200 + "Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08" + strings.Repeat("\x00\xff", 1000)), want: OutcomeDelivered, status: 200},
	{name: "no gzip although it says so", serve: says("HTTP/1.1 500 No\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno"), want: OutcomeFailed, status: 500},

	// Chunks.
	{name: "chunks", serve: says(ok200 + "Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX: y\r\n\r\n"), want: OutcomeDelivered, status: 200},
	{name: "chunks in another case", serve: says(ok200 + "transfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n"), want: OutcomeDelivered, status: 200},
	{name: "chunks and content-length", serve: says(ok200 + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"), want: OutcomeDelivered, status: 200},
	{name: "chunk size that is none", serve: says(ok200 + "Transfer-Encoding: chunked\r\n\r\nxyz\r\nok\r\n0\r\n\r\n"), want: OutcomeFailed, status: 200},
	{name: "chunk size negative", serve: says(ok200 + "Transfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n"), want: OutcomeFailed, status: 200},
	{name: "chunk size of 17 digits", serve: says(ok200 + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\nok\r\n0\r\n\r\n"), want: OutcomeFailed, status: 200},
	{name: "chunk longer than it says", serve: says(ok200 + "Transfer-Encoding: chunked\r\n\r\n2\r\noops\r\n0\r\n\r\n"), want: OutcomeFailed, status: 200},
	{name: "chunk line that ends in LF", serve: says(ok200 + "Transfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n"), want: OutcomeFailed, status: 200},
	{name: "chunk extension of 5 KiB", serve: says(ok200 + "Transfer-Encoding: chunked\r\n\r\n2;" + strings.Repeat("a", 5<<10) + "\r\nok\r\n0\r\n\r\n"), want: OutcomeFailed, status: 200},
	{name: "FIN in a chunk", serve: says(ok200 + "Transfer-Encoding: chunked\r\n\r\n5\r\nab"), want: OutcomeFailed, status: 200},
	{name: "FIN before the last chunk", serve: says(ok200 + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"), want: OutcomeFailed, status: 200},
	{name: "FIN in the trailer", serve: says(ok200 + "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n"), want: OutcomeFailed, status: 200},
	{name: "chunks that never end", serve: func(c *rawConn) {
		c.say(ok200 + "Transfer-Encoding: chunked\r\n\r\n")
		c.sayForever("400\r\n"+strings.Repeat("x", 1024)+"\r\n", 0)
	}, want: OutcomeDelivered, status: 200},
	{name: "transfer-encoding gzip", serve: says(ok200 + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), want: OutcomeFailed},
	{name: "transfer-encoding twice", serve: says(ok200 + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), want: OutcomeFailed},
	{name: "transfer-encoding identity", serve: says(ok200 + "Transfer-Encoding: identity\r\n\r\nok"), want: OutcomeFailed},
	{name: "transfer-encoding in HTTP/1.0", serve: says("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nok"), want: OutcomeDelivered, status: 200},
	{
		name: "folded transfer-encoding", serve: says(ok200 + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"), want: OutcomeFailed,
		reference: OutcomeDelivered, why: "net/http joins folded lines; a folded line that frames the body is nothing a server writes by accident",
	},

	// Classes.
	{name: "redirect to metadata", serve: says("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://169.254.169.254/latest\r\nContent-Length: 0\r\n\r\n"), want: OutcomeRejected, status: 307},
	{name: "410", serve: says("HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"), want: OutcomeGone, status: 410},
	{name: "429", serve: says("HTTP/1.1 429 Slow Down\r\nContent-Length: 0\r\n\r\n"), want: OutcomeThrottled, status: 429},
	{name: "503 with a date", serve: says("HTTP/1.1 503 Later\r\nRetry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\nContent-Length: 0\r\n\r\n"), want: OutcomeThrottled, status: 503},
	{name: "503 with garbage", serve: says("HTTP/1.1 503 Later\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n"), want: OutcomeFailed, status: 503},
	{name: "503", serve: says("HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n"), want: OutcomeFailed, status: 503},
}

func closeWrite(c *rawConn) {
	c.Conn.(interface{ CloseWrite() error }).CloseWrite() //nolint:errcheck // the client may have gone
}

// Every mode is served to the lean client and to one made of net/http: they must class it alike, or it says why not.
func TestHostileAnswersAreClassedAlikeByBothClients(t *testing.T) {
	t.Parallel()
	if len(modes) < 60 {
		t.Fatalf("%d modes, want 60 at least", len(modes))
	}
	for _, m := range modes {
		for _, http := range []bool{false, true} {
			client, want := "lean", m.want
			if http {
				client = "net/http"
				if m.why != "" {
					want = m.reference
				}
			}
			t.Run(fmt.Sprintf("%s/%s", m.name, client), func(t *testing.T) {
				t.Parallel()
				srv := startRaw(t, func(c *rawConn) {
					if _, ok := c.request(); ok {
						m.serve(c)
					}
				})
				endpoint := endpointAt(srv.url)
				endpoint.Timeout = patience
				if m.want == OutcomeDelivered { // never a matter of time
					endpoint.Timeout = 10 * time.Second
				}
				res := send(t, newSender(t, options{http: http}), endpoint)
				if res.Outcome != want || !http && m.status != 0 && res.Status != m.status {
					t.Errorf("outcome %v, status %d (%s), want %v, %d", res.Outcome, res.Status, res.Error, want, m.status)
				}
				checkResult(t, res)
				if res.Duration > endpoint.Timeout+5*time.Second {
					t.Errorf("took %v, want %v at most", res.Duration, endpoint.Timeout)
				}
				if n := srv.connections(); n != 1 {
					t.Errorf("%d connections, want 1: an attempt is one request", n)
				}
			})
		}
	}
}

// checkResult checks what holds for every result.
func checkResult(t *testing.T, res Result) {
	t.Helper()
	if (res.Error == "") != (res.Outcome == OutcomeDelivered) {
		t.Errorf("outcome %v with error %q", res.Outcome, res.Error)
	}
	if len(res.Error) > maxReason || !utf8.ValidString(res.Error) || strings.ContainsFunc(res.Error, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("error %q is longer than 512 bytes or not printable", res.Error)
	}
	if len(res.Excerpt) > maxExcerpt || res.Outcome == OutcomeDelivered && len(res.Excerpt) > 0 {
		t.Errorf("outcome %v with an excerpt of %d bytes", res.Outcome, len(res.Excerpt))
	}
	if res.RetryAfter != 0 && (res.RetryAfter < minRetryAfter || res.RetryAfter > maxRetryAfter) {
		t.Errorf("retry after %v", res.RetryAfter)
	}
	if res.Started.IsZero() || res.Duration < 0 {
		t.Errorf("started %v, took %v", res.Started, res.Duration)
	}
}
