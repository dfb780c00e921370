package pgtest

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy is the network between a client and a server, which can fail. Its methods are safe for concurrent use.
type Proxy struct {
	listener net.Listener
	to       string
	working  sync.WaitGroup

	mu    sync.Mutex
	wake  *sync.Cond // state has changed
	state linkState
	links map[*link]bool
	lose  []byte // what Lose waits for
	loss  loss
	lost  chan struct{}
}

type linkState int

const (
	up     linkState = iota
	silent           // nothing passes, nothing breaks
	down             // connections are reset, and new ones end at once
	closed
)

// loss is what is lost.
type loss int

const (
	request loss = iota
	answer
	network // from the answer on
)

// link is one connection through the proxy.
type link struct {
	client, server net.Conn
	deaf           bool // the next answer of the server is lost, and the connection with it
}

// NewProxy starts a proxy before an address. It ends with the test.
func NewProxy(t testing.TB, addr string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{listener: listener, to: addr, links: map[*link]bool{}}
	p.wake = sync.NewCond(&p.mu)
	p.working.Go(p.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		p.set(closed)
		p.working.Wait()
	})
	return p
}

// Addr returns where the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Silence has nothing pass any more, in either direction: connections stay open. What was sent meanwhile passes after Heal.
func (p *Proxy) Silence() { p.set(silent) }

// Cut resets all connections, and lets none through.
func (p *Proxy) Cut() { p.set(down) }

// Heal ends Silence and Cut.
func (p *Proxy) Heal() { p.set(up) }

// LoseRequest resets the connection instead of passing the next message that contains text. The channel is closed when
// that has happened.
func (p *Proxy) LoseRequest(text string) <-chan struct{} { return p.loseNext(text, request) }

// LoseAnswer passes the next message that contains text, and resets its connection when the answer comes.
func (p *Proxy) LoseAnswer(text string) <-chan struct{} { return p.loseNext(text, answer) }

// CutAtAnswer passes the next message that contains text, and does what Cut does when the answer comes.
func (p *Proxy) CutAtAnswer(text string) <-chan struct{} { return p.loseNext(text, network) }

func (p *Proxy) loseNext(text string, what loss) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose, p.loss, p.lost = []byte(text), what, make(chan struct{})
	return p.lost
}

func (p *Proxy) set(state linkState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.setLocked(state)
}

func (p *Proxy) setLocked(state linkState) {
	p.state = state
	if state == down || state == closed {
		for l := range p.links {
			l.close()
		}
	}
	p.wake.Broadcast()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.working.Go(func() { p.connect(client) })
	}
}

// connect joins a client with the server and passes bytes until one of them ends.
func (p *Proxy) connect(client net.Conn) {
	server, err := net.Dial("tcp4", p.to)
	if err != nil {
		reset(client)
		return
	}
	l := &link{client: client, server: server}
	p.mu.Lock()
	p.links[l] = true
	if p.state == down || p.state == closed {
		l.close()
	}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pass(l, client, server, p.request) })
	both.Go(func() { p.pass(l, server, client, p.reply) })
	both.Wait()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

// pass copies one direction. look sees each piece first, and may say that it is not to pass.
func (p *Proxy) pass(l *link, from io.Reader, to io.Writer, look func(*link, []byte) bool) {
	defer l.close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil || !p.awaitUp() || !look(l, buffer[:n]) {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// awaitUp waits while the network is silent, and reports whether it is up then.
func (p *Proxy) awaitUp() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.state == silent {
		p.wake.Wait()
	}
	return p.state == up
}

func (p *Proxy) request(l *link, piece []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lose == nil || !bytes.Contains(piece, p.lose) {
		return true
	}
	p.lose = nil
	if p.loss == request {
		close(p.lost)
		return false
	}
	l.deaf = true
	return true
}

func (p *Proxy) reply(l *link, _ []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !l.deaf {
		return true
	}
	if p.loss == network {
		p.setLocked(down)
	}
	close(p.lost)
	return false
}

func (l *link) close() {
	reset(l.client)
	reset(l.server)
}

// reset closes a connection so that the other side notices at once.
func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
