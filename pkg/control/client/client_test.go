package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/control"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ring is a Keyring of one key.
type ring struct{ key store.Key }

func (r ring) Key(hash [32]byte) (*store.Key, bool) { return &r.key, hash == r.key.Hash }

// start runs the API on the embedded store, and returns a client with an admin key.
func start(t *testing.T) (*Client, store.Store) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	if _, err := sqlite.Migrate(t.Context(), path, zap.NewNop()); err != nil {
		t.Fatal(err)
	}
	sealer, err := store.ParseKeys(store.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	st, err := sqlite.Open(sqlite.Config{Path: path, Sealer: sealer}, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	})
	text, key, err := control.GenerateKey("test", "", store.ScopeAdmin)
	if err != nil {
		t.Fatal(err)
	}
	api, err := control.New(control.Options{
		Config: control.Defaults(), Store: st, Keys: ring{key}, Log: zap.NewNop(), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(api)
	t.Cleanup(srv.Close)
	return open(t, srv.URL, control.Secret(text)), st
}

func open(t *testing.T, url string, key control.Secret) *Client {
	t.Helper()
	c, err := New(url, key)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func collect[T any](t *testing.T, seq iter.Seq2[T, error]) (out []T) {
	t.Helper()
	for v, err := range seq {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, v)
	}
	return out
}

func TestSourcesAndEndpointsOnTheEmbeddedStore(t *testing.T) {
	t.Parallel()
	c, _ := start(t)
	ctx := t.Context()
	src, err := c.CreateSource(ctx, control.SourceSpec{Name: "github", Provider: "github", Secrets: []control.Secret{"0123456789abcdef"}})
	if err != nil || src.ID == "" || src.Path != "/in/github" {
		t.Fatalf("CreateSource = %+v, %v", src, err)
	}
	if got, err := c.Source(ctx, src.ID); err != nil || got.Name != "github" || got.SecretCount != 1 {
		t.Errorf("Source = %+v, %v", got, err)
	}
	made, err := c.CreateEndpoint(ctx, control.EndpointSpec{
		Name: "billing", URL: "https://example.com/hooks", Timeout: control.Duration(5 * time.Second),
		Auth:          &control.AuthSpec{Kind: "bearer", Token: "t0ken"},
		Subscriptions: []control.SubscriptionSpec{{Types: []string{"order.**"}}},
	})
	if err != nil || len(made.Secrets) != 1 || made.State != "active" || made.Timeout != control.Duration(5*time.Second) {
		t.Fatalf("CreateEndpoint = %+v, %v", made, err)
	}
	if e, err := c.PauseEndpoint(ctx, made.ID); err != nil || e.State != "paused" || e.StateReason != "paused with key test" {
		t.Errorf("PauseEndpoint = %+v, %v", e, err)
	}
	var refused *Error
	if _, err := c.EnableEndpoint(ctx, made.ID); !errors.As(err, &refused) || refused.Status != http.StatusConflict {
		t.Errorf("EnableEndpoint of a paused one = %v, want a conflict", err)
	}
	if e, err := c.ResumeEndpoint(ctx, made.ID); err != nil || e.State != "active" {
		t.Errorf("ResumeEndpoint = %+v, %v", e, err)
	}
	if got := collect(t, c.Endpoints(ctx, "")); len(got) != 1 || got[0].Auth.Kind != "bearer" {
		t.Errorf("Endpoints = %+v", got)
	}
	if err := errors.Join(c.DeleteSource(ctx, src.ID), c.DeleteEndpoint(ctx, made.ID)); err != nil {
		t.Error(err)
	}
	if e, err := c.Endpoint(ctx, made.ID); err != nil || e.State != "deleted" {
		t.Errorf("Endpoint after its deletion = %+v, %v", e, err)
	}
	if _, err := c.Source(ctx, src.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Source after its deletion = %v, want store.ErrNotFound", err)
	}
	if n := len(collect(t, c.Sources(ctx, "default"))) + len(collect(t, c.Endpoints(ctx, ""))); n != 0 {
		t.Errorf("%d are left", n)
	}
	if presets, err := c.Providers(ctx); err != nil || len(presets) < 5 {
		t.Errorf("Providers = %d, %v", len(presets), err)
	}
}

// record writes three events, each delivered to endpoint at its second attempt.
func record(t *testing.T, st store.Store, endpoint store.EndpointID) (ids []event.ID) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	batch := &store.Batch{Quarantine: []store.Quarantined{{Topic: "sluice.events", Stream: "0", Position: "1", Reason: "undecodable", At: now, Body: []byte("?")}}}
	for i := range 3 {
		at := now.Add(time.Duration(i-10) * time.Second)
		e := &event.Event{
			ID: event.NewID(at), Tenant: "default", Source: "github", Type: "push", Key: "k", GivenID: string(rune('a' + i)), Time: at,
			ContentType: "application/json", Body: []byte("\x00{}"),
		}
		id := store.DeliveryID{Event: e.ID, Endpoint: endpoint}
		batch.Events = append(batch.Events, store.EventRow{Event: e, Matched: 1})
		batch.Attempts = append(batch.Attempts, store.Attempt{ID: id, Number: 1, Started: at, Duration: time.Second, Status: 500, Error: "500"})
		batch.Outcomes = append(batch.Outcomes, store.Outcome{ID: id, State: store.DeliveryDelivered, Attempts: 2, FirstAttempt: at, FinishedAt: now, LastStatus: 200, LastDuration: time.Second})
		ids = append(ids, e.ID)
	}
	if err := st.Record(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestHistoryOnTheEmbeddedStore(t *testing.T) {
	t.Parallel()
	c, st := start(t)
	ctx := t.Context()
	made, err := c.CreateEndpoint(ctx, control.EndpointSpec{Name: "billing", URL: "https://example.com/hooks"})
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := store.ParseEndpointID(made.ID)
	if err != nil {
		t.Fatal(err)
	}
	ids := record(t, st, endpoint)

	events := collect(t, c.Events(ctx, EventFilter{PageSize: 1}))
	if len(events) != 3 || events[0].ID != ids[2].String() || events[2].ID != ids[0].String() {
		t.Fatalf("Events page by page = %+v", events)
	}
	for query, want := range map[string]int{ids[1].String(): 1, "b": 1, "k": 3, "z": 0} {
		if got := collect(t, c.Events(ctx, EventFilter{Query: query, PageSize: 2})); len(got) != want {
			t.Errorf("Events with q=%s: %d, want %d", query, len(got), want)
		}
	}
	if got := collect(t, c.Events(ctx, EventFilter{Since: ids[1].Time(), Until: ids[2].Time()})); len(got) != 1 || got[0].ID != ids[1].String() {
		t.Errorf("Events in a window = %+v", got)
	}
	e, err := c.Event(ctx, ids[0].String())
	if err != nil || len(e.Deliveries) != 1 || e.Deliveries[0].State != "delivered" {
		t.Fatalf("Event = %+v, %v", e, err)
	}
	var body bytes.Buffer
	if err := c.EventBody(ctx, e.ID, &body); err != nil || body.String() != "\x00{}" {
		t.Errorf("EventBody = %q, %v", body.String(), err)
	}
	d, err := c.Delivery(ctx, e.Deliveries[0].ID)
	if err != nil || len(d.Attempts) != 2 || d.Attempts[0].Delivered || !d.Attempts[1].Delivered || d.Attempts[1].Number != 2 {
		t.Errorf("Delivery = %+v, %v", d, err)
	}
	again, err := c.RetryDelivery(ctx, d.ID)
	if err != nil || again.State != "queued" || again.Replay != 1 {
		t.Errorf("RetryDelivery = %+v, %v", again, err)
	}
	for state, want := range map[string]int{"": 4, "queued": 1, "delivered": 3, "dead": 0} {
		if got := collect(t, c.Deliveries(ctx, DeliveryFilter{State: state, Endpoint: made.ID, PageSize: 2})); len(got) != want {
			t.Errorf("Deliveries in state %q: %d, want %d", state, len(got), want)
		}
	}
	if got := collect(t, c.Quarantine(ctx)); len(got) != 1 || got[0].Reason != "undecodable" || got[0].Size != 1 {
		t.Errorf("Quarantine = %+v", got)
	}
}

func TestListsStopWhenTheCallerDoes(t *testing.T) {
	t.Parallel()
	asked := 0
	c := open(t, answering(t, func(w http.ResponseWriter, r *http.Request) {
		asked++
		write(w, `{"data":[{"id":"evt_1"},{"id":"evt_2"}],"next_cursor":"more`+r.URL.Query().Get("cursor")+`"}`)
	}), "")
	seen := 0
	for _, err := range c.Events(t.Context(), EventFilter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == 3 {
			break
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times for 3 of pages of 2, want 2", asked)
	}
}

func TestAListWithoutEndIsAnError(t *testing.T) {
	t.Parallel()
	c := open(t, answering(t, func(w http.ResponseWriter, _ *http.Request) {
		write(w, `{"data":[],"next_cursor":"same"}`)
	}), "")
	for _, err := range c.Events(t.Context(), EventFilter{}) {
		if !errors.Is(err, errLoop) {
			t.Errorf("error %v, want %v", err, errLoop)
		}
	}
}

// write answers text; when that fails, whoever asked sees it.
func write(w io.Writer, text string) { _, _ = io.WriteString(w, text) }

func answering(t *testing.T, h http.HandlerFunc) (url string) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestErrorsReadLikeSentences(t *testing.T) {
	t.Parallel()
	c, _ := start(t)
	_, err := c.CreateEndpoint(t.Context(), control.EndpointSpec{Name: "A", URL: "https://example.com", Timeout: control.Duration(90 * time.Second)})
	want := "validation failed\n  name: A: want lower case letters, digits, - and _, at most 64, a letter or digit first\n  timeout: 1m30s: want 1s to 1m"
	if err == nil || err.Error() != want {
		t.Errorf("CreateEndpoint = %q, want %q", err, want)
	}
	_, err = c.Delivery(t.Context(), "dlv_1")
	if err == nil || !strings.Contains(err.Error(), "\n  id: dlv_1: delivery id") {
		t.Errorf("Delivery of a wrong id = %q", err)
	}
	wrong := open(t, c.base, "slk_wrong")
	if _, err := wrong.Providers(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "no valid API key") {
		t.Errorf("Providers with a wrong key = %q", err)
	}
}

func TestWhatIsNotTheAPISaysSo(t *testing.T) {
	t.Parallel()
	leaked := make(chan string, 1)
	other := answering(t, func(_ http.ResponseWriter, r *http.Request) { leaked <- r.Header.Get("Authorization") })
	tests := []struct {
		name string
		h    http.HandlerFunc
		want string
	}{
		{"a web page", func(w http.ResponseWriter, _ *http.Request) { write(w, "<html>") }, "is something else listening there?"},
		{"its error page", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 404) }, "404 Not Found, not from the management API"},
		{"a redirect, which would take the key along", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other, http.StatusFound) }, "302 Found, not from the management API"},
		{"an answer without end", func(w http.ResponseWriter, _ *http.Request) {
			for range 40 {
				write(w, strings.Repeat(" ", 1<<20))
			}
		}, "more than 33554432 bytes"},
		{"an error that hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "is sluice running there?"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := open(t, answering(t, tt.h), "slk_s3cret")
			if _, err := c.Providers(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("Providers = %v, want %q", err, tt.want)
			}
		})
	}
	select {
	case key := <-leaked:
		t.Errorf("the key went elsewhere: %q", key)
	default:
	}
}

func TestNobodyListening(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + ln.Addr().String()
	ln.Close()
	c := open(t, url, "")
	for _, err := range c.Events(t.Context(), EventFilter{Query: "s3cret"}) {
		if err == nil || !strings.HasPrefix(err.Error(), "management API at "+url+": ") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Events = %v, want where it asked, without the query", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Providers(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Providers after cancellation = %v", err)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for address, fine := range map[string]bool{
		"http://127.0.0.1:8081": true, "https://sluice.internal/": true, "127.0.0.1:8081": false, "": false, "ftp://x": false,
		"http://slk_key@127.0.0.1": false, "http://127.0.0.1?key=1": false, "http://": false,
	} {
		if c, err := New(address, ""); fine != (err == nil) {
			t.Errorf("New(%q) = %v", address, err)
		} else if fine {
			c.Close()
		}
	}
}

func TestTheKeyIsSentAsBearer(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	c := open(t, answering(t, func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header.Get("Authorization")
		write(w, `{"data":[]}`)
	}), "slk_s3cret")
	if _, err := c.Providers(t.Context()); err != nil {
		t.Fatal(err)
	}
	if sent := <-got; sent != "Bearer slk_s3cret" {
		t.Errorf("sent %q", sent)
	}
}
