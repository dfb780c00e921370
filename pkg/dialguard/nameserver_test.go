package dialguard

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// dnsServer is a name server on UDP and TCP whose answers a test decides, question by question.
type dnsServer struct {
	addr string

	mu     sync.Mutex
	answer func(q dnsmessage.Question, asked int) reply // asked counts this host's questions of that type, from 0
	asked  map[string]int
}

// reply is what the server says. The zero value is an empty answer.
type reply struct {
	silent    bool
	rcode     dnsmessage.RCode
	addrs     []string
	cname     string
	truncated bool // over UDP only
	garbage   bool
}

func startDNS(t *testing.T, answer func(q dnsmessage.Question, asked int) reply) *dnsServer {
	t.Helper()
	udp, tcp := listenDNS(t)
	s := &dnsServer{addr: udp.LocalAddr().String(), answer: answer, asked: map[string]int{}}
	var wg sync.WaitGroup
	wg.Go(func() { s.serveUDP(udp) })
	wg.Go(func() { s.serveTCP(tcp) })
	t.Cleanup(func() { udp.Close(); tcp.Close(); wg.Wait() })
	return s
}

// listenDNS takes a port that is free for both.
func listenDNS(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if tcp, err := net.Listen("tcp", udp.LocalAddr().String()); err == nil {
			return udp, tcp
		}
		udp.Close()
	}
	t.Fatal("no port is free for UDP and TCP")
	return nil, nil
}

func (s *dnsServer) serveUDP(conn net.PacketConn) {
	buf := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if out := s.reply(buf[:n], true); out != nil {
			conn.WriteTo(out, from) //nolint:errcheck // the client may be gone
		}
	}
}

func (s *dnsServer) serveTCP(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		buf := make([]byte, 4096)
		if n, err := conn.Read(buf); err == nil && n > 2 {
			if out := s.reply(buf[2:n], false); out != nil {
				conn.Write(append([]byte{byte(len(out) >> 8), byte(len(out))}, out...)) //nolint:errcheck // as above
			}
		}
		conn.Close()
	}
}

func (s *dnsServer) reply(request []byte, udp bool) []byte {
	var msg dnsmessage.Message
	if msg.Unpack(request) != nil || len(msg.Questions) != 1 {
		return nil
	}
	q := msg.Questions[0]
	s.mu.Lock()
	key := q.Name.String() + q.Type.String()
	r := s.answer(q, s.asked[key])
	s.asked[key]++
	s.mu.Unlock()
	if r.silent {
		return nil
	}
	if r.garbage {
		return []byte("no DNS message")
	}
	out := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: msg.ID, Response: true, RecursionAvailable: true, RCode: r.rcode, Truncated: r.truncated && udp},
		Questions: msg.Questions,
	}
	name := q.Name
	if r.cname != "" {
		out.Answers = append(out.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET},
			Body:   &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(r.cname)},
		})
		name = dnsmessage.MustNewName(r.cname)
	}
	for _, text := range r.addrs {
		addr := netip.MustParseAddr(text)
		h := dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: 0}
		switch {
		case out.Truncated:
		case addr.Is4() && q.Type == dnsmessage.TypeA:
			out.Answers = append(out.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: addr.As4()}})
		case addr.Is6() && q.Type == dnsmessage.TypeAAAA:
			out.Answers = append(out.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	packed, err := out.Pack()
	if err != nil {
		panic(err)
	}
	return packed
}

// guardAsking returns a guard that asks server instead of the machine's name servers.
func guardAsking(t *testing.T, server string, cfg Config) *Guard {
	t.Helper()
	g := newGuard(t, cfg)
	names := newNameServers(func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server)
	})
	names.exchange = 100 * time.Millisecond
	g.resolver.lookupHost = names.lookup
	return g
}

func TestRebindingBetweenLookupsIsRefused(t *testing.T) {
	t.Parallel()
	port, accepted := listen(t)
	dns := startDNS(t, func(_ dnsmessage.Question, asked int) reply {
		if asked == 0 {
			return reply{addrs: []string{"127.0.0.9"}} // where the guard lets it
		}
		return reply{addrs: []string{"127.0.0.1"}}
	})
	g := guardAsking(t, dns.addr, Config{Allow: []string{"127.0.0.9/32"}})
	connect := func() error {
		conn, err := g.DialContext(t.Context(), "tcp", "rebind.example:"+port)
		if err == nil {
			conn.Close()
		}
		return err
	}
	if err := connect(); err != nil {
		t.Fatalf("first connection = %v, want nil", err)
	}
	if err := connect(); err != nil {
		t.Errorf("connection while the answer is kept = %v, want nil: a TTL of 0 does not make us ask again", err)
	}
	g.resolver.hosts["rebind.example"].until = time.Now() // half a minute later
	if err := connect(); !errors.Is(err, ErrDenied) {
		t.Errorf("connection after the name moved to loopback = %v, want ErrDenied", err)
	}
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", "127.0.0.1:"+port) // a third, so that the count is known to be final
	if err != nil {
		t.Fatal(err)
	}
	conn.Read(make([]byte, 1)) //nolint:errcheck // waits until the listener closes it, after counting
	if n := accepted.Load(); n != 3 {
		t.Errorf("%d connections, want 2 by the guard and 1 by the test", n)
	}
}

