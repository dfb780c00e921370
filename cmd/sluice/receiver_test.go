package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zaptest"

	"github.com/sluicehq/sluice/pkg/webhook"
)

// arrive has the receiver take a delivery as an endpoint gets it, and returns the status.
func arrive(t *testing.T, r *receiver, secret, body string, headers ...string) int {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	signer, err := webhook.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	req.Header.Set(webhook.HeaderID, "evt_1")
	req.Header.Set("sluice-event-type", "push")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	if signature, err := signer.Sign(req.Header.Get(webhook.HeaderID), now, []byte(body)); err == nil { // else the id is hostile
		req.Header.Set(webhook.HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
		req.Header.Set(webhook.HeaderSignature, signature)
	}
	rec := httptest.NewRecorder()
	r.ServeHTTP(rec, req)
	return rec.Code
}

func TestReceiverVerifiesAndPrints(t *testing.T) {
	secret := webhook.GenerateSecret()
	var out bytes.Buffer
	r := &receiver{out: &out, secret: secret, status: http.StatusOK}
	if code := arrive(t, r, secret, `{"a":[1]}`, "sluice-source", "github", "sluice-attempt", "3"); code != http.StatusOK {
		t.Errorf("status %d", code)
	}
	_, text, _ := strings.Cut(out.String(), "  ")
	want := "push  evt_1  from github, attempt 3, 9 B, signature ok → 200\n  {\n    \"a\": [\n      1\n    ]\n  }\n"
	if text != want {
		t.Errorf("printed %q, want %q", text, want)
	}
}

func TestReceiverSaysThatASignatureIsWrong(t *testing.T) {
	var out bytes.Buffer
	r := &receiver{out: &out, secret: webhook.GenerateSecret(), status: http.StatusOK}
	arrive(t, r, webhook.GenerateSecret(), `{}`)
	if text := out.String(); strings.Contains(text, "signature ok") || !strings.Contains(text, "signature") {
		t.Errorf("printed %q", text)
	}
}

func TestReceiverFailsFirstAsOftenAsToldThenAnswersItsStatus(t *testing.T) {
	secret := webhook.GenerateSecret()
	r := &receiver{out: io.Discard, secret: secret, status: http.StatusAccepted, failFirst: 2}
	for i, want := range []int{500, 500, 202, 202} {
		if got := arrive(t, r, secret, "x"); got != want {
			t.Errorf("arrival %d: status %d, want %d", i+1, got, want)
		}
	}
}

func TestReceiverWaitsBeforeItAnswersButNotForTheGone(t *testing.T) {
	secret := webhook.GenerateSecret()
	r := &receiver{out: io.Discard, secret: secret, status: http.StatusOK, delay: 30 * time.Millisecond}
	begin := time.Now()
	arrive(t, r, secret, "x")
	if took := time.Since(begin); took < r.delay {
		t.Errorf("answered after %v, want %v or more", took, r.delay)
	}
	r.delay = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodPost, "/", nil)) // returns
}

func TestReceiverMakesWhatArrivesHarmless(t *testing.T) {
	secret := webhook.GenerateSecret()
	for name, body := range map[string]string{
		"escape sequences":        "\x1b[2J\x1b]0;title\x07\r\x08",
		"C1 control characters":   "\u009b31m\u0085",
		"within JSON":             "{\"a\":\"\u009b31m\u202e\"}",
		"bytes that are no text":  "\xff\xfe\x00\x9b",
		"JSON that nests too far": strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
		"a megabyte":              strings.Repeat("x\n", 1<<19),
		"unfinished JSON":         `{"a":[`,
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			r := &receiver{out: &out, secret: secret, status: http.StatusOK}
			arrive(t, r, secret, body, webhook.HeaderID, "evt\u009b", "sluice-event-type", "push\x1b[2J", "sluice-source", strings.Repeat("y", 5000))
			text := out.String()
			if strings.ContainsFunc(text, invisible) {
				t.Errorf("printed %q", text)
			}
			if len(text) > 3*printedBody { // each line is indented
				t.Errorf("printed %d bytes", len(text))
			}
		})
	}
}

func TestJSONThatNestsTooFarIsNotLaidOut(t *testing.T) {
	for depth, lines := range map[int]int{indentedDepth: 2*indentedDepth - 1, indentedDepth + 1: 1} {
		text := pretty([]byte(strings.Repeat("[", depth) + strings.Repeat("]", depth)))
		if got := strings.Count(strings.SplitN(text, "  …", 2)[0], "\n"); got > lines || (got == 1) != (lines == 1) {
			t.Errorf("depth %d: %d lines, want %d", depth, got, lines)
		}
	}
}

func TestReceiverRefusesABodyThatIsTooLarge(t *testing.T) {
	r := &receiver{out: io.Discard, status: http.StatusOK}
	rec := httptest.NewRecorder()
	r.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", io.LimitReader(zeros{}, receivedBody+1)))
	if rec.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", rec.Code)
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestReceiverRunsUntilItsContextEnds(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	r := &receiver{out: io.Discard, secret: webhook.GenerateSecret(), status: http.StatusTeapot}
	go func() { ended <- r.run(ctx, ln, zaptest.NewLogger(t)) }()
	status, _, err := post(ctx, "http://"+ln.Addr().String(), http.Header{}, nil)
	if err != nil || status != http.StatusTeapot {
		t.Errorf("got %d, %v", status, err)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
