package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// handshakeTimeout bounds a TLS handshake.
const handshakeTimeout = 5 * time.Second

// maxSessions is how many TLS sessions are kept to be resumed: one for each host name, some KiB each.
const maxSessions = 4096

// client is a lean HTTP/1.1 client for one kind of request: a POST whose answer is read only in part. Against net/http it
// saves the goroutines, the maps and the copies; benchmarks and the differential test stand beside it.
type client struct {
	dial      func(ctx context.Context, network, address string) (net.Conn, error)
	tls       *tls.Config
	handshake time.Duration
	pool      *pool
	opened    prometheus.Counter
	open      prometheus.Gauge
}

// request is what one attempt sends, and what it is read with. It is used again.
type request struct {
	head  []byte // request line and headers, with the empty line
	body  []byte // the event's, not to be changed
	lines lineReader
}

// newTLSConfig returns the one TLS profile: TLS 1.2 and up, HTTP/1.1 alone, sessions resumed.
func newTLSConfig(roots *x509.CertPool) *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		RootCAs:            roots,
		NextProtos:         []string{"http/1.1"},
		ClientSessionCache: tls.NewLRUClientSessionCache(maxSessions),
	}
}

// stage is how far an attempt got.
type stage uint8

const (
	stageConnect stage = iota // looking the host up, connecting
	stageTLS
	stageAnswer // request under way, or sent
)

// failure is why an attempt got no whole answer.
type failure struct {
	stage stage
	err   error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

// roundTrip sends req to t's endpoint and reads its answer into ans, by deadline. Its error is a *failure.
//
// A request goes out once. Only if it went to an idle connection, and that failed before a byte of it had left, is it
// sent again on a new one: nobody can have acted on it.
func (cl *client) roundTrip(ctx context.Context, deadline time.Time, t *target, req *request, ans *answer) error {
	if c := cl.pool.get(t.key, time.Now()); c != nil {
		headLen := len(req.head)
		err := cl.exchange(ctx, deadline, c, req, ans)
		if !errors.Is(err, errUntouched) || ctx.Err() != nil || !time.Now().Before(deadline) {
			return err
		}
		req.head = req.head[:headLen]
		ans.reset()
	}
	c, err := cl.connect(ctx, deadline, t)
	if err != nil {
		return err
	}
	return cl.exchange(ctx, deadline, c, req, ans)
}

// exchange uses c for one request, and keeps it for the next or closes it.
func (cl *client) exchange(ctx context.Context, deadline time.Time, c *conn, req *request, ans *answer) error {
	done := false
	defer func() { // also of a panic's connection
		if !done {
			c.end()
		}
	}()
	h, reusable, err := c.exchange(ctx, deadline, req, ans)
	if err != nil {
		return &failure{stageAnswer, err}
	}
	if now := time.Now(); reusable && now.Sub(c.born) < maxAge {
		done = true
		cl.pool.put(c, keepFor(h.keepAlive), now)
	}
	return nil
}

// maxAge is how long a connection is used at most: a host that moves to another address is followed, busy or not.
const maxAge = 10 * time.Minute

// keepFor returns how long to keep a connection that the endpoint says it keeps for timeout: a second less, so that it is
// not closed while the next request is on its way. 0 is as long as we like.
func keepFor(timeout time.Duration) time.Duration {
	if timeout == 0 {
		return 0
	}
	return max(timeout-time.Second, timeout/2)
}

func (cl *client) connect(ctx context.Context, deadline time.Time, t *target) (*conn, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	raw, err := cl.dial(ctx, "tcp", t.key.address)
	if err != nil {
		return nil, &failure{stageConnect, err}
	}
	cl.opened.Inc()
	cl.open.Inc()
	s := &socket{Conn: raw}
	c := &conn{key: t.key, socket: s, stream: s, closed: newProbe(raw), onEnd: cl.open.Dec, born: time.Now()}
	if t.key.host == "" {
		return c, nil
	}
	if err := cl.secure(ctx, c); err != nil {
		c.end()
		return nil, &failure{stageTLS, err}
	}
	return c, nil
}

// errHandshake: the endpoint did not finish the TLS handshake in the time for it.
var errHandshake = fmt.Errorf("handshake not finished within %v", handshakeTimeout)

func (cl *client) secure(ctx context.Context, c *conn) error {
	ctx, cancel := context.WithTimeoutCause(ctx, cl.handshake, errHandshake)
	defer cancel()
	cfg := cl.tls.Clone()
	cfg.ServerName = c.key.host
	c.secure = tls.Client(c.socket, cfg)
	if err := c.secure.HandshakeContext(ctx); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return err
	}
	c.stream = c.secure
	return nil
}

func (cl *client) close() { cl.pool.close() }
