package dialguard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

// loopbackSpellings are the ways of writing this machine that one resolver or another takes.
var loopbackSpellings = []string{
	"127.0.0.1", "localhost", "localhost.", "LOCALHOST", "0", "0.0.0.0", "127.1", "0x7f.1", "0x7f000001", "2130706433", "017700000001",
	"0177.0.0.1", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::1%25lo]", "a@127.0.0.1", "①②⑦.⓪.⓪.①",
	"127。0。0。1", "[64:ff9b::7f00:1]", "127.0.0.1.", "ip6-localhost",
}

// listen returns the port of a listener on all addresses, and a count of connections to it.
func listen(t *testing.T) (port string, accepted *atomic.Int64) {
	t.Helper()
	ln, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	accepted = new(atomic.Int64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			accepted.Add(1)
			conn.Close()
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return strconv.Itoa(ln.Addr().(*net.TCPAddr).Port), accepted
}

func TestNoSpellingOfLoopbackIsReached(t *testing.T) {
	t.Parallel()
	port, accepted := listen(t)
	g := newGuard(t, Config{AllowHTTP: true})
	client := &http.Client{Transport: &http.Transport{DialContext: g.DialContext, DisableKeepAlives: true}}
	for _, host := range loopbackSpellings {
		if err := g.CheckURL("http://" + host + ":" + port + "/"); err == nil && host != "ip6-localhost" {
			t.Errorf("CheckURL(http://%s/) = nil", host)
		}
		if resp, err := client.Post("http://"+host+":"+port+"/", "text/plain", nil); err == nil {
			resp.Body.Close()
			t.Errorf("POST to %s was answered", host)
		}
		if conn, err := g.DialContext(t.Context(), "tcp", strings.Trim(host, "[]")+":"+port); err == nil {
			conn.Close()
			t.Errorf("DialContext(%s) connected", host)
		}
		if conn, err := g.DialContext(t.Context(), "tcp", net.JoinHostPort(strings.Trim(strings.Replace(host, "%25", "%", 1), "[]"), port)); err == nil {
			conn.Close()
			t.Errorf("DialContext(%s) connected", host)
		}
	}
	if n := accepted.Load(); n != 0 {
		t.Errorf("%d connections reached loopback, want none", n)
	}
}

func TestAllowedLoopbackIsReachedByNameAndAddress(t *testing.T) {
	t.Parallel()
	port, _ := listen(t)
	g := newGuard(t, Config{Allow: []string{"127.0.0.0/8", "::1/128"}})
	for _, host := range []string{"127.0.0.1", "127.0.0.2", "localhost", "Localhost"} {
		conn, err := g.DialContext(t.Context(), "tcp", net.JoinHostPort(host, port))
		if err != nil {
			t.Errorf("DialContext(%s) = %v", host, err)
			continue
		}
		conn.Close()
	}
}

// resolvesTo makes g see host as addrs, whatever the name servers say.
func resolvesTo(g *Guard, addrs ...string) {
	g.resolver.lookupHost = func(context.Context, string) ([]netip.Addr, error) {
		var out []netip.Addr
		for _, a := range addrs {
			out = append(out, netip.MustParseAddr(a))
		}
		return out, nil
	}
}

func TestOneDeniedAddressRefusesTheHost(t *testing.T) {
	t.Parallel()
	port, accepted := listen(t)
	for _, answers := range [][]string{{"127.0.0.1", "10.0.0.1"}, {"10.0.0.1", "127.0.0.1"}, {"127.0.0.1", "::1"}, {"127.0.0.1", "::ffff:10.0.0.1"}} {
		g := newGuard(t, Config{Allow: []string{"127.0.0.0/8"}})
		resolvesTo(g, answers...)
		if _, err := g.DialContext(t.Context(), "tcp", "mixed.example:"+port); !errors.Is(err, ErrDenied) {
			t.Errorf("DialContext of a host at %v = %v, want ErrDenied", answers, err)
		}
	}
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("127.0.%d.%d", i/250, 1+i%250))
	}
	g := newGuard(t, Config{Allow: []string{"127.0.0.0/8"}})
	resolvesTo(g, append(many, "192.168.0.1")...)
	if _, err := g.DialContext(t.Context(), "tcp", "many.example:"+port); !errors.Is(err, ErrDenied) {
		t.Errorf("DialContext of a host whose 1,001st address is denied = %v, want ErrDenied", err)
	}
	if n := accepted.Load(); n != 0 {
		t.Errorf("%d connections, want none", n)
	}
}

