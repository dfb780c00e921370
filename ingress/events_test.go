package ingress

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// Keys of the tests.
const (
	publishKey = "slk_publish"
	tenantKey  = "slk_tenant"
	adminKey   = "slk_admin"
	oddKey     = "slk_odd"
)

func newPublisherHouse(tb testing.TB, change func(*Config, *Deps)) *house {
	tb.Helper()
	h := newHouse(tb, change)
	h.snapshot.addKey(publishKey, store.Key{Tenant: "acme", Scope: store.ScopePublish})
	h.snapshot.addKey(tenantKey, store.Key{Tenant: "acme", Scope: store.ScopeTenant})
	h.snapshot.addKey(adminKey, store.Key{Scope: store.ScopeAdmin})
	h.snapshot.addKey(oddKey, store.Key{Tenant: "acme", Scope: "read"})
	return h
}

func post(key, body string, headers ...string) *http.Request {
	r := httptest.NewRequest("POST", "/v1/events", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func TestPublishOneEvent(t *testing.T) {
	h := newPublisherHouse(t, nil)
	w := h.do(post(publishKey, `{"type":"order.paid", "id":"o-1", "key":"c-7", "data": {"b":1, "a" : [1e400]}}`))
	h.wantAnswer(t, w, http.StatusAccepted, "")
	e := h.wantPublished(t, 1)[0]
	if e.Type != "order.paid" || e.GivenID != "o-1" || e.Key != "c-7" || e.Tenant != "acme" || e.Source != event.APISource || string(e.Body) != `{"b":1, "a" : [1e400]}` {
		t.Errorf("event %+v with body %s", e, e.Body)
	}
	if want := fmt.Sprintf("{\"id\":%q}\n", e.ID); w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("answer %q, want %q", w.Body, want)
	}
	if e.Method+e.Path+e.Query != "" || !e.ID.Time().Equal(e.Time) {
		t.Errorf("event %+v", e)
	}
}

func TestPublishCloudEvents(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	tests := []struct {
		name    string
		r       *http.Request
		givenID string
		body    string
	}{
		{"binary", post(publishKey, "\x00\xff", "Content-Type", "application/octet-stream", "ce-specversion", "1.0", "ce-id", "1", "ce-source", "/s", "ce-type", "t", "ce-traceparent", parent), "1", "\x00\xff"},
		{"structured", post(publishKey, `{"specversion":"1.0","id":"2","source":"/s","type":"t","traceparent":"`+parent+`","data":{"a": 1}}`, "Content-Type", "application/cloudevents+json"), "2", `{"a": 1}`},
	}
	for _, tt := range tests {
		h := newPublisherHouse(t, nil)
		h.wantAnswer(t, h.do(tt.r), http.StatusAccepted, "")
		e := h.wantPublished(t, 1)[0]
		if e.GivenID != tt.givenID || string(e.Body) != tt.body || e.Type != "t" || e.Origin != "/s" || e.TraceParent != parent {
			t.Errorf("%s: event %+v with body %q", tt.name, e, e.Body)
		}
	}
}

func TestPublishAnArray(t *testing.T) {
	h := newPublisherHouse(t, nil)
	w := h.do(post(publishKey, `[{"type":"a","data":1},{"type":"b","data":"x","id":"own"}]`, "Idempotency-Key", "k"))
	h.wantAnswer(t, w, http.StatusAccepted, "")
	var answer struct {
		IDs []event.ID `json:"ids"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("answer %q: %v", w.Body, err)
	}
	events := h.wantPublished(t, 2)
	if h.broker.calls != 1 {
		t.Errorf("the broker was called %d times, want once for all", h.broker.calls)
	}
	for i, givenID := range []string{"k/0", "own"} {
		if events[i].GivenID != givenID || events[i].ID != answer.IDs[i] {
			t.Errorf("event %d: %+v, answered %v", i, events[i], answer.IDs)
		}
	}
	one := h.do(post(publishKey, `{"type":"a","data":1}`, "Idempotency-Key", "k"))
	h.wantAnswer(t, one, http.StatusAccepted, "")
	if got := h.wantPublished(t, 3)[2].GivenID; got != "k" {
		t.Errorf("given id %q, want k", got)
	}
}

func TestWhoMayPublish(t *testing.T) {
	const plain = `{"type":"t","data":1}`
	named := func(tenant string) string {
		return `{"specversion":"1.0","id":"2","source":"/s","type":"t","tenant":"` + tenant + `"}`
	}
	tests := []struct {
		name   string
		header string
		body   string
		status int
		tenant string
	}{
		{"a publish key", "Bearer " + publishKey, plain, 202, "acme"},
		{"a tenant key", "Bearer " + tenantKey, plain, 202, "acme"},
		{"an admin key", "Bearer " + adminKey, plain, 202, "default"},
		{"the scheme in another case", "bearer " + publishKey, plain, 202, "acme"},
		{"its own tenant by name", "Bearer " + publishKey, named("acme"), 202, "acme"},
		{"another tenant with an admin key", "Bearer " + adminKey, named("umbrella"), 202, "umbrella"},
		{"another tenant with a publish key", "Bearer " + publishKey, named("umbrella"), 403, ""},
		{"another tenant with a tenant key", "Bearer " + tenantKey, named("default"), 403, ""},
		{"a key that may not", "Bearer " + oddKey, plain, 403, ""},
		{"no key", "", plain, 401, ""},
		{"an unknown key", "Bearer slk_unknown", plain, 401, ""},
		{"a key and more", "Bearer " + publishKey + " ", plain, 401, ""},
		{"part of a key", "Bearer " + publishKey[:8], plain, 401, ""},
		{"another scheme", "Basic " + publishKey, plain, 401, ""},
		{"no scheme", publishKey, plain, 401, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newPublisherHouse(t, nil)
			r := post("", tt.body, "Content-Type", "application/json")
			if strings.Contains(tt.body, "specversion") {
				r.Header.Set("Content-Type", "application/cloudevents+json")
			}
			if tt.header != "" {
				r.Header.Set("Authorization", tt.header)
			}
			w := h.do(r)
			h.wantAnswer(t, w, tt.status, "")
			if tt.status != 202 {
				wantProblem(t, w, tt.status)
				h.wantPublished(t, 0)
			} else if got := h.wantPublished(t, 1)[0].Tenant; got != tt.tenant {
				t.Errorf("tenant %q, want %q", got, tt.tenant)
			}
			if (w.Header().Get("WWW-Authenticate") == "Bearer") != (tt.status == 401) {
				t.Errorf("headers %v", w.Header())
			}
		})
	}
	h := newPublisherHouse(t, nil)
	r := post(publishKey, plain)
	r.Header.Add("Authorization", "Bearer "+adminKey)
	h.wantAnswer(t, h.do(r), http.StatusUnauthorized, "")
}

func TestWithoutKeysOnlyThisMachineMayPublish(t *testing.T) {
	const local = "127.0.0.1:50000"
	tests := []struct {
		name, from, host string
		headers          []string
		status           int
	}{
		{"a program here", local, "127.0.0.1:8080", nil, 202},
		{"a program here by name", "[::1]:50000", "localhost:8080", nil, 202},
		{"somebody else", "192.0.2.1:50000", "127.0.0.1:8080", nil, 401},
		{"somebody else with a key", "192.0.2.1:50000", "hooks.example.com", []string{"Authorization", "Bearer " + publishKey}, 202},
		{"somebody else behind a proxy here", local, "hooks.example.com", nil, 401},
		{"a page of another site", local, "127.0.0.1:8080", []string{"Origin", "https://evil.example"}, 401},
		{"a page of another site, in a modern browser", local, "127.0.0.1:8080", []string{"Sec-Fetch-Site", "cross-site"}, 401},
		{"a site whose name was made to mean us", local, "evil.example:8080", []string{"Origin", "http://evil.example:8080"}, 401},
	}
	for _, tt := range tests {
		h := newPublisherHouse(t, func(_ *Config, d *Deps) { d.Anonymous = true })
		r := post("", `{"type":"t","data":1}`, tt.headers...)
		r.RemoteAddr, r.Host = tt.from, tt.host
		w := h.do(r)
		if w.Code != tt.status {
			t.Errorf("%s: answer %d, want %d", tt.name, w.Code, tt.status)
		}
		if tt.status == 202 && tt.headers == nil && h.wantPublished(t, 1)[0].Tenant != event.DefaultTenant {
			t.Errorf("%s: published for another tenant", tt.name)
		}
	}
}

func wantProblem(t *testing.T, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	var problem struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &problem); err != nil || problem.Status != status || problem.Title == "" || problem.Detail == "" {
		t.Errorf("problem %q: %v", w.Body, err)
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
}

func TestPublishersMistakes(t *testing.T) {
	tests := []struct {
		name   string
		r      *http.Request
		status int
	}{
		{"no body", post(publishKey, ""), 400},
		{"no JSON", post(publishKey, "hello"), 400},
		{"no type", post(publishKey, `{"data":1}`), 400},
		{"an empty array", post(publishKey, `[]`), 400},
		{"one of an array is wrong", post(publishKey, `[{"type":"a","data":1},{"type":"","data":1}]`), 400},
		{"a control character in the key", post(publishKey, `{"type":"a","data":1,"key":"\u0000"}`), 400},
		{"an Idempotency-Key that is too long", post(publishKey, `{"type":"a","data":1}`, "Idempotency-Key", strings.Repeat("x", 2000)), 400},
		{"a content type we do not read", post(publishKey, "a: 1", "Content-Type", "application/yaml"), 415},
		{"1001 events", post(publishKey, "["+strings.Repeat(`{"type":"a","data":1},`, 1000)+`{"type":"a","data":1}]`), 400},
		{"deep JSON", post(publishKey, `{"type":"a","data":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+"}"), 400},
		{"too large", post(publishKey, `{"type":"a","data":"`+strings.Repeat("x", 1<<20)+`"}`), 413},
		{"one of an array larger than the broker takes", post(publishKey, `[{"type":"a","data":1},{"type":"b","data":"`+strings.Repeat("x", 6000)+`"}]`), 413},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newPublisherHouse(t, func(_ *Config, d *Deps) { d.MaxMessage = 5000 })
			w := h.do(tt.r)
			h.wantAnswer(t, w, tt.status, "")
			wantProblem(t, w, tt.status)
			if h.broker.calls > 0 {
				t.Error("the broker was called")
			}
		})
	}
	h := newPublisherHouse(t, nil)
	r := post(publishKey, "")
	r.Method = http.MethodGet
	w := h.do(r)
	h.wantAnswer(t, w, http.StatusMethodNotAllowed, "")
	if w.Header().Get("Allow") != "POST" {
		t.Errorf("headers %v", w.Header())
	}
	wantProblem(t, w, http.StatusMethodNotAllowed)
}

func TestAnArrayOfWhichSomeFailedIsNoSuccess(t *testing.T) {
	h := newPublisherHouse(t, nil)
	h.broker.fail = func(_ context.Context, msgs []*broker.Message) error {
		errs := make(broker.PublishErrors, len(msgs))
		errs[1] = broker.ErrUnavailable
		return errs
	}
	w := h.do(post(publishKey, `[{"type":"a","data":1},{"type":"b","data":2}]`))
	h.wantAnswer(t, w, http.StatusServiceUnavailable, "")
	wantProblem(t, w, http.StatusServiceUnavailable)
	if w.Header().Get("Retry-After") == "" || bytes.Contains(w.Body.Bytes(), []byte("evt_")) {
		t.Errorf("answer %v %q", w.Header(), w.Body)
	}
	wantCount(t, h, "api", "unavailable", 1)
}
