package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluicehq/sluice/test/e2e/ledger"
)

// producer posts numbered events at a steady rate and writes down what came back. Each event is sent once.
type producer struct {
	url    string
	preset preset // signs them
	types  []string
	size   int

	next atomic.Int64
	mu   sync.Mutex
	sent []ledger.Sent
}

// start sends rate events a second over so many connections until the function it returns is called, which returns once the
// last is answered.
func (p *producer) start(t *testing.T, rate, conns int) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	due := make(chan struct{}, rate) // a second's worth waits while the gateway is down, and the rest is left out
	var g sync.WaitGroup
	g.Go(func() {
		defer close(due)
		for tick := time.NewTicker(time.Second / time.Duration(rate)); ; {
			select {
			case <-tick.C:
				select {
				case due <- struct{}{}:
				default:
				}
			case <-ctx.Done():
				tick.Stop()
				return
			}
		}
	})
	transport := &http.Transport{MaxIdleConnsPerHost: conns}
	for range conns {
		g.Go(func() {
			for range due {
				if ctx.Err() != nil {
					return
				}
				p.send(transport)
			}
		})
	}
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			g.Wait()
			transport.CloseIdleConnections()
		})
	}
	t.Cleanup(stop)
	return stop
}

// send sends the next event. It is not tied to a context: an event given up by us would be one more with an unknown outcome.
func (p *producer) send(transport http.RoundTripper) {
	seq := p.next.Add(1)
	eventType := p.types[seq%int64(len(p.types))]
	body := fmt.Sprintf(`{"seq": %d, "type": %q, "pad": "%s"}`, seq, eventType, strings.Repeat("x", p.size))
	s := ledger.Sent{Seq: seq, Source: p.preset.name, Type: eventType, Body: sha256.Sum256([]byte(body)), Begun: time.Now()}
	s.Status, s.Outcome = p.exchange(transport, body, eventType, seq)
	s.Ended = time.Now()
	p.mu.Lock()
	p.sent = append(p.sent, s)
	p.mu.Unlock()
}

func (p *producer) exchange(transport http.RoundTripper, body, eventType string, seq int64) (int, ledger.Outcome) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader([]byte(body)))
	if err != nil {
		panic(err) // the URL is the test's own
	}
	req.GetBody = nil // nothing may be sent twice behind our back
	req.Header = jsonBody(p.preset.sign(p.preset.secret, body, time.Now()))
	req.Header.Set("X-GitHub-Event", eventType)
	req.Header.Set("X-GitHub-Delivery", fmt.Sprint("delivery-", seq))
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, outcomeOf(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil && resp.StatusCode/100 != 2 {
		return resp.StatusCode, ledger.Unknown
	}
	switch resp.StatusCode / 100 {
	case 2:
		return resp.StatusCode, ledger.OK
	case 4:
		return resp.StatusCode, ledger.Fail
	default:
		return resp.StatusCode, ledger.Unknown
	}
}

// outcomeOf says what an error tells of the event: only a connection that never came about proves that it was not taken.
func outcomeOf(err error) ledger.Outcome {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" && errors.Is(err, syscall.ECONNREFUSED) {
		return ledger.Fail
	}
	return ledger.Unknown
}

// accepted returns how many events were answered 2xx so far.
func (p *producer) accepted() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sent {
		if s.Outcome == ledger.OK {
			n++
		}
	}
	return n
}

// waitAccepted waits until n more events are accepted than now.
func (p *producer) waitAccepted(t *testing.T, n int) {
	t.Helper()
	want := p.accepted() + n
	eventually(t, 60*time.Second, fmt.Sprintf("%d more events accepted", n), func() error {
		if got := p.accepted(); got < want {
			return fmt.Errorf("%d of %d are", got, want)
		}
		return nil
	})
}
