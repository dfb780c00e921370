package ingress

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/ingress/provider"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

func TestEveryPresetFromRequestToEvent(t *testing.T) {
	for _, name := range provider.Names() {
		t.Run(name, func(t *testing.T) {
			p, _ := provider.Get(name)
			h := newHouse(t, nil)
			before := time.Now().Truncate(time.Millisecond)
			r := signed(t, name, "/in/"+name+"/extra%2Fpath?a=b&c", nil)
			r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
			w := h.do(r)
			h.wantAnswer(t, w, http.StatusOK, "")
			if w.Body.Len() > 0 || w.Header().Get("Content-Type") != "" {
				t.Errorf("answer has a body %q or a type %v", w.Body, w.Header())
			}
			e := h.wantPublished(t, 1)[0]
			if e.Type != p.Samples()[0].Event || e.Source != name || e.Tenant != event.DefaultTenant || e.Key != "" {
				t.Errorf("event %+v", e)
			}
			if e.Method != "POST" || e.Path != "/extra%2Fpath" || e.Query != "a=b&c" || e.ContentType != "application/json" {
				t.Errorf("request of the event: %s %s %s %s", e.Method, e.Path, e.Query, e.ContentType)
			}
			if e.Time.Before(before) || e.Time.After(time.Now()) || !e.ID.Time().Equal(e.Time) || e.Time.Location() != time.UTC {
				t.Errorf("time %v, of the id %v", e.Time, e.ID.Time())
			}
			if e.TraceParent != "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" {
				t.Errorf("traceparent %q is not the sender's", e.TraceParent)
			}
			for header, value := range e.Headers {
				if strings.Contains(value, testSecret) || strings.Contains(header, "sign") || header == "authorization" {
					t.Errorf("header %s is kept", header)
				}
			}
		})
	}
}

func TestEveryPresetRefusesWhatIsNotSigned(t *testing.T) {
	for _, name := range provider.Names() {
		h := newHouse(t, nil)
		genuine := signed(t, name, "/in/"+name, nil)
		other := newHouse(t, nil)
		other.snapshot.sources["default/"+name].Secrets = []store.Secret{store.Secret(strings.Replace(secretFor(name).Reveal(), "a", "b", 1))}
		other.wantAnswer(t, other.do(genuine.Clone(t.Context())), http.StatusUnauthorized, "")
		other.wantPublished(t, 0)

		bare := httptest.NewRequest("POST", "/in/"+name, strings.NewReader("{}"))
		h.wantAnswer(t, h.do(bare), http.StatusUnauthorized, "")
		h.wantPublished(t, 0)
		if h.broker.calls != 0 {
			t.Errorf("%s: the broker was called", name)
		}
	}
}

func TestBodiesStayAsTheyAre(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for name, body := range map[string][]byte{
		"every byte": every, "1 MiB": bytes.Repeat(every, 4096), "nothing": {}, "one byte": {0}, "UTF-16": {0xff, 0xfe, 'a', 0},
		"a byte order mark": []byte("\uFEFF{}"), "CRLF": []byte("{\r\n}\r\n"), "broken UTF-8": {0xc3, 0x28},
	} {
		for _, chunked := range []bool{false, true} {
			h := newHouse(t, nil)
			r := signed(t, "github", "/in/github", body)
			if chunked {
				r.ContentLength, r.Body = -1, http.NoBody
				r = withBody(r, body)
			}
			h.wantAnswer(t, h.do(r), http.StatusOK, "")
			if got := h.wantPublished(t, 1)[0].Body; !bytes.Equal(got, body) {
				t.Errorf("%s, chunked %v: %d bytes became %d others", name, chunked, len(body), len(got))
			}
		}
	}
}

func withBody(r *http.Request, body []byte) *http.Request {
	fresh := httptest.NewRequest(r.Method, r.URL.String(), unsized(bytes.NewReader(body)))
	fresh.Header = r.Header
	return fresh
}

