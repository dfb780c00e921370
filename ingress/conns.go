package ingress

import (
	"net"
	"net/netip"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// perAddress is a listener that closes connections from an address that has too many open.
type perAddress struct {
	net.Listener
	limit   int
	refused prometheus.Counter

	mu   sync.Mutex
	open map[netip.Prefix]int
}

func limitPerAddress(ln net.Listener, limit int, refused prometheus.Counter) *perAddress {
	return &perAddress{Listener: ln, limit: limit, refused: refused, open: map[netip.Prefix]int{}}
}

// Accept returns the next connection that is within the limit.
func (l *perAddress) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		client, limited := clientOf(conn.RemoteAddr())
		if !limited {
			return conn, nil
		}
		if !l.enter(client) {
			l.refused.Inc()
			conn.Close()
			continue
		}
		return &countedConn{Conn: conn, leave: sync.OnceFunc(func() { l.leave(client) })}, nil
	}
}

// clientOf returns whom a connection counts for: an IPv4 address, or a /64 of IPv6, which one client has whole.
func clientOf(addr net.Addr) (client netip.Prefix, limited bool) {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return client, false
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	if !ip.IsValid() || ip.IsLoopback() {
		return client, false
	}
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	client, err := ip.Prefix(bits)
	return client, err == nil
}

func (l *perAddress) enter(client netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[client] >= l.limit {
		return false
	}
	l.open[client]++
	return true
}

func (l *perAddress) leave(client netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[client]--; l.open[client] == 0 {
		delete(l.open, client)
	}
}

type countedConn struct {
	net.Conn
	leave func()
}

// Close closes the connection and gives its place free.
func (c *countedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
