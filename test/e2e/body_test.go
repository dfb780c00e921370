package e2e

import (
	"bytes"
	"crypto/rand"
	"net/http"
	"testing"
	"time"
)

func TestBodyArrivesByteForByte(t *testing.T) {
	dir := tempDir(t)
	sink := newReceiver(t, "sink", answerOK)
	github := presets[0]
	c := newConfig(t, dir).sources(github.source()).endpoints(sink.endpoint())
	p := serve(t, dir, c)
	url := "http://" + c.listen("ingress") + "/in/github"

	everyByte := make([]byte, 256)
	for i := range everyByte {
		everyByte[i] = byte(i)
	}
	mebibyte := make([]byte, 1<<20)
	if _, err := rand.Read(mebibyte); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		contentType string
		body        []byte
	}{
		"every byte there is":           {"application/octet-stream", everyByte},
		"1 MiB of noise":                {"application/octet-stream", mebibyte},
		"one byte":                      {"text/plain; charset=utf-8", []byte{0}},
		"nothing":                       {"application/json", nil},
		"JSON with spaces and an order": {"application/json", []byte("{ \"b\" : 1.0,\r\n\t\"a\":\"\\u00e9\", \"b\": 2 }\n")},
		"a form":                        {"application/x-www-form-urlencoded", []byte("payload=%7B%22a%22%3A1%7D&x=+%20")},
	} {
		t.Run(name, func(t *testing.T) {
			h := github.sign(github.secret, string(tc.body), time.Now())
			h.Set("X-GitHub-Delivery", name)
			h.Set("Content-Type", tc.contentType)
			before := len(sink.all())
			if got := post(t, url, h, tc.body); got.status != http.StatusOK {
				t.Fatalf("got status %d: %s", got.status, got.body)
			}
			a := sink.wait(t, 10*time.Second, "the event", func(as []arrival) bool { return len(as) > before })[before]
			if !bytes.Equal(a.body, tc.body) || !a.Signed {
				t.Errorf("delivered: %s, signed rightly: %v", differ(a.body, tc.body), a.Signed)
			}
			if got := a.header.Get("Content-Type"); got != tc.contentType {
				t.Errorf("content type: got %q, want %q", got, tc.contentType)
			}
			var kept []byte
			eventually(t, 10*time.Second, "the event in the history", func() error {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.api(c).base+"/v1/events/"+a.EventID+"/body", nil)
				if err != nil {
					return err
				}
				r := do(t, req)
				kept = r.body
				return wantStatus(r, http.StatusOK)
			})
			if !bytes.Equal(kept, tc.body) {
				t.Errorf("kept: %s", differ(kept, tc.body))
			}
		})
	}

	t.Run("a byte more than max_body is refused", func(t *testing.T) {
		tooLarge := append(mebibyte, 0)
		if got := post(t, url, github.sign(github.secret, string(tooLarge), time.Now()), tooLarge); got.status != http.StatusRequestEntityTooLarge {
			t.Errorf("got status %d, want 413", got.status)
		}
	})
}
