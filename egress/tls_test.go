package egress

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"
)

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(tb testing.TB, name string) *authority {
	tb.Helper()
	a := &authority{key: newKey(tb), pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert = parseCert(tb, sign(tb, template, template, &a.key.PublicKey, a.key))
	a.pool.AddCert(a.cert)
	return a
}

// issue returns a certificate for 127.0.0.1 that change may spoil.
func (a *authority) issue(tb testing.TB, change func(c *x509.Certificate)) tls.Certificate {
	tb.Helper()
	key := newKey(tb)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if change != nil {
		change(template)
	}
	return tls.Certificate{Certificate: [][]byte{sign(tb, template, a.cert, &key.PublicKey, a.key)}, PrivateKey: key}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func sign(tb testing.TB, template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) []byte {
	tb.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		tb.Fatal(err)
	}
	return der
}

func parseCert(tb testing.TB, der []byte) *x509.Certificate {
	tb.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	return cert
}

// startTLS is startRaw behind TLS.
func startTLS(tb testing.TB, cfg *tls.Config, serve func(c *rawConn, state tls.ConnectionState)) *rawServer {
	tb.Helper()
	s := startRaw(tb, func(c *rawConn) {
		secure := tls.Server(c.Conn, cfg)
		if secure.Handshake() == nil {
			serve(&rawConn{Conn: secure, r: bufio.NewReader(secure)}, secure.ConnectionState())
			secure.Close()
		}
	})
	s.url = "https" + strings.TrimPrefix(s.url, "http")
	return s
}

// answers200 answers every request of a connection.
func answers200(c *rawConn, _ tls.ConnectionState) {
	for {
		if _, ok := c.request(); !ok {
			return
		}
		c.say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
	}
}

func TestTLSFaultsAreFailuresWithAReason(t *testing.T) {
	t.Parallel()
	good, evil := newAuthority(t, "good"), newAuthority(t, "evil\r\n\x00\u202e authority")
	self := newAuthority(t, "self")
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("%s%d.example", strings.Repeat("x", 40), i))
	}
	with := func(cert tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{cert}} }
	for name, c := range map[string]struct {
		server  *tls.Config
		outcome Outcome
		reason  string // part of it
	}{
		"a good certificate":            {with(good.issue(t, nil)), OutcomeDelivered, ""},
		"an expired one":                {with(good.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })), OutcomeFailed, "tls: certificate expired at 20"},
		"one that is not valid yet":     {with(good.issue(t, func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Minute) })), OutcomeFailed, "tls: certificate is not valid before 20"},
		"one of another host":           {with(good.issue(t, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, []string{"other.example"} })), OutcomeFailed, "not for the endpoint's host but for other.example"},
		"one of no host":                {with(good.issue(t, func(c *x509.Certificate) { c.IPAddresses = nil })), OutcomeFailed, "tls: "},
		"one of a thousand others":      {with(good.issue(t, func(c *x509.Certificate) { c.IPAddresses, c.DNSNames = nil, many })), OutcomeFailed, "and 997 more"},
		"one of an unknown authority":   {with(evil.issue(t, nil)), OutcomeFailed, "unknown authority"},
		"a self-signed one":             {with(tls.Certificate{Certificate: [][]byte{self.cert.Raw}, PrivateKey: self.key}), OutcomeFailed, "tls: certificate is"},
		"one for clients":               {with(good.issue(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })), OutcomeFailed, "tls: certificate is invalid"},
		"TLS 1.1":                       {&tls.Config{Certificates: with(good.issue(t, nil)).Certificates, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, OutcomeFailed, "tls: "},
		"TLS 1.2":                       {&tls.Config{Certificates: with(good.issue(t, nil)).Certificates, MaxVersion: tls.VersionTLS12}, OutcomeDelivered, ""},
		"a server that speaks HTTP/2":   {&tls.Config{Certificates: with(good.issue(t, nil)).Certificates, NextProtos: []string{"h2", "http/1.1"}}, OutcomeDelivered, ""},
		"one that speaks no HTTP":       {&tls.Config{Certificates: with(good.issue(t, nil)).Certificates, NextProtos: []string{"acme-tls/1"}}, OutcomeFailed, "refuses the handshake: tls: no application protocol"},
		"one that wants a certificate":  {&tls.Config{Certificates: with(good.issue(t, nil)).Certificates, ClientAuth: tls.RequireAnyClientCert}, OutcomeFailed, ""},
		"one that knows us by no suite": {&tls.Config{Certificates: with(good.issue(t, nil)).Certificates, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_RC4_128_SHA}}, OutcomeFailed, "tls: "},
	} {
		for _, http := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/http=%v", name, http), func(t *testing.T) {
				t.Parallel()
				srv := startTLS(t, c.server, answers200)
				res := send(t, newSender(t, options{roots: good.pool, http: http}), endpointAt(srv.url))
				if res.Outcome != c.outcome || !http && !strings.Contains(res.Error, c.reason) || !res.Connected {
					t.Errorf("%v, connected %v: %s; want %v: %s", res.Outcome, res.Connected, res.Error, c.outcome, c.reason)
				}
				checkResult(t, res)
			})
		}
	}
}

