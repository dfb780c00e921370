package ingress

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// scriptedListener accepts connections from the given addresses, then fails.
type scriptedListener struct {
	net.Listener
	from   []string
	opened []*scriptedConn
}

type scriptedConn struct {
	net.Conn
	from   net.Addr
	closed bool
}

func (c *scriptedConn) RemoteAddr() net.Addr { return c.from }
func (c *scriptedConn) Close() error         { c.closed = true; return nil }

func (l *scriptedListener) Accept() (net.Conn, error) {
	if len(l.from) == 0 {
		return nil, errors.New("no more")
	}
	c := &scriptedConn{from: net.TCPAddrFromAddrPort(netip.MustParseAddrPort(l.from[0]))}
	l.from = l.from[1:]
	l.opened = append(l.opened, c)
	return c, nil
}

func TestConnectionsFromOneAddress(t *testing.T) {
	tests := []struct {
		name    string
		from    []string
		refused int
	}{
		{"two of one address", []string{"192.0.2.1:1", "192.0.2.1:2"}, 0},
		{"three of one address", []string{"192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3"}, 1},
		{"three of three addresses", []string{"192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"}, 0},
		{"IPv4 in both forms", []string{"192.0.2.1:1", "[::ffff:192.0.2.1]:2", "192.0.2.1:3"}, 1},
		{"a /64 of IPv6", []string{"[2001:db8::1]:1", "[2001:db8::2]:2", "[2001:db8::ffff:3]:3"}, 1},
		{"three /64", []string{"[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:2", "[2001:db8:0:3::1]:3"}, 0},
		{"link-local with a zone", []string{"[fe80::1%eth0]:1", "[fe80::1%eth1]:2", "[fe80::2%eth0]:3"}, 1},
		{"loopback", []string{"127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", "[::1]:1", "[::1]:2", "[::1]:3", "[::ffff:127.0.0.1]:1"}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "x"})
			script := &scriptedListener{from: tt.from}
			ln := limitPerAddress(script, 2, counter)
			var conns []net.Conn
			for {
				c, err := ln.Accept()
				if err != nil {
					break
				}
				conns = append(conns, c)
			}
			if got := len(tt.from) - len(conns); got != tt.refused || int(testutil.ToFloat64(counter)) != tt.refused {
				t.Errorf("%d refused, counted %v, want %d", got, testutil.ToFloat64(counter), tt.refused)
			}
			closed := 0
			for _, c := range script.opened {
				if c.closed {
					closed++
				}
			}
			if closed != tt.refused {
				t.Errorf("%d closed, want the refused %d", closed, tt.refused)
			}
			for _, c := range conns {
				c.Close()
				c.Close() // net/http does, sometimes
			}
			if len(ln.open) > 0 {
				t.Errorf("places still taken: %v", ln.open)
			}
		})
	}
}
