package dialguard

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// exchangeTimeout bounds one question to one name server, so that a dead first one leaves time for the second (the
// default of 5 s in resolv.conf is longer than we ask in all).
const exchangeTimeout = 1500 * time.Millisecond

// silentHosts is how many hosts must have got no answer, with no answer to anything in between, before it is our name
// servers that are dead and not those of one host.
const silentHosts = 3

// nameServers asks the name servers of this machine, and tells their silence from that of one host's.
type nameServers struct {
	resolver net.Resolver
	exchange time.Duration

	mu     sync.Mutex
	silent []string // hosts without an answer since the last answer to anything; at most silentHosts
}

// dialFunc opens a connection to a name server.
type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func newNameServers(dial dialFunc) *nameServers {
	n := &nameServers{exchange: exchangeTimeout}
	n.resolver = net.Resolver{
		PreferGo: true, // getaddrinfo cannot be canceled, holds a thread, and takes numbers in odd forms for addresses
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			asked, _ := ctx.Value(questionKey{}).(*question)
			if asked == nil {
				asked = new(question)
			}
			asked.sent.Store(true)
			conn, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return watch(ctx, conn, asked, n.exchange), nil
		},
	}
	return n
}

// question notes what happened while one host was looked up.
type question struct{ sent, answered atomic.Bool }

type questionKey struct{}

// lookup returns the addresses of host in the order to try them, the families taking turns.
func (n *nameServers) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	q := new(question)
	addrs, err := n.resolver.LookupNetIP(context.WithValue(ctx, questionKey{}, q), "ip", host)
	if err != nil {
		return nil, n.blame(host, q, err)
	}
	if q.answered.Load() {
		n.heard()
	}
	return takeTurns(addrs), nil
}

// blame marks a failed look-up as our own fault if our name servers are why.
func (n *nameServers) blame(host string, q *question, err error) error {
	switch {
	case !q.sent.Load():
		return err // a name that is never asked for
	case q.answered.Load():
		n.heard()
		return err
	case isTimeout(err) && !n.silence(host):
		return err
	}
	return fmt.Errorf("%w: no name server answers: %w", ErrUnavailable, err)
}

func (n *nameServers) heard() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.silent = n.silent[:0]
}

// silence notes that host got no answer and reports whether that is so for everybody.
func (n *nameServers) silence(host string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.silent) < silentHosts && !slices.Contains(n.silent, host) {
		n.silent = append(n.silent, host)
	}
	return len(n.silent) == silentHosts
}

func takeTurns(addrs []netip.Addr) []netip.Addr {
	var same, other []netip.Addr
	for _, addr := range addrs {
		if addr = addr.Unmap(); addr.Is4() == addrs[0].Unmap().Is4() {
			same = append(same, addr)
		} else {
			other = append(other, addr)
		}
	}
	out := make([]netip.Addr, 0, len(addrs))
	for i := range max(len(same), len(other)) {
		out = append(append(out, same[min(i, len(same)):min(i+1, len(same))]...), other[min(i, len(other)):min(i+1, len(other))]...)
	}
	return out
}

// watchedConn is a connection to a name server that notes answers, keeps deadlines short, and ends with its context:
// net.Resolver would leave it reading until its deadline.
type watchedConn struct {
	net.Conn
	asked    *question
	exchange time.Duration
	release  func() bool
}

// watch returns a packet connection if conn is one: net.Resolver speaks DNS over UDP on those alone.
func watch(ctx context.Context, conn net.Conn, asked *question, exchange time.Duration) net.Conn {
	w := &watchedConn{Conn: conn, asked: asked, exchange: exchange}
	w.release = context.AfterFunc(ctx, func() {
		conn.SetDeadline(time.Unix(1, 0)) //nolint:errcheck // closed already: all the better
	})
	if p, ok := conn.(net.PacketConn); ok {
		return watchedPacketConn{w, p}
	}
	return w
}

func (w *watchedConn) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 {
		w.asked.answered.Store(true)
	}
	return n, err
}

func (w *watchedConn) SetDeadline(t time.Time) error {
	if limit := time.Now().Add(w.exchange); t.After(limit) {
		t = limit
	}
	return w.Conn.SetDeadline(t)
}

func (w *watchedConn) Close() error {
	w.release()
	return w.Conn.Close()
}

type watchedPacketConn struct {
	*watchedConn
	packets
}

type packets interface {
	ReadFrom(b []byte) (int, net.Addr, error)
	WriteTo(b []byte, addr net.Addr) (int, error)
}
