package main

import (
	"bufio"
	"net"
	"strconv"
	"time"
)

// answerTimeout is how long the benchmark's clients wait for an answer.
const answerTimeout = 20 * time.Second

// client is one keep-alive HTTP/1.1 connection, opened when it is first needed and again after an error.
type client struct {
	addr string
	conn net.Conn
	r    *bufio.Reader
	buf  []byte
	set  time.Time // when the deadline was last moved
}

// post writes a whole request and returns the status of its answer. After an error nobody knows whether it arrived.
func (c *client) post(request []byte) (status int, err error) {
	if c.conn == nil {
		if err := c.open(); err != nil {
			return 0, err
		}
	}
	if status, err = c.exchange(request); err != nil {
		c.close()
	}
	return status, err
}

func (c *client) open() error {
	conn, err := net.DialTimeout("tcp", c.addr, 5*time.Second)
	if err != nil {
		return err
	}
	c.conn, c.r, c.set = conn, bufio.NewReaderSize(conn, 4096), time.Time{}
	return nil
}

func (c *client) exchange(request []byte) (int, error) {
	// Moving the deadline costs as much as a tenth of the exchange, and it need not be exact.
	if now := time.Now(); now.Sub(c.set) > answerTimeout/4 {
		c.set = now
		if err := c.conn.SetDeadline(now.Add(answerTimeout + answerTimeout/4)); err != nil {
			return 0, err
		}
	}
	if _, err := c.conn.Write(request); err != nil {
		return 0, err
	}
	h, err := readHead(c.r, nil)
	if err != nil {
		return 0, noEOF(err)
	}
	if c.buf, err = readBody(c.r, h.length, c.buf); err != nil {
		return 0, err
	}
	if h.closing {
		c.close()
	}
	return h.status, nil
}

func (c *client) close() {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
}

// statusError is an answer other than 2xx.
type statusError int

func (s statusError) Error() string { return strconv.Itoa(int(s)) }
