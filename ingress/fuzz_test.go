package ingress

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/pkg/listener"
)

// FuzzRequest sends raw bytes to a whole server. Nobody who does not know the secret gets anything published, nothing
// fails on our side, and no memory stays held.
func FuzzRequest(f *testing.F) {
	f.Add([]byte("POST /in/github HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"))
	f.Add([]byte("POST /in/stripe HTTP/1.1\r\nHost: x\r\nStripe-Signature: t=1,v1=00\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"))
	f.Add([]byte("POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer slk_x\r\nContent-Length: 21\r\n\r\n{\"type\":\"a\",\"data\":1}"))
	f.Add([]byte("POST /in/basic HTTP/1.0\r\nAuthorization: Basic YTpi\r\n\r\n"))
	f.Add([]byte("GET /in/slack/%2f/..//?a=%zz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		h := newHouse(t, nil)
		ln := newPipeListener()
		done := make(chan error, 1)
		go func() {
			done <- listener.Serve(t.Context(), ln, h, listener.Options{Conns: 1, Grace: time.Second, Log: h.log})
		}()
		conn := ln.dial()
		go func() {
			conn.Write(raw)                                             //nolint:errcheck // it need not want all of it
			conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) //nolint:errcheck // a pipe takes any
		}()
		for _, status := range statuses(conn) {
			if status < 400 {
				t.Errorf("answer %d", status)
			}
		}
		conn.Close()
		ln.Close()
		if err := <-done; err == nil {
			t.Error("the listener broke, and nobody says so")
		}
		if h.broker.calls > 0 || h.publishing.Load() != 0 || h.logs.FilterMessage("request failed").Len() > 0 {
			t.Errorf("%d calls of the broker, %d waiting, logs %v", h.broker.calls, h.publishing.Load(), h.logs.All())
		}
		if !h.bodies.TryAcquire(testBudget) {
			t.Error("memory is still held")
		}
	})
}

// FuzzPublish sends bodies to POST /v1/events with a key: what is accepted is published and reads back, what is not is
// a 4xx.
func FuzzPublish(f *testing.F) {
	f.Add([]byte(`{"type":"a","data":{"b":1},"id":"x","key":"y"}`), "application/json", "k")
	f.Add([]byte(`[{"type":"a","data":1},{"type":"b","data":null}]`), "", "")
	f.Add([]byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t","tenant":"acme","data_base64":"AA=="}`), "application/cloudevents+json", "")
	f.Fuzz(func(t *testing.T, body []byte, contentType, idempotency string) {
		h := newPublisherHouse(t, nil)
		r := httptest.NewRequest("POST", "/v1/events", bytes.NewReader(body))
		r.Header = http.Header{"Authorization": {"Bearer " + publishKey}, "Content-Type": {contentType}, "Idempotency-Key": {idempotency}}
		w := h.do(r)
		switch {
		case w.Code == http.StatusAccepted:
			for _, e := range h.broker.events(t) {
				if e.Tenant != "acme" || !strings.Contains(w.Body.String(), e.ID.String()) {
					t.Errorf("published %+v, answered %s", e, w.Body)
				}
			}
			if h.broker.calls != 1 {
				t.Errorf("the broker was called %d times", h.broker.calls)
			}
		case w.Code >= 400 && w.Code < 500:
			if h.broker.calls > 0 {
				t.Errorf("published, and answered %d", w.Code)
			}
		default:
			t.Errorf("answer %d %s", w.Code, w.Body)
		}
	})
}

// FuzzRoute checks that a path names a source exactly as people read it.
func FuzzRoute(f *testing.F) {
	f.Add("/in/github/x")
	f.Add("/in/default/github//y")
	f.Add("/in/%67ithub")
	h := newHouse(f, nil)
	f.Fuzz(func(t *testing.T, path string) {
		if !strings.HasPrefix(path, "/in/") {
			return
		}
		src, suffix, err := route(h.snapshot, path)
		if err != nil {
			return
		}
		if !strings.HasSuffix(path, suffix) || suffix != "" && suffix[0] != '/' {
			t.Fatalf("route(%q) leaves %q", path, suffix)
		}
		named := strings.Split(strings.TrimSuffix(path, suffix), "/")[2:]
		if len(named) == 0 || len(named) > 2 {
			t.Fatalf("route(%q) takes %q for a name", path, named)
		}
		last, _ := nextSegment("/" + named[len(named)-1])
		if last != src.Name {
			t.Fatalf("route(%q) finds %q", path, src.Name)
		}
	})
}
