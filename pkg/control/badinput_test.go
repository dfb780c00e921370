package control

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// TestEveryRouteRefusesBadInput tries on each route of the document what applies to it.
func TestEveryRouteRefusesBadInput(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 10_000)
	for _, r := range routes(t) {
		t.Run(r.method+" "+r.path, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			r.allow(w)
			admin := w.keys.add(t, "", store.ScopeAdmin)
			before := w.contents()
			refuse := func(what string, status int, a answer) {
				t.Helper()
				if a.status != status {
					t.Errorf("%s: status %d, want %d: %.200s", what, a.status, status, a.body)
				}
				if len(a.body) > 20_000 {
					t.Errorf("%s: %d bytes of answer", what, len(a.body))
				}
			}
			address := r.address(t, w, "acme")
			refuse("unknown parameter", 422, w.request(r.method, address+"?nosuch=1", admin, r.payload(t)))
			if strings.Contains(r.path, "{id}") {
				for _, id := range []string{"1", "ep_", "ep_0000000", "src_zzzzzzz", "evt_" + strings.Repeat("0", 25), "dlv_!", "%00", "'%20OR%201=1--", "%25s%25n", long} {
					refuse("id "+id[:min(len(id), 30)], 422, w.request(r.method, strings.ReplaceAll(r.path, "{id}", id), admin, r.payload(t)))
				}
			}
			if r.method == http.MethodGet && !strings.Contains(r.path, "{id}") && r.path != "/v1/providers" {
				for _, limit := range []string{"-1", "0", "251", "1000000000", "99999999999999999999", "ten", "1.5"} {
					refuse("limit "+limit, 422, w.request(r.method, address+"?limit="+limit, admin, ""))
				}
				for _, cursor := range []string{"x", "s0000000", "s!!!!!!!", "e" + strings.Repeat("0", 26), "qzzzzzzzzzzzzz", "..%2f..", long} {
					refuse("cursor "+cursor[:min(len(cursor), 30)], 422, w.request(r.method, address+"?cursor="+cursor, admin, ""))
				}
				for path, cursor := range cursors(w) {
					if path == r.path {
						want[Page[any]](t, w.request(r.method, address+"?cursor="+cursor, admin, ""), http.StatusOK)
						continue
					}
					refuse("cursor of "+path, 422, w.request(r.method, address+"?cursor="+cursor, admin, ""))
				}
			}
			if r.hasBody {
				r.refuseBodies(t, w, admin, refuse)
			} else {
				refuse("a body where none belongs", 400, w.request(r.method, address, admin, `{}`))
			}
			refuse("a body of 10 MiB", 413, w.request(r.method, address, admin, `{"name":"`+strings.Repeat("x", 10<<20)+`"}`))
			if w.contents() != before {
				t.Error("refused, and yet something changed")
			}
			for _, line := range w.logs.All() {
				t.Errorf("bad input is the client's business, and yet it was logged: %v", line)
			}
		})
	}
}

// cursors has a good one for each list.
func cursors(w *world) map[string]string {
	return map[string]string{
		"/v1/sources":    encodeNumberCursor(sourceCursor, 1),
		"/v1/endpoints":  encodeNumberCursor(endpointCursor, 1),
		"/v1/events":     encodeEventCursor(w.event["acme"]),
		"/v1/deliveries": encodeDeliveryCursor(w.finish["acme"]),
		"/v1/quarantine": encodeQuarantineCursor(1),
	}
}

// refuseBodies tries bodies that are wrong for every route that takes one.
func (r route) refuseBodies(t *testing.T, w *world, admin string, refuse func(string, int, answer)) {
	t.Helper()
	good := r.payload(t)
	for _, tt := range []struct {
		name   string
		status int
		body   string
	}{
		{"not JSON", 400, `{"name":`},
		{"two values", 400, good + good},
		{"text behind", 400, good + "x"},
		{"not UTF-8", 400, "{\"name\":\"\xff\"}"},
		{"a key twice", 400, strings.Replace(good, `{`, `{"name":"a",`, 1)},
		{"nested too deep", 400, strings.Repeat("[", 1000) + strings.Repeat("]", 1000)},
		{"too many values", 400, `{"secrets":[` + strings.Repeat(`"",`, 20_000) + `""]}`},
		{"a long key", 400, `{"` + strings.Repeat("k", 5000) + `":1}`},
		{"a list", 422, `[]`},
		{"null", 422, `null`},
		{"empty object", 422, `{}`},
		{"unknown field", 422, strings.Replace(good, `{`, `{"nosuch":1,`, 1)},
		{"field in other letters", 422, strings.Replace(good, `"name"`, `"Name"`, 1)},
		{"name of the wrong type", 422, strings.Replace(good, `"new"`, `7`, 1)},
		{"name with a slash", 422, strings.Replace(good, `"new"`, `"a/b"`, 1)},
		{"name too long", 422, strings.Replace(good, `"new"`, `"`+strings.Repeat("a", 65)+`"`, 1)},
		{"tenant with a slash", 422, strings.Replace(good, `{`, `{"tenant":"a/b",`, 1)},
	} {
		refuse(tt.name, tt.status, w.request(r.method, r.path, admin, tt.body))
	}
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "application/xml", "multipart/form-data", "json"} {
		req := httptest.NewRequest(r.method, "http://127.0.0.1:8081"+r.path, strings.NewReader(good))
		req.Header.Set("Authorization", "Bearer "+admin)
		if contentType != "" {
			req.Header.Set("Content-Type", contentType)
		}
		refuse("content type "+contentType, 415, w.serve(req))
	}
	chunked := httptest.NewRequest(r.method, "http://127.0.0.1:8081"+r.path, strings.NewReader(`{"name":"`+strings.Repeat("x", 2<<20)+`"}`))
	chunked.ContentLength = -1
	chunked.Header.Set("Authorization", "Bearer "+admin)
	chunked.Header.Set("Content-Type", "application/json")
	refuse("2 MiB of unsaid length", 413, w.serve(chunked))
}

