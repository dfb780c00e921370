package control

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/store"
)

// route is one operation of the document.
type route struct {
	method, path string
	hasBody      bool
}

func routes(t *testing.T) (out []route) {
	t.Helper()
	doc, _ := openapi(t, newWorld(t))
	for path, methods := range doc.Paths {
		for method, op := range methods {
			out = append(out, route{strings.ToUpper(method), path, op.RequestBody != nil})
		}
	}
	return out
}

// address is the route's path for what belongs to tenant.
func (r route) address(t *testing.T, w *world, tenant string) string {
	t.Helper()
	noun, _, _ := strings.Cut(strings.TrimPrefix(r.path, "/v1/"), "/")
	ids := map[string]string{
		"sources":    w.source[tenant].ID.String(),
		"endpoints":  w.point[tenant].ID.String(),
		"events":     w.event[tenant].String(),
		"deliveries": w.finish[tenant].String(),
	}
	if strings.Contains(r.path, "{id}") && ids[noun] == "" {
		t.Fatalf("%s %s: the test knows no id for it", r.method, r.path)
	}
	return strings.ReplaceAll(r.path, "{id}", ids[noun])
}

// payload is a body that the route takes.
func (r route) payload(t *testing.T) string {
	t.Helper()
	switch {
	case !r.hasBody:
		return ""
	case r.path == "/v1/sources":
		return `{"name":"new","provider":"github","secrets":["` + canary + `-0123456789"]}`
	case r.path == "/v1/endpoints":
		return `{"name":"new","url":"https://example.com/","auth":{"kind":"bearer","token":"` + canary + `"}}`
	}
	t.Fatalf("%s %s: the test knows no body for it", r.method, r.path)
	return ""
}

// allow puts what the route is about into the state that the route starts from.
func (r route) allow(w *world) {
	if strings.HasSuffix(r.path, "/enable") {
		for i := range w.store.endpoints {
			w.store.endpoints[i].State = store.EndpointDisabled
		}
	}
}

// TestWhoMayDoWhat asks every route of the document with every kind of key, for what is its tenant's and what is not.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	const denied = "" // nothing may have happened
	for _, r := range routes(t) {
		t.Run(r.method+" "+r.path, func(t *testing.T) {
			t.Parallel()
			hasID, adminOnly := strings.Contains(r.path, "{id}"), r.path == "/v1/quarantine"
			tests := []struct {
				name   string
				key    func(*world) string
				tenant string // whose things it is about
				want   int    // 0: any 2xx
			}{
				{"no key", func(*world) string { return denied }, "acme", 401},
				{"no such key", func(*world) string { return ring{}.add(t, "", store.ScopeAdmin) }, "acme", 401},
				{"half a key", func(w *world) string { return w.keys.add(t, "", store.ScopeAdmin)[:20] }, "acme", 401},
				{"publish key", func(w *world) string { return w.keys.add(t, "acme", store.ScopePublish) }, "acme", 403},
				{"key of a scope that does not exist", func(w *world) string { return w.odd(t, "acme", "root") }, "acme", 403},
				{"tenant key that lost its tenant", func(w *world) string { return w.odd(t, "", store.ScopeTenant) }, "acme", 403},
				{"tenant key, own things", func(w *world) string { return w.keys.add(t, "acme", store.ScopeTenant) }, "acme", statusIf(adminOnly, 403, 0)},
				{"tenant key, foreign things", func(w *world) string { return w.keys.add(t, "acme", store.ScopeTenant) }, "default", statusIf(adminOnly, 403, statusIf(hasID, 404, 0))},
				{"admin key", func(w *world) string { return w.keys.add(t, "", store.ScopeAdmin) }, "acme", 0},
				{"admin key, other tenant", func(w *world) string { return w.keys.add(t, "", store.ScopeAdmin) }, "default", 0},
			}
			refused := newWorld(t)
			r.allow(refused)
			for _, tt := range tests {
				w := refused
				if tt.want == 0 { // it changes something
					w = newWorld(t)
					r.allow(w)
				}
				before := w.contents()
				a := w.request(r.method, r.address(t, w, tt.tenant), tt.key(w), r.payload(t))
				if tt.want == 0 && (a.status < 200 || a.status > 299) || tt.want != 0 && a.status != tt.want {
					t.Errorf("%s: status %d, want %d (0: success): %s", tt.name, a.status, tt.want, a.body)
				}
				if tt.want != 0 && !reflect.DeepEqual(w.contents(), before) {
					t.Errorf("%s: refused, and yet something changed", tt.name)
				}
				if (tt.want == 401) != (a.header.Get("WWW-Authenticate") != "") {
					t.Errorf("%s: status %d with WWW-Authenticate %q", tt.name, a.status, a.header.Get("WWW-Authenticate"))
				}
				if tt.name == "tenant key, own things" || tt.name == "tenant key, foreign things" {
					wantOnlyTenant(t, tt.name, a.body, "acme")
				}
			}
		})
	}
}

