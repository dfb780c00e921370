package dialguard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// network is a set of addresses that answer or do not.
type network struct {
	takes  map[string]time.Duration // to connect; addresses that are missing hang
	fails  map[string]error
	closed []string // connections that were made and closed again
}

func (n *network) dial(ctx context.Context, target netip.AddrPort) (net.Conn, error) {
	addr := target.Addr().String()
	wait := make(<-chan time.Time)
	if d, ok := n.takes[addr]; ok {
		wait = time.After(d)
	}
	select {
	case <-wait:
		if err := n.fails[addr]; err != nil {
			return nil, err
		}
		return &madeConn{net: n, addr: addr}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type madeConn struct {
	net.Conn
	net  *network
	addr string
}

func (c *madeConn) Close() error { c.net.closed = append(c.net.closed, c.addr); return nil }

func TestAddressesAreTriedBesideOneThatHangs(t *testing.T) {
	for _, c := range []struct {
		name  string
		takes map[string]time.Duration
		fails map[string]error
		won   string        // "" means that none did
		after time.Duration // from the start
		err   error
	}{
		{"the first answers", map[string]time.Duration{"1.0.0.1": 10}, nil, "1.0.0.1", 10, nil},
		{"the first hangs", map[string]time.Duration{"1.0.0.2": 10}, nil, "1.0.0.2", 300*time.Millisecond + 10, nil},
		{"the first is slow and wins", map[string]time.Duration{"1.0.0.1": time.Second, "1.0.0.2": 2 * time.Second}, nil, "1.0.0.1", time.Second, nil},
		{"the first refuses", map[string]time.Duration{"1.0.0.1": 10, "1.0.0.2": 10}, map[string]error{"1.0.0.1": syscall.ECONNREFUSED}, "1.0.0.2", 20, nil},
		{"all hang", nil, nil, "", 5 * time.Second, context.DeadlineExceeded},
		{
			"no way to some, others refuse",
			map[string]time.Duration{"1.0.0.1": 0, "1.0.0.2": 0, "1.0.0.3": 0},
			map[string]error{"1.0.0.1": syscall.ENETUNREACH, "1.0.0.2": syscall.ECONNREFUSED, "1.0.0.3": syscall.ENETUNREACH},
			"", 0, syscall.ECONNREFUSED,
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			g := newGuard(t, Defaults())
			resolvesTo(g, "1.0.0.1", "1.0.0.2", "1.0.0.3")
			n := &network{takes: c.takes, fails: c.fails}
			g.dialOne = n.dial
			start := time.Now()
			conn, err := g.DialContext(t.Context(), "tcp", "several.example:443")
			won := ""
			if err == nil {
				won = conn.(*madeConn).addr
			}
			if won != c.won || time.Since(start) != c.after || !errors.Is(err, c.err) {
				t.Errorf("%s: connected to %q after %v (%v), want %q after %v (%v)", c.name, won, time.Since(start), err, c.won, c.after, c.err)
			}
			if len(n.closed) != 0 {
				t.Errorf("%s: closed %v", c.name, n.closed)
			}
		})
	}
}

func TestTheSlowerOfTwoConnectionsIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuard(t, Defaults())
		resolvesTo(g, "1.0.0.1", "1.0.0.2")
		n := &network{takes: map[string]time.Duration{"1.0.0.1": time.Second, "1.0.0.2": time.Second - fallbackDelay}}
		deaf := func(_ context.Context, target netip.AddrPort) (net.Conn, error) {
			return n.dial(context.WithoutCancel(t.Context()), target)
		}
		g.dialOne = deaf // as one whose connection stands before it hears that another has won
		conn, err := g.DialContext(t.Context(), "tcp", "several.example:443")
		if err != nil || len(n.closed) != 1 || n.closed[0] == conn.(*madeConn).addr {
			t.Errorf("DialContext = %v, %v, closed %v, want one and the other closed", conn, err, n.closed)
		}
	})
}

func TestAFinalDotKeepsTheSearchListAway(t *testing.T) {
	t.Parallel()
	g := newGuard(t, Defaults())
	var asked []string
	g.resolver.lookupHost = func(_ context.Context, host string) ([]netip.Addr, error) {
		asked = append(asked, host)
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	}
	for _, host := range []string{"Example.COM", "Example.COM."} {
		if _, err := g.DialContext(t.Context(), "tcp", host+":443"); err == nil {
			t.Errorf("DialContext(%s) = nil", host)
		}
	}
	if got := strings.Join(asked, " "); got != "example.com example.com." {
		t.Errorf("asked for %s", got)
	}
}
