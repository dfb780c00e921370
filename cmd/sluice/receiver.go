package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/listener"
	"github.com/sluicehq/sluice/pkg/webhook"
)

const (
	receivedBody  = 1 << 20 // bytes read of a delivery; more is cut in the print
	printedBody   = 4 << 10
	receiverConns = 256
)

// receiver is an endpoint for people: it verifies what arrives, prints it, and answers as it is told.
type receiver struct {
	out       io.Writer
	secret    string        // of its endpoint
	status    int           // of its answers
	delay     time.Duration // before each
	failFirst int           // so many first attempts are answered 500

	mu       sync.Mutex
	arrivals int
}

// run serves on ln until ctx ends.
func (r *receiver) run(ctx context.Context, ln net.Listener, log *zap.Logger) error {
	return listener.Serve(ctx, ln, r, listener.Options{Conns: receiverConns, Grace: time.Second, Log: log})
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, receivedBody))
	if err != nil {
		http.Error(w, "body not read", http.StatusBadRequest)
		return
	}
	signature := "signature ok"
	if err := webhook.Verify(req.Header, body, time.Now(), r.secret); err != nil {
		signature = err.Error()
	}
	status := r.answer()
	r.print(req, body, signature, status)
	if r.delay > 0 {
		timer := time.NewTimer(r.delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-req.Context().Done():
			return
		}
	}
	w.WriteHeader(status)
}

// answer returns the status for the next arrival.
func (r *receiver) answer() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arrivals++
	if r.arrivals <= r.failFirst {
		return http.StatusInternalServerError
	}
	return r.status
}

func (r *receiver) print(req *http.Request, body []byte, signature string, status int) {
	var b bytes.Buffer
	h := req.Header
	fmt.Fprintf(&b, "%s  %s  %s  from %s, attempt %s, %d bytes, %s → %d\n", time.Now().Format("15:04:05.000"),
		printable(h.Get(webhook.HeaderID)), printable(h.Get("sluice-event-type")), printable(h.Get("sluice-source")),
		printable(h.Get("sluice-attempt")), len(body), signature, status)
	b.WriteString(pretty(body))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out.Write(b.Bytes()) //nolint:errcheck // a terminal that is gone
}

// pretty indents JSON and quotes what is not text, so that nothing that arrives can play with the terminal.
func pretty(body []byte) string {
	cut := ""
	var b bytes.Buffer
	if json.Valid(body) && json.Indent(&b, body, "  ", "  ") == nil {
		body = b.Bytes()
	}
	if len(body) > printedBody {
		cut = fmt.Sprintf("  … %d bytes more\n", len(body)-printedBody)
		body = body[:printedBody]
	}
	if len(body) == 0 {
		return ""
	}
	return "  " + printable(string(body)) + "\n" + cut
}

// printable replaces control characters, but for line breaks and tabs.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r >= ' ' && r != 0x7f && (r < 0x80 || r > 0x9f) {
			return r
		}
		return '·'
	}, s)
}
