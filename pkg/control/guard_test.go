package control

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/store"
)

func TestWithoutKeysBrowsersCannotBeUsed(t *testing.T) {
	t.Parallel()
	const good = `{"name":"new","provider":"github","secrets":["0123456789abcdef"]}`
	tests := []struct {
		name, host, contentType string
		header                  map[string]string
		want                    int
	}{
		{"the command line", "127.0.0.1:8081", "application/json", nil, 201},
		{"by name", "localhost:8081", "application/json; charset=UTF-8", nil, 201},
		{"a page of the listener itself", "127.0.0.1:8081", "application/json", map[string]string{"Sec-Fetch-Site": "same-origin"}, 201},
		{"a name that was rebound to 127.0.0.1", "evil.example:8081", "application/json", nil, 403},
		{"no host", "", "application/json", nil, 403},
		{"a page of another site", "127.0.0.1:8081", "application/json", map[string]string{"Sec-Fetch-Site": "cross-site"}, 403},
		{"a page of another port", "127.0.0.1:8081", "application/json", map[string]string{"Sec-Fetch-Site": "same-site"}, 403},
		{"an old browser", "127.0.0.1:8081", "application/json", map[string]string{"Origin": "http://evil.example"}, 403},
		{"a form", "127.0.0.1:8081", "text/plain", nil, 415},
		{"a blob without a type", "127.0.0.1:8081", "", nil, 415},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, withoutKeys)
			r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8081/v1/sources", strings.NewReader(good))
			r.Host = tt.host
			if tt.contentType != "" {
				r.Header.Set("Content-Type", tt.contentType)
			}
			for name, value := range tt.header {
				r.Header.Set(name, value)
			}
			if a := w.serve(r); a.status != tt.want {
				t.Errorf("status %d, want %d: %s", a.status, tt.want, a.body)
			}
		})
	}
	t.Run("a page of another site pauses an endpoint", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, withoutKeys)
		r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8081/v1/endpoints/"+w.point["acme"].ID.String()+"/pause", nil)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		if a := w.serve(r); a.status != http.StatusForbidden || w.store.endpoints[1].State != store.EndpointActive {
			t.Errorf("status %d, endpoint %s", a.status, w.store.endpoints[1].State)
		}
	})
	t.Run("with keys any host will do", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		r := httptest.NewRequest(http.MethodGet, "http://sluice.internal/v1/providers", nil)
		r.Header.Set("Authorization", "bearer "+w.keys.add(t, "", store.ScopeAdmin))
		want[Page[Provider]](t, w.serve(r), http.StatusOK)
	})
}

func TestWhatHasNoRouteIsAProblemToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := want[problem](t, w.request(http.MethodGet, "/v1/nothing", "", ""), http.StatusNotFound)
	if !strings.Contains(p.Detail, "no such route") {
		t.Errorf("detail %q", p.Detail)
	}
	a := w.request(http.MethodPut, "/v1/sources", "", "{}")
	want[problem](t, a, http.StatusMethodNotAllowed)
	if allow := a.header.Get("Allow"); allow != "GET, HEAD, POST" {
		t.Errorf("Allow %q", allow)
	}
}

func TestEveryAnswerHasSecurityHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"/v1/sources", "/v1/nothing", "/openapi.json"} {
		a := w.request(http.MethodGet, path, "", "")
		for name, value := range map[string]string{
			"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
			"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Cross-Origin-Resource-Policy": "same-origin",
		} {
			if got := a.header.Get(name); got != value {
				t.Errorf("%s: %s %q, want %q", path, name, got, value)
			}
		}
	}
}

func TestWithTheStoreAwayEveryRouteSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutKeys)
	w.store.down = true
	for _, r := range routes(t) {
		if r.path == "/v1/providers" {
			continue // asks nothing
		}
		a := w.request(r.method, r.address(t, w, "acme"), "", r.payload(t))
		p := want[problem](t, a, http.StatusServiceUnavailable)
		if a.header.Get("Retry-After") != "1" || strings.Contains(a.body, "/secret/path") || p.Errors != nil {
			t.Errorf("%s %s: Retry-After %q, %s", r.method, r.path, a.header.Get("Retry-After"), a.body)
		}
		if logged := w.logs.TakeAll(); len(logged) != 1 || !strings.Contains(logged[0].Message, "store does not answer") {
			t.Errorf("%s %s: logged %v, want why", r.method, r.path, logged)
		}
	}
}

