//go:build unix

package egress

import (
	"net"
	"syscall"
)

// probe looks at an idle socket without waiting for it.
type probe struct {
	raw    syscall.RawConn
	look   func(fd uintptr) // p.read, made once
	buf    [1]byte
	silent bool // the last look found nothing to read, nor an end
}

// newProbe returns a function that reports whether the other side of conn has closed it or sent something. Of what is
// no socket it cannot tell and says yes: a connection that may be closed is not worth an attempt.
func newProbe(conn net.Conn) (closed func() bool) {
	sc, ok := conn.(syscall.Conn)
	if !ok {
		return func() bool { return true }
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return func() bool { return true }
	}
	p := &probe{raw: raw}
	p.look = p.read
	return p.closed
}

func (p *probe) closed() bool {
	p.silent = false
	return p.raw.Control(p.look) != nil || !p.silent
}

// read takes a byte if there is one: then the connection is given up. The sockets of package net do not block.
func (p *probe) read(fd uintptr) {
	for {
		if _, err := syscall.Read(int(fd), p.buf[:]); err != syscall.EINTR {
			p.silent = err == syscall.EAGAIN
			return
		}
	}
}