func TestFieldsThatAreNotBuiltYetSaySo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutKeys)
	for path, body := range map[string]string{
		"body.ordering":                `{"name":"a","url":"https://example.com","ordering":"key"}`,
		"body.subscriptions[0].filter": `{"name":"a","url":"https://example.com","subscriptions":[{"filter":"x"}]}`,
		"body.transform":               `{"name":"a","url":"https://example.com","transform":"x"}`,
	} {
		p := want[problem](t, w.request(http.MethodPost, "/v1/endpoints", "", body), http.StatusUnprocessableEntity)
		if len(p.Errors) != 1 || p.Errors[0].Location != path || !strings.Contains(p.Errors[0].Message, "not built yet") {
			t.Errorf("%s: %+v", path, p.Errors)
		}
	}
	p := want[problem](t, w.request(http.MethodPost, "/v1/sources", "", `{"name":"a","provider":"github","secrets":["0123456789abcdef"],"topic":"x"}`), 422)
	if len(p.Errors) != 1 || !strings.Contains(p.Errors[0].Message, "not built yet") {
		t.Errorf("topic: %+v", p.Errors)
	}
}

func TestEveryProblemOfABodyIsAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutKeys)
	p := want[problem](t, w.request(http.MethodPost, "/v1/endpoints", "", `{
		"name": "A", "url": "ftp://example.com", "timeout": "90s", "max_in_flight": -1, "secrets": ["`+canary+`"],
		"auth": {"kind": "bearer", "token": "`+canary+`", "password": "`+canary+`"}, "headers": {"webhook-id": "x"},
		"subscriptions": [{"types": ["a..b"]}]}`), http.StatusUnprocessableEntity)
	var got []string
	for _, e := range p.Errors {
		got = append(got, e.Location)
	}
	want := "body.name body.url body.secrets[0] body.auth.password body.headers.webhook-id body.subscriptions[0].types[0] body.timeout body.max_in_flight"
	if strings.Join(got, " ") != want {
		t.Errorf("problems at\n%s, want\n%s", strings.Join(got, " "), want)
	}
}

func TestSecretsDoNotComeBackInErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutKeys)
	for _, body := range []string{
		`{"name":"a","provider":"github","secrets":"` + canary + `"}`,
		`{"name":"a","provider":"github","secrets":[["` + canary + `"]]}`,
		`{"name":"a","secret":"` + canary + `","secrets":[]}`,
		`{"name":"a","provider":"github","secrets":["` + canary + `"`,
		`["` + canary + `"]`,
	} {
		if a := w.request(http.MethodPost, "/v1/sources", "", body); a.status < 400 || a.status > 499 { // serve looks for the canary
			t.Errorf("%s: status %d", body, a.status)
		}
	}
}

func TestServerErrorsOfHumaKeepTheirCauseToThemselves(t *testing.T) {
	t.Parallel()
	v, err := tidy(nil, "500", &huma.ErrorModel{Status: 500, Errors: []*huma.ErrorDetail{{Message: "open /secret/path"}, nil}})
	if m, ok := v.(*huma.ErrorModel); err != nil || !ok || len(m.Errors) != 0 {
		t.Errorf("tidy = %+v, %v", v, err)
	}
}

func TestAnswersToManyProblemsStayShort(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withoutKeys)
	var body strings.Builder
	body.WriteString(`{"name":"a"`)
	for i := range 900 {
		body.WriteString(`,"` + event.EncodeBase32([]byte{byte(i >> 8), byte(i)}) + `.x":1`)
	}
	body.WriteString(`}`)
	p := want[problem](t, w.request(http.MethodPost, "/v1/endpoints", "", body.String()), http.StatusUnprocessableEntity)
	if len(p.Errors) != maxDetails {
		t.Errorf("%d problems, want %d", len(p.Errors), maxDetails)
	}
}
