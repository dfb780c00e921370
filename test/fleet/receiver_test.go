package fleet

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/pkg/wait"
)

// receipt is one request that came.
type receipt struct {
	endpoint, event string // names, ids
	at              time.Time
	ok              bool // answered with 200
}

// receiver is every endpoint: each has a path, its name.
type receiver struct {
	server *httptest.Server
	takes  time.Duration // to answer

	mu       sync.Mutex
	fails    map[string]bool // endpoints
	receipts []receipt
	running  map[string]int
	most     map[string]int // running at once
}

func startReceiver(t *testing.T, takes time.Duration) *receiver {
	t.Helper()
	r := &receiver{takes: takes, fails: map[string]bool{}, running: map[string]int{}, most: map[string]int{}}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	name := strings.TrimPrefix(req.URL.Path, "/")
	r.mu.Lock()
	ok := !r.fails[name]
	r.receipts = append(r.receipts, receipt{name, req.Header.Get("webhook-id"), time.Now(), ok})
	r.running[name]++
	r.most[name] = max(r.most[name], r.running[name])
	r.mu.Unlock()
	wait.For(req.Context(), r.takes)
	r.mu.Lock()
	r.running[name]--
	r.mu.Unlock()
	if !ok {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// fail has an endpoint fail from now on, or no more.
func (r *receiver) fail(endpoint string, on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fails[endpoint] = on
}

// came returns how many requests came to an endpoint; "" is all.
func (r *receiver) came(endpoint string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.receipts {
		if endpoint == "" || r.receipts[i].endpoint == endpoint {
			n++
		}
	}
	return n
}

// accepted returns the receipts that were answered with 200, by endpoint and event.
func (r *receiver) accepted() map[[2]string][]receipt {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[[2]string][]receipt{}
	for _, got := range r.receipts {
		if got.ok {
			key := [2]string{got.endpoint, got.event}
			out[key] = append(out[key], got)
		}
	}
	return out
}

// mostAtOnce returns the most requests that one endpoint had at once.
func (r *receiver) mostAtOnce() (most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range r.most {
		most = max(most, n)
	}
	return most
}