func TestAStoreThatHangsIsGivenUpAfterTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withoutKeys)
		w.store.hang = true
		began := time.Now()
		want[problem](t, w.request(http.MethodGet, "/v1/events", "", ""), http.StatusServiceUnavailable)
		if took := time.Since(began); took != requestTime {
			t.Errorf("took %v, want %v", took, requestTime)
		}
	})
}

func TestPanicsAreAnsweredLoggedAndCounted(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	w := newWorld(t, withoutKeys, func(o *Options) {
		o.Registerer = reg
		o.Settle = func(context.Context) { panic("settle " + strings.Repeat("x", 10_000)) }
	})
	a := w.request(http.MethodDelete, "/v1/sources/"+w.source["acme"].ID.String(), "", "")
	want[problem](t, a, http.StatusInternalServerError)
	if strings.Contains(a.body, "settle") {
		t.Errorf("the answer shows the panic: %s", a.body)
	}
	if logged := w.logs.FilterMessageSnippet("panic").All(); len(logged) != 1 || logged[0].Level != zap.ErrorLevel {
		t.Errorf("logged %v, want one error", w.logs.All())
	}
	w.request(http.MethodGet, "/v1/sources", "", "")
	if err := testutil.GatherAndCompare(reg, strings.NewReader(`
		# HELP sluice_control_requests_total Requests to the management API, by class of their status.
		# TYPE sluice_control_requests_total counter
		sluice_control_requests_total{status="1xx"} 0
		sluice_control_requests_total{status="2xx"} 1
		sluice_control_requests_total{status="3xx"} 0
		sluice_control_requests_total{status="4xx"} 0
		sluice_control_requests_total{status="5xx"} 1
		sluice_control_requests_total{status="none"} 0
	`), "sluice_control_requests_total"); err != nil {
		t.Error(err)
	}
}

func TestRunServesUntilItsContextEnds(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, withoutKeys)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.server.Run(ctx, ln) }()
	resp, err := http.Get("http://" + ln.Addr().String() + "/v1/providers")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	http.DefaultClient.CloseIdleConnections()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
}

func TestRunWithoutKeysRefusesAListenerForOthers(t *testing.T) {
	ln, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, withoutKeys)
	if err := w.server.Run(t.Context(), ln); err == nil || !strings.Contains(err.Error(), "would be admin") {
		t.Errorf("Run = %v, want a refusal", err)
	}
}

func TestConfigProblems(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		cfg  Config
		want string
	}{
		{"the defaults", Defaults(), ""},
		{"no keys on loopback", Config{"[::1]:8081", AuthNone}, ""},
		{"no keys for everybody", Config{":8081", AuthNone}, "control.auth: none: anybody who reaches :8081 would be admin: set it to keys, or listen on 127.0.0.1"},
		{"an unknown kind", Config{"127.0.0.1:1", "oidc"}, `control.auth: oidc: want "keys", or "none" on a loopback listener`},
		{"no port", Config{"127.0.0.1", AuthKeys}, "control.listen: 127.0.0.1: want HOST:PORT, such as 127.0.0.1:8081, or :8081 for all addresses"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := ""
			if list := tt.cfg.Validate(); len(list) > 0 {
				got = list[0].Error()
			}
			if got != tt.want {
				t.Errorf("Validate = %q, want %q", got, tt.want)
			}
		})
	}
	if _, err := New(Options{Config: Config{":8081", AuthNone}, Log: zap.NewNop()}); err == nil {
		t.Error("New takes a configuration that Validate refuses")
	}
	if _, err := New(Options{Config: Defaults(), Log: zap.NewNop()}); err == nil {
		t.Error("New takes auth keys without a keyring")
	}
}
