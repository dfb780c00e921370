package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// client opens a connection for each request, so that none is left behind and none is that of a killed process.
var client = &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

// reply is an answer with its body read.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// post sends body with headers and returns the answer.
func post(t *testing.T, url string, headers http.Header, body []byte) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range headers {
		req.Header[name] = values
	}
	return do(t, req)
}

func do(t *testing.T, req *http.Request) reply {
	t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	return reply{resp.StatusCode, resp.Header, body}
}

// api is the management API of a process.
type api struct {
	t    *testing.T
	base string
}

func (p *process) api(c config) api { return api{p.t, "http://" + c.listen("control")} }

// get reads a path into v, wanting 200.
func (a api) get(path string, v any) {
	a.t.Helper()
	body := a.raw(path)
	if err := json.Unmarshal(body, v); err != nil {
		a.t.Fatalf("GET %s: %v in %.300s", path, err, body)
	}
}

// raw returns the bytes at a path, wanting 200.
func (a api) raw(path string) []byte {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), http.MethodGet, a.base+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	r := do(a.t, req)
	if r.status != http.StatusOK {
		a.t.Fatalf("GET %s: status %d: %.300s", path, r.status, r.body)
	}
	return r.body
}

// page is a list as the API gives it.
type page[T any] struct {
	Data       []T    `json:"data"`
	NextCursor string `json:"next_cursor"`
}

// list returns all entries of a list, page by page.
func list[T any](a api, path string, query url.Values) []T {
	a.t.Helper()
	q := url.Values{"limit": {"250"}}
	for name, values := range query {
		q[name] = values
	}
	var all []T
	for {
		var p page[T]
		a.get(path+"?"+q.Encode(), &p)
		all = append(all, p.Data...)
		if p.NextCursor == "" {
			return all
		}
		q.Set("cursor", p.NextCursor)
	}
}

// eventually calls f until it returns nil, at most for the time given.
func eventually(t *testing.T, within time.Duration, what string, f func() error) {
	t.Helper()
	deadline := time.After(within)
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: not within %v: %v", what, within, err)
		case <-time.After(25 * time.Millisecond):
		}
	}
}

// differ describes two unequal bodies without printing them whole.
func differ(got, want []byte) string {
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	return fmt.Sprintf("got %d bytes, want %d, first difference at byte %d", len(got), len(want), at)
}

func wantStatus(r reply, want int) error {
	if r.status != want {
		return fmt.Errorf("status %d, want %d: %.200s", r.status, want, r.body)
	}
	return nil
}
