package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// conn is a connection to an endpoint. One attempt at a time uses it.
type conn struct {
	key    poolKey
	socket *socket
	stream net.Conn    // socket, or TLS over it
	secure *tls.Conn   // nil without TLS
	closed func() bool // of an idle one: the endpoint has closed it, or has said something unasked, which makes it as useless
	onEnd  func()      // called once it is closed

	onCancel func() // interrupt, made once
	born     time.Time

	// While it is idle they are the pool's:
	since        time.Time // idle from then on
	until        time.Time // not to be used from then on
	older, newer *conn     // of all, by since
	below, above *conn     // of the same key, by since
}

// socket counts what really left, which TLS does not tell.
type socket struct {
	net.Conn
	written int64
}

func (s *socket) Write(b []byte) (int, error) {
	n, err := s.Conn.Write(b)
	s.written += int64(n)
	return n, err
}

// past is a deadline that has passed.
var past = time.Unix(1, 0)

// end closes the connection at once, without TLS' farewell: it would wait for an endpoint that does not read.
func (c *conn) end() {
	c.socket.Close()
	c.onEnd()
}

// endIdle closes a connection on which nothing waits to be written.
func (c *conn) endIdle() {
	c.stream.Close()
	c.onEnd()
}

// errUntouched: the exchange failed before a byte of the request had left.
var errUntouched = errors.New("no byte of the request was sent")

// exchange sends a request and reads its answer into ans. reusable says that the connection may serve another. An error
// wraps errUntouched if the endpoint cannot have seen any of the request.
func (c *conn) exchange(ctx context.Context, deadline time.Time, req *request, ans *answer) (h head, reusable bool, err error) {
	c.stream.SetDeadline(deadline) //nolint:errcheck // it fails on a closed connection, and so does what follows
	if c.onCancel == nil {
		c.onCancel = c.interrupt
	}
	release := context.AfterFunc(ctx, c.onCancel)
	before := c.socket.written
	sending := c.send(req)
	h, whole, err := c.receive(req, ans)
	sendErr := c.sent(sending, whole)
	if sendErr != nil && c.socket.written == before { // what came, if anything, answers no request of ours
		err = fmt.Errorf("%w: %w", errUntouched, sendErr)
	}
	if err != nil {
		release()
		return h, false, err
	}
	reusable = whole && sendErr == nil && h.reusable() && !req.lines.buffered() && !c.pending()
	if !release() { // its deadline may change at any moment
		reusable = false
	}
	return h, reusable, nil
}

// interrupt makes whatever waits for the connection fail.
func (c *conn) interrupt() {
	c.socket.SetDeadline(past) //nolint:errcheck // closed already: all the better
}

// inlineBody is the largest body that is written before the answer is looked for, in one piece with the head, in bytes.
// A larger one is written beside it: an endpoint that refuses it early and does not read on would stall us both.
const inlineBody = 16 << 10

// answeredGrace is how long the writing of a large body may end after the whole answer has come.
const answeredGrace = 50 * time.Millisecond

// errUnread: the endpoint answered without reading the request to its end.
var errUnread = errors.New("request not read to its end")

// sending is a request on its way.
type sending struct {
	err  error      // of one that was written at once
	done chan error // of one that is written in the background; nil: there is none
}

// send writes req, a large body in the background. What it returns must be waited for.
func (c *conn) send(req *request) sending {
	if len(req.body) <= inlineBody {
		req.head = append(req.head, req.body...)
		_, err := c.stream.Write(req.head)
		return sending{err: err}
	}
	done := make(chan error, 1)
	go func() {
		_, err := c.stream.Write(req.head)
		if err == nil {
			_, err = c.stream.Write(req.body)
		}
		done <- err
	}()
	return sending{done: done}
}

// sent waits for the end of s and returns its error. What is still being written it cuts off: at once if there is no
// whole answer, which is then not going to come.
func (c *conn) sent(s sending, answered bool) error {
	if s.done == nil {
		return s.err
	}
	if answered {
		grace := time.NewTimer(answeredGrace)
		defer grace.Stop()
		select {
		case err := <-s.done:
			return err
		case <-grace.C:
		}
	}
	c.interrupt()
	return errors.Join(errUnread, <-s.done)
}

// receive reads the answer.
func (c *conn) receive(req *request, ans *answer) (h head, whole bool, err error) {
	req.lines.reset(c.stream)
	if h, err = readHead(&req.lines, time.Now()); err != nil {
		return h, false, err
	}
	ans.status, ans.retryAfter, ans.hasRetry = h.status, h.retryAfter, h.hasRetry
	whole, err = readBody(&req.lines, &h, ans.keep)
	return h, whole, err
}

// pending reports whether TLS holds bytes that came behind the answer: they would be taken for the next one.
func (c *conn) pending() bool {
	if c.secure == nil {
		return false
	}
	var b [1]byte
	c.secure.SetReadDeadline(past) //nolint:errcheck // see exchange
	n, err := c.secure.Read(b[:])
	return n > 0 || !errors.Is(err, os.ErrDeadlineExceeded)
}