func statusIf(yes bool, status, otherwise int) int {
	if yes {
		return status
	}
	return otherwise
}

// odd adds a key that GenerateKey would not make.
func (w *world) odd(t *testing.T, tenant string, scope store.Scope) string {
	t.Helper()
	text := w.keys.add(t, "acme", store.ScopeTenant)
	key, ok := find(w.keys, text)
	if !ok {
		t.Fatal("the key that was just made is not found")
	}
	key.Tenant, key.Scope = tenant, scope
	return text
}

// contents is everything that a request could change.
func (w *world) contents() string {
	w.store.mu.Lock()
	defer w.store.mu.Unlock()
	return fmt.Sprintf("%+v\n%+v\n%+v", w.store.sources, w.store.endpoints, w.store.deliveries)
}

// wantOnlyTenant looks for tenants anywhere in an answer.
func wantOnlyTenant(t *testing.T, name, body, tenant string) {
	t.Helper()
	var v any
	if json.Unmarshal([]byte(body), &v) != nil {
		return // a download, or nothing
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			if got, ok := v["tenant"]; ok && got != tenant {
				t.Errorf("%s: answers something of tenant %v", name, got)
			}
			for _, child := range v {
				walk(child)
			}
		case []any:
			for _, child := range v {
				walk(child)
			}
		}
	}
	walk(v)
}

func TestTenantKeysNameNoOtherTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	acme, admin := w.keys.add(t, "acme", store.ScopeTenant), w.keys.add(t, "", store.ScopeAdmin)
	for _, path := range []string{"/v1/sources", "/v1/endpoints", "/v1/events", "/v1/deliveries"} {
		want[problem](t, w.request(http.MethodGet, path+"?tenant=default", acme, ""), http.StatusForbidden)
		want[Page[any]](t, w.request(http.MethodGet, path+"?tenant=acme", acme, ""), http.StatusOK)
		all := want[Page[any]](t, w.request(http.MethodGet, path, admin, ""), http.StatusOK)
		one := want[Page[any]](t, w.request(http.MethodGet, path+"?tenant=acme", admin, ""), http.StatusOK)
		if len(all.Data) != 2*len(one.Data) || len(one.Data) == 0 {
			t.Errorf("%s: admin sees %d of all tenants and %d of acme", path, len(all.Data), len(one.Data))
		}
	}
	body := `{"name":"x","tenant":"default","provider":"github","secrets":["0123456789abcdef"]}`
	want[problem](t, w.request(http.MethodPost, "/v1/sources", acme, body), http.StatusForbidden)
	if made := want[Source](t, w.request(http.MethodPost, "/v1/sources", admin, body), http.StatusCreated); made.Tenant != "default" {
		t.Errorf("admin named tenant default and got %q", made.Tenant)
	}
	body = `{"name":"y","provider":"github","secrets":["0123456789abcdef"]}`
	if made := want[Source](t, w.request(http.MethodPost, "/v1/sources", acme, body), http.StatusCreated); made.Tenant != "acme" {
		t.Errorf("key of acme named no tenant and got %q", made.Tenant)
	}
}