func TestDNSFaults(t *testing.T) {
	t.Parallel()
	type verdict string
	const (
		reached  verdict = "reached"
		denied   verdict = "denied"
		hosts    verdict = "the host's fault"
		timeout  verdict = "the host's timeout"
		ours     verdict = "our fault"
		loopback         = "127.0.0.9"
	)
	for name, c := range map[string]struct {
		answer reply
		want   verdict
	}{
		"an address is connected to":                     {reply{addrs: []string{loopback}}, reached},
		"an alias is followed to its address":            {reply{cname: "other.example.", addrs: []string{loopback}}, reached},
		"an alias to metadata is denied":                 {reply{cname: "other.example.", addrs: []string{"169.254.169.254"}}, denied},
		"a truncated answer is asked for again over TCP": {reply{truncated: true, addrs: []string{loopback}}, reached},
		"one denied among good ones is denied":           {reply{addrs: []string{loopback, "192.168.1.1", "fd00::1"}}, denied},
		"no such host":                                   {reply{rcode: dnsmessage.RCodeNameError}, hosts},
		"server failure":                                 {reply{rcode: dnsmessage.RCodeServerFailure}, hosts},
		"refused by the name server":                     {reply{rcode: dnsmessage.RCodeRefused}, hosts},
		"no addresses":                                   {reply{}, hosts},
		"an alias in a circle":                           {reply{cname: "fault.example."}, hosts},
		"silence about one host":                         {reply{silent: true}, timeout},
		"answers that are no DNS":                        {reply{garbage: true}, timeout},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			port, _ := listen(t)
			dns := startDNS(t, func(dnsmessage.Question, int) reply { return c.answer })
			g := guardAsking(t, dns.addr, Config{Allow: []string{loopback + "/32"}})
			conn, err := g.DialContext(t.Context(), "tcp", "fault.example:"+port)
			got := hosts
			switch {
			case err == nil:
				conn.Close()
				got = reached
			case errors.Is(err, ErrDenied):
				got = denied
			case errors.Is(err, ErrUnavailable):
				got = ours
			case isTimeout(err):
				got = timeout
			}
			if got != c.want {
				t.Errorf("DialContext = %v, which is %s, want %s", err, got, c.want)
			}
		})
	}
}

func TestDeadNameServersAreOurFault(t *testing.T) {
	t.Parallel()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := udp.LocalAddr().String()
	udp.Close()
	g := guardAsking(t, closed, Defaults())
	if _, err := g.DialContext(t.Context(), "tcp", "any.example:443"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("DialContext with nobody at the name server's port = %v, want ErrUnavailable", err)
	}
}

func TestSilenceIsOursOnceThreeHostsGotNoAnswer(t *testing.T) {
	t.Parallel()
	dns := startDNS(t, func(q dnsmessage.Question, _ int) reply {
		return reply{silent: q.Name.String() != "fine.example.", rcode: dnsmessage.RCodeNameError}
	})
	g := guardAsking(t, dns.addr, Defaults())
	ours := func(host string) bool {
		_, err := g.DialContext(t.Context(), "tcp", host+":443")
		return errors.Is(err, ErrUnavailable)
	}
	for i := range 4 {
		host := "silent" + strconv.Itoa(i) + ".example"
		if got, want := ours(host), i >= 2; got != want {
			t.Errorf("silence about host %d is our fault: %v, want %v", i+1, got, want)
		}
	}
	ours("fine.example")
	if ours("silent9.example") {
		t.Error("silence about one host after an answer to another is our fault, want the host's")
	}
}

func TestFamiliesTakeTurns(t *testing.T) {
	t.Parallel()
	var in []netip.Addr
	for _, a := range []string{"2001:200::1", "2001:200::2", "2001:200::3", "::ffff:1.1.1.1", "1.1.1.2"} {
		in = append(in, netip.MustParseAddr(a))
	}
	want := []string{"2001:200::1", "1.1.1.1", "2001:200::2", "1.1.1.2", "2001:200::3"}
	got := takeTurns(in)
	for i := range want {
		if len(got) != len(want) || got[i].String() != want[i] {
			t.Fatalf("takeTurns = %v, want %v", got, want)
		}
	}
}
