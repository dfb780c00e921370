package control

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// canary is in every secret of a world: nothing that leaves may hold it.
const canary = "c4n4ry"

// world is an API over a store that has something of everything, for two tenants.
type world struct {
	t      *testing.T
	server *Server
	store  *memory
	keys   ring
	logs   *observer.ObservedLogs
	source map[string]store.Source // by tenant
	point  map[string]store.Endpoint
	event  map[string]event.ID
	finish map[string]store.DeliveryID // delivered
	queued map[string]store.DeliveryID
}

var start = time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)

// ring is a Keyring.
type ring map[[32]byte]*store.Key

func (r ring) Key(hash [32]byte) (*store.Key, bool) {
	key, ok := r[hash]
	return key, ok
}

// add returns the text of a new key.
func (r ring) add(t *testing.T, tenant string, scope store.Scope) string {
	t.Helper()
	text, key, err := GenerateKey("test", tenant, scope)
	if err != nil {
		t.Fatal(err)
	}
	r[sha256.Sum256([]byte(text))] = &key
	return text
}

func newWorld(t *testing.T, adapt ...func(*Options)) *world {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	w := &world{
		t: t, logs: logs, keys: ring{},
		store:  &memory{now: start, bodies: map[event.ID]string{}, attempts: map[store.DeliveryID][]store.Attempt{}},
		source: map[string]store.Source{}, point: map[string]store.Endpoint{}, event: map[string]event.ID{},
		finish: map[string]store.DeliveryID{}, queued: map[string]store.DeliveryID{},
	}
	o := Options{
		Config: Defaults(), Rules: Rules{AllowHTTP: true}, Store: w.store, Keys: w.keys, PublicURL: "https://hooks.example.com/",
		Log: zap.New(core), Registerer: prometheus.NewPedanticRegistry(),
	}
	for _, f := range adapt {
		f(&o)
	}
	var err error
	if w.server, err = New(o); err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []string{"default", "acme"} {
		w.fill(tenant)
	}
	return w
}

func withoutKeys(o *Options) { o.Config.Auth = AuthNone }

func (w *world) fill(tenant string) {
	w.t.Helper()
	ctx, m := w.t.Context(), w.store
	src, err := m.CreateSource(ctx, store.Source{
		Tenant: tenant, Name: "github", Provider: "github", Secrets: []store.Secret{canary}, Dedupe: true, ManagedBy: store.ManagedByAPI,
	})
	w.must(err)
	e, err := m.CreateEndpoint(ctx, store.Endpoint{
		Tenant: tenant, Name: "billing", URL: "https://billing.example.com/hooks",
		Secrets: []store.SigningSecret{{Secret: canary}, {Secret: canary, Until: start}},
		Auth:    store.Auth{Kind: store.AuthBasic, Username: "sluice", Secret: canary}, Headers: map[string]string{"x-team": "billing"},
		Subscriptions: []store.Subscription{{Types: []string{"order.**"}, Sources: []string{"github"}}},
		RateLimit:     store.RateLimit{PerSecond: 50, Burst: 100}, MaxQueued: 7, Timeout: 15 * time.Second, Retry: store.DefaultRetry(),
		ManagedBy: store.ManagedByAPI,
	})
	w.must(err)
	w.source[tenant], w.point[tenant] = src, e
	for i := range 3 {
		at := start.Add(time.Duration(i) * time.Second)
		id := event.NewID(at)
		m.events = append(m.events, store.RecordedEvent{Size: 4, Matched: 1, Duplicates: int64(i), Event: event.Event{
			ID: id, Tenant: tenant, Source: "github", Type: fmt.Sprintf("order.%d", i), Key: "customer-1", GivenID: fmt.Sprint(tenant, "-", i),
			Time: at, Method: "POST", Query: "a=b", ContentType: "text/html; charset=utf-8", Headers: map[string]string{"x-github-event": "push"},
		}})
		m.bodies[id] = "\x00\xff<b"
		w.event[tenant] = id
	}
	done, waits := store.DeliveryID{Event: w.event[tenant], Endpoint: e.ID}, store.DeliveryID{Event: w.event[tenant], Endpoint: e.ID, Replay: 1}
	m.deliveries = append(m.deliveries, store.Delivery{
		ID: done, State: store.DeliveryDelivered, Attempts: 3, FirstAttempt: start, FinishedAt: start.Add(time.Minute), LastStatus: 204,
		LastDuration: 250 * time.Millisecond,
	}, store.Delivery{ID: waits, State: store.DeliveryQueued, Reason: store.ReasonRetry, Attempts: 1, NextAt: start.Add(time.Hour), QueuedAt: start, LastStatus: 500, LastError: "500"})
	m.attempts[done] = []store.Attempt{
		{ID: done, Number: 1, Started: start, Duration: time.Second, Status: 500, Error: "500 Internal Server Error", Excerpt: []byte("oh\xffno")},
		{ID: done, Number: 2, Started: start.Add(10 * time.Second), Duration: time.Second, Error: "connection refused"},
	}
	m.quarantine = append(m.quarantine, store.NumberedQuarantined{Number: int64(len(m.quarantine) + 1), Quarantined: store.Quarantined{
		Topic: "sluice.events", Stream: "0", Position: "7", Reason: "undecodable", At: start, Body: []byte("xyz"),
	}})
	w.finish[tenant], w.queued[tenant] = done, waits
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
}

// request makes a request with a JSON body, if body is not empty, and key, if it is not empty.
func (w *world) request(method, path, key, body string) answer {
	w.t.Helper()
	r := httptest.NewRequest(method, "http://127.0.0.1:8081"+path, nil)
	if body != "" {
		r = httptest.NewRequest(method, "http://127.0.0.1:8081"+path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	return w.serve(r)
}

func (w *world) serve(r *http.Request) answer {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.server.ServeHTTP(rec, r)
	body, err := io.ReadAll(rec.Body)
	w.must(err)
	a := answer{rec.Code, rec.Header(), string(body)}
	if strings.Contains(a.body, canary) {
		w.t.Errorf("%s %s answers a secret: %s", r.Method, r.URL.Path, a.body)
	}
	if a.status >= 400 && a.header.Get("Content-Type") != problemJSON {
		w.t.Errorf("%s %s: %d with content type %q, want %s: %s", r.Method, r.URL.Path, a.status, a.header.Get("Content-Type"), problemJSON, a.body)
	}
	return a
}

// want reads an answer that must have this status.
func want[T any](t *testing.T, a answer, status int) (v T) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	if a.body == "" {
		return v
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("body %q: %v", a.body, err)
	}
	return v
}

// problem is an error as the API writes it.
type problem struct {
	Title, Detail string
	Status        int
	Errors        []struct{ Message, Location, Value string }
}