func TestRoutes(t *testing.T) {
	h := newHouse(t, nil)
	for _, src := range []*store.Source{
		{Name: "acme", Provider: "token"},
		{Name: "shop", Provider: "token", Tenant: "acme"},
		{Name: "ä b/c", Provider: "token"},
		{Name: "lost", Provider: "of-the-future"},
		{Name: "bare", Provider: "github"},
	} {
		if src.Name != "bare" {
			src.Secrets = []store.Secret{testSecret}
		}
		h.snapshot.add(src)
	}
	tests := []struct {
		name, method, path string
		status             int
		tenant, source     string
		suffix             string
	}{
		{"a source", "POST", "/in/token", 200, "default", "token", ""},
		{"a source and a slash", "POST", "/in/token/", 200, "default", "token", "/"},
		{"a suffix", "POST", "/in/token/a/b", 200, "default", "token", "/a/b"},
		{"a suffix that is not clean", "POST", "/in/token//a/../b/.", 200, "default", "token", "//a/../b/."},
		{"a tenant's source", "POST", "/in/acme/shop", 200, "acme", "shop", ""},
		{"a tenant's source and a suffix", "POST", "/in/acme/shop/x", 200, "acme", "shop", "/x"},
		{"tenant default by name", "POST", "/in/default/token/x", 200, "default", "token", "/x"},
		{"a source named like a tenant", "POST", "/in/acme", 200, "default", "acme", ""},
		{"a source named like a tenant, and a suffix", "POST", "/in/acme/other", 200, "default", "acme", "/other"},
		{"an encoded name", "POST", "/in/%C3%A4%20b%2Fc/x", 200, "default", "ä b/c", "/x"},
		{"a tenant's source without its tenant", "POST", "/in/shop", 404, "", "", ""},
		{"an unknown source", "POST", "/in/nobody", 404, "", "", ""},
		{"an unknown source of a tenant", "POST", "/in/default/nobody", 404, "", "", ""},
		{"no source", "POST", "/in/", 404, "", "", ""},
		{"only slashes", "POST", "/in///token", 404, "", "", ""},
		{"without a slash", "POST", "/in", 404, "", "", ""},
		{"another case", "POST", "/IN/token", 404, "", "", ""},
		{"nothing", "POST", "/", 404, "", "", ""},
		{"another method", "GET", "/in/token", 405, "", "", ""},
		{"a method nobody knows", "BREW", "/in/token", 405, "", "", ""},
		{"HEAD", "HEAD", "/in/token", 405, "", "", ""},
		{"a preset of the future", "POST", "/in/lost", 503, "", "", ""},
		{"a source without a secret", "POST", "/in/bare", 503, "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h.broker.messages = nil
			r := signed(t, "token", tt.path, nil)
			r.Method = tt.method
			w := h.do(r)
			h.wantAnswer(t, w, tt.status, "")
			if w.Body.Len() > 0 {
				t.Errorf("answer has a body: %q", w.Body)
			}
			if (w.Header().Get("Allow") == "POST") != (tt.status == 405) || (w.Header().Get("Retry-After") != "") != (tt.status == 503) {
				t.Errorf("headers %v", w.Header())
			}
			if tt.source == "" {
				h.wantPublished(t, 0)
				return
			}
			if e := h.wantPublished(t, 1)[0]; e.Tenant != tt.tenant || e.Source != tt.source || e.Path != tt.suffix {
				t.Errorf("tenant %q, source %q, suffix %q, want %q, %q, %q", e.Tenant, e.Source, e.Path, tt.tenant, tt.source, tt.suffix)
			}
		})
	}
}

