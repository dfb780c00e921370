package main

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"testing"
)

func TestBodyIsJSONOfTheSizeAskedFor(t *testing.T) {
	for _, size := range []int{minBody, 1024, 100_000} {
		body := appendBody(nil, 42, 1_700_000_000_000_000_000, size)
		if len(body) != size || !json.Valid(body) {
			t.Errorf("body of %d bytes: got %d bytes, valid JSON %v", size, len(body), json.Valid(body))
		}
		if seq, due, ok := parseBody(body); seq != 42 || due != 1_700_000_000_000_000_000 || !ok {
			t.Errorf("parse it: got %d, %d, %v", seq, due, ok)
		}
	}
}

func TestRequestIsWhatGitHubSends(t *testing.T) {
	s := newSigner("127.0.0.1:1", "/in/github", "secret", 200, 7)
	s.request(1, 1, "push") // what is left of an earlier request must not show
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(s.request(2, 5, "issues"))))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, []byte("secret"))
	mac.Write(body)
	want := map[string]string{
		"X-GitHub-Event":      "issues",
		"X-GitHub-Delivery":   "00000007-0000-4000-8000-000000000002",
		"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil)),
	}
	for name, value := range want {
		if got := req.Header.Get(name); got != value {
			t.Errorf("%s: got %q, want %q", name, got, value)
		}
	}
	if req.Method != http.MethodPost || req.URL.Path != "/in/github" || len(body) != 200 {
		t.Errorf("got %s %s with %d bytes", req.Method, req.URL.Path, len(body))
	}
}

func FuzzParseBody(f *testing.F) {
	f.Add(appendBody(nil, 1, 2, minBody))
	f.Add([]byte(`{"seq":"`))
	f.Fuzz(func(t *testing.T, body []byte) {
		seq, due, ok := parseBody(body)
		if ok && !bytes.Equal(appendBody(nil, seq, due, minBody)[:dueAt+dueDigits], append(append([]byte{}, body[:seqAt+seqDigits]...), append([]byte(duePrefix), body[dueAt:dueAt+dueDigits]...)...)) {
			t.Errorf("%q: read as event %d due at %d, which is written differently", body, seq, due)
		}
	})
}