func TestTLSServersThatDoNotShakeHands(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		serve  func(c *rawConn)
		reason string
	}{
		"hang":           {(*rawConn).hang, "tls: handshake not finished within 5s"},
		"drip":           {func(c *rawConn) { c.say("\x16\x03\x03"); c.sayForever("\x00", 10*time.Millisecond) }, "tls: "},
		"plain HTTP":     {func(c *rawConn) { c.say("HTTP/1.1 400 Bad Request\r\n\r\n") }, "tls: the endpoint does not speak TLS on this port"},
		"closing":        {func(c *rawConn) { c.r.ReadByte() }, "tls: connection closed in the handshake"},            //nolint:errcheck // waits for the hello
		"reset":          {func(c *rawConn) { c.r.ReadByte(); c.reset() }, "tls: connection closed in the handshake"}, //nolint:errcheck // as above
		"endless record": {func(c *rawConn) { c.say("\x16\x03\x03\x40\x00"); c.sayForever("\x0b\x00", 0) }, "tls: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := startRaw(t, c.serve)
			s := newSender(t, options{})
			s.transport.(*client).handshake = patience
			res := send(t, s, endpointAt("https"+strings.TrimPrefix(srv.url, "http")))
			if res.Outcome != OutcomeFailed || !strings.Contains(res.Error, c.reason) || !res.Connected || res.Duration > 5*time.Second {
				t.Errorf("%v after %v: %s; want failed: %s", res.Outcome, res.Duration, res.Error, c.reason)
			}
			checkResult(t, res)
		})
	}
}

func TestTLSConnectionsAreKeptAndSessionsResumed(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "ca")
	resumed := make(chan bool, 100)
	srv := startTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil)}}, func(c *rawConn, state tls.ConnectionState) {
		resumed <- state.DidResume
		answers200(c, state)
	})
	kept := newSender(t, options{roots: ca.pool})
	for range 10 {
		if res := send(t, kept, endpointAt(srv.url)); res.Outcome != OutcomeDelivered {
			t.Fatalf("Send = %+v", res)
		}
	}
	if n := srv.connections(); n != 1 {
		t.Errorf("%d connections for ten attempts, want 1", n)
	}
	<-resumed
	fresh := newSender(t, options{roots: ca.pool, idle: -1})
	for i := range 3 {
		if res := send(t, fresh, endpointAt(srv.url)); res.Outcome != OutcomeDelivered {
			t.Fatalf("Send = %+v", res)
		}
		if got := <-resumed; got != (i > 0) {
			t.Errorf("connection %d resumed a session: %v", i+1, got)
		}
	}
}

// corked sends what was written to it when it is told to, in one piece.
type corked struct {
	net.Conn
	held bytes.Buffer
	on   bool
}

func (c *corked) Write(b []byte) (int, error) {
	if c.on {
		return c.held.Write(b)
	}
	return c.Conn.Write(b)
}

func (c *corked) uncork() {
	c.held.WriteTo(c.Conn) //nolint:errcheck // the client may have gone
}

func TestTLSDataBehindTheAnswerEndsTheConnection(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "ca")
	cfg := &tls.Config{Certificates: []tls.Certificate{ca.issue(t, nil)}}
	srv := startRaw(t, func(c *rawConn) {
		cork := &corked{Conn: c.Conn}
		secure := tls.Server(cork, cfg)
		if secure.Handshake() != nil {
			return
		}
		c = &rawConn{Conn: secure, r: bufio.NewReader(secure)}
		for {
			if _, ok := c.request(); !ok {
				return
			}
			// Two records in one segment: the second waits inside TLS, where no look at the socket finds it.
			cork.on = true
			c.say("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
			c.say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			cork.on = false
			cork.uncork()
		}
	})
	s := newSender(t, options{roots: ca.pool})
	for i := range 5 {
		if res := send(t, s, endpointAt("https"+strings.TrimPrefix(srv.url, "http"))); res.Status != 500 {
			t.Fatalf("Send = %+v, want the first answer: the second answers nothing", res)
		}
		if n := srv.connections(); n != i+1 {
			t.Errorf("%d connections for %d attempts, want one each", n, i+1)
		}
	}
}
