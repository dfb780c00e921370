package e2e

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/test/e2e/ledger"
)

// receiver is an endpoint. It writes down every attempt before it answers it.
type receiver struct {
	name   string
	secret string // whsec_…
	url    string
	decide func(a arrival) int // status to answer; 0: hang until the sender gives up
	delay  time.Duration       // before the answer

	mu       sync.Mutex
	arrivals []arrival
	attempts map[string]int // by event id
	changed  chan struct{}  // closed and replaced at each arrival
}

// arrival is one attempt that reached a receiver.
type arrival struct {
	ledger.Receipt
	header http.Header
	body   []byte
	nth    int // of this event here, from 1
}

// answerOK answers every attempt 200.
func answerOK(arrival) int { return http.StatusOK }

// failFirst answers 500 to the first n attempts of each event.
func failFirst(n int) func(arrival) int {
	return func(a arrival) int {
		if a.nth <= n {
			return http.StatusInternalServerError
		}
		return http.StatusOK
	}
}

// newReceiver starts a receiver that lives as long as the test.
func newReceiver(t *testing.T, name string, decide func(arrival) int) *receiver {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	key := make([]byte, 24)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	r := &receiver{
		name: name, secret: "whsec_" + base64.StdEncoding.EncodeToString(key), url: "http://" + ln.Addr().String() + "/hook",
		decide: decide, attempts: map[string]int{}, changed: make(chan struct{}),
	}
	srv := &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := srv.Serve(ln); err != http.ErrServerClosed {
			t.Errorf("receiver %s: %v", name, err)
		}
	}()
	t.Cleanup(func() {
		srv.Close()
		<-served
	})
	return r
}

// endpoint is the receiver as the configuration has it.
func (r *receiver) endpoint(types ...string) endpoint {
	return endpoint{Name: r.name, URL: r.url, Secrets: []string{r.secret}, Subscriptions: []subscription{{Types: types}}}
}

// ServeHTTP takes one attempt.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the sender was killed in the middle of it: nothing arrived
	}
	attempt, _ := strconv.Atoi(req.Header.Get("Sluice-Attempt"))
	a := arrival{header: req.Header, body: body, Receipt: ledger.Receipt{
		Seq: seqOf(body), Endpoint: r.name, EventID: req.Header.Get("Webhook-Id"), Attempt: attempt,
		Body: sha256.Sum256(body), Signed: signedRight(r.secret, req.Header, body), At: time.Now(),
	}}
	i, status := r.note(a)
	if status == 0 {
		<-req.Context().Done()
		return
	}
	if r.delay > 0 {
		select {
		case <-time.After(r.delay):
		case <-req.Context().Done():
			return
		}
	}
	w.WriteHeader(status)
	if http.NewResponseController(w).Flush() == nil {
		r.mu.Lock()
		r.arrivals[i].Written = true
		r.mu.Unlock()
	}
}

// note writes the arrival down with what will be answered.
func (r *receiver) note(a arrival) (i, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts[a.EventID]++
	a.nth = r.attempts[a.EventID]
	a.Status = r.decide(a)
	r.arrivals = append(r.arrivals, a)
	close(r.changed)
	r.changed = make(chan struct{})
	return len(r.arrivals) - 1, a.Status
}

// all returns what arrived so far.
func (r *receiver) all() []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.arrivals)
}

// wait waits until done says so of what arrived, and returns it.
func (r *receiver) wait(t *testing.T, within time.Duration, what string, done func([]arrival) bool) []arrival {
	t.Helper()
	deadline := time.After(within)
	for {
		r.mu.Lock()
		got, changed := slices.Clone(r.arrivals), r.changed
		r.mu.Unlock()
		if done(got) {
			return got
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%s: %s: not within %v, %d attempts arrived", r.name, what, within, len(got))
		}
	}
}

// waitOK waits until n different events were answered 2xx.
func (r *receiver) waitOK(t *testing.T, n int, within time.Duration) []arrival {
	t.Helper()
	return r.wait(t, within, fmt.Sprintf("%d events delivered", n), func(as []arrival) bool { return delivered(as) >= n })
}

func delivered(as []arrival) int {
	ids := map[string]bool{}
	for _, a := range as {
		if a.Status/100 == 2 {
			ids[a.EventID] = true
		}
	}
	return len(ids)
}

// signedRight checks a delivery as any receiver would, after the Standard Webhooks specification and with nothing of ours.
func signedRight(secret string, h http.Header, body []byte) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return false
	}
	at, err := strconv.ParseInt(h.Get("Webhook-Timestamp"), 10, 64)
	if age := time.Since(time.Unix(at, 0)).Abs(); err != nil || age > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.%s", h.Get("Webhook-Id"), at, body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return slices.ContainsFunc(strings.Fields(h.Get("Webhook-Signature")), func(got string) bool { return hmac.Equal([]byte(got), []byte(want)) })
}

var seqPattern = regexp.MustCompile(`"seq": ?(\d{1,15})\b`)

// seqOf finds the number of an event in its body; -1: there is none.
func seqOf(body []byte) int64 {
	m := seqPattern.FindSubmatch(body)
	if m == nil {
		return -1
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		return -1
	}
	return n
}