func TestNoConfigurationYet(t *testing.T) {
	h := newHouse(t, func(_ *Config, d *Deps) { d.Snapshot = func() Snapshot { return nil } })
	for _, path := range []string{"/in/github", "/v1/events"} {
		r := signed(t, "github", path, nil)
		r.Header.Set("Authorization", "Bearer slk_x")
		w := h.do(r)
		h.wantAnswer(t, w, http.StatusServiceUnavailable, "")
		if w.Header().Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
}

func TestSlackChallengeIsAnsweredAndNotPublished(t *testing.T) {
	h := newHouse(t, nil)
	body := []byte(`{"type":"url_verification","challenge":"3eZ"}`)
	w := h.do(signed(t, "slack", "/in/slack", body))
	h.wantAnswer(t, w, http.StatusOK, "3eZ")
	want := http.Header{"Content-Type": {"text/plain; charset=utf-8"}, "X-Content-Type-Options": {"nosniff"}}
	if !maps.EqualFunc(w.Header(), want, func(a, b []string) bool { return a[0] == b[0] }) {
		t.Errorf("headers %v, want %v", w.Header(), want)
	}
	unsigned := httptest.NewRequest("POST", "/in/slack", bytes.NewReader(body))
	h.wantAnswer(t, h.do(unsigned), http.StatusUnauthorized, "")
	h.wantPublished(t, 0)
}

func TestSourcesThatSignTheirURL(t *testing.T) {
	const target = "/in/url/x%2Fy?b=1&a=2"
	src := &store.Source{Name: "url", Provider: "hmac", Secrets: []store.Secret{testSecret}, Params: map[string]string{"content": "{url}{body}"}}
	p, _ := provider.Get("hmac")
	scheme, err := p.Bind(src.Params, src.Secrets)
	if err != nil {
		t.Fatal(err)
	}
	req := &provider.Request{URL: "https://hooks.example.com" + target, Header: http.Header{}, Body: []byte("{}")}
	if err := scheme.Sign(req, time.Now()); err != nil {
		t.Fatal(err)
	}
	for publicURL, status := range map[string]int{"https://hooks.example.com": 200, "https://other.example.com": 401, "": 503} {
		h := newHouse(t, func(c *Config, _ *Deps) { c.PublicURL = publicURL })
		h.snapshot.add(src)
		r := httptest.NewRequest("POST", target, bytes.NewReader(req.Body))
		r.Header = req.Header
		h.wantAnswer(t, h.do(r), status, "")
		if said := h.logs.FilterMessage("source cannot be verified as it is configured; its requests get a 503").Len(); (said == 1) != (status == 503) {
			t.Errorf("public URL %q: warned %d times", publicURL, said)
		}
	}
}

func TestLargeBodies(t *testing.T) {
	const limit = 10_000
	for name, size := range map[string]int{"at the limit": limit, "above it": limit + 1, "far above it": 10 * limit} {
		for _, chunked := range []bool{false, true} {
			h := newHouse(t, func(c *Config, _ *Deps) { c.MaxBody = limit })
			body := bytes.Repeat([]byte("x"), size)
			r := signed(t, "github", "/in/github", body)
			if chunked {
				r = withBody(r, body)
			}
			want := http.StatusOK
			if size > limit {
				want = http.StatusRequestEntityTooLarge
			}
			w := h.do(r)
			h.wantAnswer(t, w, want, "")
			if size > limit && (w.Header().Get("Connection") != "close" || h.broker.calls > 0) {
				t.Errorf("%s, chunked %v: connection stays, or the broker was called", name, chunked)
			}
		}
	}
}

func TestEventsLargerThanTheBrokerTakes(t *testing.T) {
	h := newHouse(t, func(_ *Config, d *Deps) { d.MaxMessage = 5000 })
	h.wantAnswer(t, h.do(signed(t, "github", "/in/github", bytes.Repeat([]byte("x"), 5000))), http.StatusRequestEntityTooLarge, "")
	if h.broker.calls > 0 {
		t.Error("the broker was asked")
	}
	h = newHouse(t, nil)
	h.broker.fail = func(context.Context, []*broker.Message) error { return broker.PublishErrors{broker.ErrTooLarge} }
	h.wantAnswer(t, h.do(signed(t, "github", "/in/github", nil)), http.StatusRequestEntityTooLarge, "")
}

func TestHeadersThatAreTooMany(t *testing.T) {
	h := newHouse(t, nil)
	r := signed(t, "github", "/in/github", nil)
	for range maxHeaders {
		r.Header.Add("X-Flood", "1")
	}
	h.wantAnswer(t, h.do(r), http.StatusRequestHeaderFieldsTooLarge, "")
	h.wantPublished(t, 0)
}

func TestRequestsThatNoEventCanHold(t *testing.T) {
	h := newHouse(t, nil)
	h.wantAnswer(t, h.do(signed(t, "github", "/in/github?"+strings.Repeat("x", event.MaxRequest), nil)), http.StatusBadRequest, "")
	h.wantPublished(t, 0)
	wantCount(t, h, "github", "malformed", 1)

	for _, contentType := range []string{strings.Repeat("x", event.MaxAttribute+1), "a\tb", "\xff"} { // that alone is no reason
		r := signed(t, "github", "/in/github?\xff", nil)
		r.Header.Set("Content-Type", contentType)
		h.wantAnswer(t, h.do(r), http.StatusOK, "")
	}
	for _, e := range h.wantPublished(t, 3) {
		if e.ContentType != "" || e.Query != "\uFFFD" {
			t.Errorf("content type %q, query %q", e.ContentType, e.Query)
		}
	}
}

func TestBodiesThatBreakOff(t *testing.T) {
	h := newHouse(t, nil)
	for name, err := range map[string]error{"cut": nil, "reset": errors.New("connection reset by peer")} {
		r := signed(t, "github", "/in/github", nil)
		r.ContentLength += 10
		if err != nil {
			r.Body = io.NopCloser(iotest.ErrReader(err))
		}
		w := h.do(r)
		h.wantAnswer(t, w, http.StatusBadRequest, "")
		if w.Header().Get("Connection") != "close" {
			t.Errorf("%s: the connection stays", name)
		}
	}
	h.wantPublished(t, 0)
}
