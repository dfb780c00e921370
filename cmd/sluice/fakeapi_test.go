package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sluicehq/sluice/pkg/control"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// long is so long ago that tables show it as it is.
var long = time.Date(2020, 2, 3, 4, 5, 6, 789e6, time.UTC)

func eventID(n byte) event.ID { return event.ID{1, 2, 3, 15: n} }

func someEvents(n int) []control.Event {
	out := make([]control.Event, n)
	for i := range out {
		out[i] = control.Event{
			ID: eventID(byte(i)).String(), Tenant: "default", Source: "github", Type: "push", Time: long, ContentType: "application/json",
			Size: 885 * (i + 1), Matched: i,
		}
	}
	return out
}

var hostile = "a\x1b[2Jb\u009b31m\u202ec\nd"

var someDeliveries = []control.Delivery{
	{
		ID: store.DeliveryID{Event: eventID(1), Endpoint: 1}.String(), Event: eventID(1).String(), Endpoint: "ep_0000001", State: "delivered",
		AttemptCount: 1, FirstAttempt: long, FinishedAt: long, LastStatus: 200, LastDurationMS: 1.234,
	},
	{
		ID: store.DeliveryID{Event: eventID(1), Endpoint: 2}.String(), Event: eventID(1).String(), Endpoint: "ep_0000002", State: "dead", Reason: "exhausted",
		AttemptCount: 14, FirstAttempt: long, FinishedAt: long.Add(72 * time.Hour), LastStatus: 500, LastError: "HTTP 500 Internal Server Error", LastDurationMS: 15000,
	},
	{
		ID: store.DeliveryID{Event: eventID(1), Endpoint: 3}.String(), Event: eventID(1).String(), Endpoint: "ep_0000003", State: "queued", Reason: "retry",
		AttemptCount: 2, FirstAttempt: long, QueuedAt: long, NextAt: long, LastError: hostile,
	},
}

// fakeAPI answers as the management API does, from memory.
type fakeAPI struct {
	mux  *http.ServeMux
	mu   sync.Mutex
	seen []string // requests, with their queries
	auth string   // of the last one
}

// startAPI has the commands of the test ask a fake.
func startAPI(t *testing.T) *fakeAPI {
	t.Helper()
	a := &fakeAPI{mux: http.NewServeMux()}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.seen = append(a.seen, r.Method+" "+r.URL.RequestURI())
		a.auth = r.Header.Get("Authorization")
		a.mu.Unlock()
		a.mux.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	t.Setenv(envControlURL, srv.URL)
	t.Chdir(t.TempDir())

	serveList(a, "/v1/events", someEvents(3))
	serveList(a, "/v1/deliveries", someDeliveries)
	serveList(a, "/v1/endpoints", []control.Endpoint{
		{
			ID: "ep_0000001", Tenant: "default", Name: "billing", URL: "https://billing.example.com/hooks", SecretCount: 1, State: "active", StateSince: long,
			Auth: control.EndpointAuth{Kind: "basic", Username: "sluice"}, Headers: map[string]string{"x-team": "billing"},
			Subscriptions: []control.SubscriptionSpec{{Types: []string{"order.**", "invoice.paid"}, Sources: []string{"shop"}}, {Types: []string{"*"}}},
			RateLimit:     &control.RateLimitSpec{PerSecond: 50, Burst: 100}, MaxInFlight: 4, MaxQueued: 1000, Timeout: control.Duration(15 * time.Second),
			Retry:     control.RetrySpec{Base: control.Duration(10 * time.Second), Factor: 3, Cap: control.Duration(12 * time.Hour), MaxAge: control.Duration(72 * time.Hour)},
			ManagedBy: "file", CreatedAt: long, UpdatedAt: long,
		},
		{ID: "ep_0000002", Tenant: "default", Name: "twin", URL: "https://a.example.com", State: "paused", StateReason: "paused through the API", ManagedBy: "api", CreatedAt: long},
		{ID: "ep_0000003", Tenant: "acme", Name: "twin", URL: hostile, State: "disabled", ManagedBy: "api", CreatedAt: long},
	})
	serveList(a, "/v1/sources", []control.Source{
		{ID: "src_0000001", Tenant: "default", Name: "github", Provider: "github", SecretCount: 1, Dedupe: true, Path: "/in/github", ManagedBy: "api", CreatedAt: long},
		{
			ID: "src_0000002", Tenant: "default", Name: "crm", Provider: "hmac", SecretCount: 2, Params: map[string]string{"header": "X-Signature"}, Path: "/in/crm",
			URL: "https://hooks.example.com/in/crm", ManagedBy: "file", CreatedAt: long,
		},
	})
	a.answer("GET /v1/events/{id}", http.StatusOK, control.EventDetail{
		Event: someEvents(2)[1], Method: "POST", Path: "/x", Query: "a=b", Headers: map[string]string{"x-github-event": "push"}, Deliveries: someDeliveries,
	})
	a.answer("GET /v1/deliveries/{id}", http.StatusOK, control.DeliveryDetail{Delivery: someDeliveries[1], Attempts: []control.Attempt{
		{Number: 1, Started: long, DurationMS: 15000, Error: "timeout"},
		{Number: 2, Started: long.Add(time.Hour), DurationMS: 12.5, Status: 500, Error: "HTTP 500 Internal Server Error", Excerpt: "oh\n" + hostile},
	}})
	a.answer("GET /v1/endpoints/{id}", http.StatusOK, control.Endpoint{ID: "ep_0000002", Name: "twin", State: "paused"})
	a.answer("GET /v1/sources/{id}", http.StatusNotFound, problem{http.StatusNotFound, "there is none of that id"})
	return a
}

// problem is an answer other than success.
type problem struct {
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func (a *fakeAPI) answer(pattern string, status int, v any) {
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
		if status >= http.StatusBadRequest {
			w.Header().Set("Content-Type", "application/problem+json")
		}
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(v) //nolint:errcheck // the test sees it
	})
}

// serveList pages through items as the API does; its cursor is the index.
func serveList[T any](a *fakeAPI, path string, items []T) {
	a.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		from, _ := strconv.Atoi(r.URL.Query().Get("cursor")) // none is 0
		limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
		if err != nil {
			limit = 50
		}
		to := min(from+limit, len(items))
		page := control.Page[T]{Data: items[from:to]}
		if to < len(items) {
			page.NextCursor = strconv.Itoa(to)
		}
		json.NewEncoder(w).Encode(page) //nolint:errcheck // the test sees it
	})
}

func (a *fakeAPI) requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen
}