func TestTheNextAddressIsTriedWhenOneRefuses(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp4", "127.0.0.3:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	g := newGuard(t, Config{Allow: []string{"127.0.0.0/8"}})
	resolvesTo(g, "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4")
	conn, err := g.DialContext(t.Context(), "tcp", "several.example:"+strconv.Itoa(ln.Addr().(*net.TCPAddr).Port))
	if err != nil {
		t.Fatalf("DialContext = %v, want the third address", err)
	}
	defer conn.Close()
	if got := conn.RemoteAddr().(*net.TCPAddr).IP.String(); got != "127.0.0.3" {
		t.Errorf("connected to %s, want 127.0.0.3", got)
	}
}

func TestRefusedConnectionsSayTheFirstReason(t *testing.T) {
	t.Parallel()
	g := newGuard(t, Config{Allow: []string{"127.0.0.0/8"}})
	resolvesTo(g, "127.0.0.1", "127.0.0.2")
	_, err := g.DialContext(t.Context(), "tcp", "closed.example:1")
	if !errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, ErrDenied) || errors.Is(err, ErrUnavailable) {
		t.Errorf("DialContext to a closed port = %v, want ECONNREFUSED as the host's fault", err)
	}
}

func TestDialOfNonsenseIsDenied(t *testing.T) {
	t.Parallel()
	g := newGuard(t, Config{Allow: []string{"0.0.0.0/0"}})
	for _, c := range []struct{ network, address string }{
		{"udp", "127.0.0.1:53"},
		{"tcp4", "127.0.0.1:80"},
		{"tcp", "127.0.0.1"},
		{"tcp", "127.0.0.1:http"},
		{"tcp", "127.0.0.1:99999"},
		{"tcp", ":80"},
		{"tcp", "a b:80"},
		{"tcp", "127.0.0.1:22"},
		{"tcp", ""},
	} {
		if _, err := g.DialContext(t.Context(), c.network, c.address); !errors.Is(err, ErrDenied) {
			t.Errorf("DialContext(%q, %q) = %v, want ErrDenied", c.network, c.address, err)
		}
	}
}

func TestOurOwnFaultsAreToldFromTheHosts(t *testing.T) {
	t.Parallel()
	g := newGuard(t, Defaults())
	for _, c := range []struct {
		name  string
		addr  string
		err   error
		route bool
		ours  bool
	}{
		{"out of file descriptors", "8.8.8.8", syscall.EMFILE, true, true},
		{"out of file descriptors in the system", "8.8.8.8", syscall.ENFILE, true, true},
		{"out of local ports", "8.8.8.8", syscall.EADDRNOTAVAIL, true, true},
		{"no address of the host's family", "2606:4700::1111", syscall.EADDRNOTAVAIL, true, false},
		{"a route that is prohibited", "8.8.8.8", syscall.EACCES, true, false},
		{"no route at all", "8.8.8.8", syscall.ENETUNREACH, false, true},
		{"no route to this one", "8.8.8.8", syscall.ENETUNREACH, true, false},
		{"host unreachable", "8.8.8.8", syscall.EHOSTUNREACH, true, false},
		{"refused", "8.8.8.8", syscall.ECONNREFUSED, true, false},
		{"connect timeout", "8.8.8.8", context.DeadlineExceeded, true, false},
		{"denied by the guard", "8.8.8.8", ErrDenied, false, false},
	} {
		g.hasRoute = func() bool { return c.route }
		err := g.blame(&net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.ParseIP(c.addr)}, Err: c.err})
		if errors.Is(err, ErrUnavailable) != c.ours || !errors.Is(err, c.err) {
			t.Errorf("%s: blame = %v, want ours %v", c.name, err, c.ours)
		}
	}
}

func TestCanceledDialSaysSo(t *testing.T) {
	t.Parallel()
	g := newGuard(t, Config{Allow: []string{"127.0.0.0/8"}})
	ctx, cancel := context.WithCancel(t.Context())
	g.resolver.lookupHost = func(ctx context.Context, _ string) ([]netip.Addr, error) {
		cancel()
		<-ctx.Done()
		return nil, &net.DNSError{Err: ctx.Err().Error(), UnwrapErr: ctx.Err()}
	}
	if _, err := g.DialContext(ctx, "tcp", "hangs.example:443"); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnavailable) {
		t.Errorf("DialContext = %v, want context.Canceled and not our fault", err)
	}
}
