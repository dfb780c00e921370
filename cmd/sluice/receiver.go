package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/listener"
	"github.com/sluicehq/sluice/pkg/webhook"
)

const (
	receivedBody  = 25 << 20 // the most that ingress takes
	printedBody   = 4 << 10
	indentedBody  = 1 << 20 // more is not laid out
	indentedDepth = 64
	receiverConns = 256
)

// receiver is an endpoint for people: it verifies what arrives, prints it, and answers as it is told.
type receiver struct {
	out       io.Writer
	style     style
	secret    string        // of its endpoint
	status    int           // of its answers
	delay     time.Duration // before each
	failFirst int           // so many first arrivals are answered 500

	mu       sync.Mutex // guards arrivals
	arrivals int
	printing sync.Mutex // one arrival at a time; it is held while a slow terminal takes the text
}

// run serves on ln until ctx ends.
func (r *receiver) run(ctx context.Context, ln net.Listener, log *zap.Logger) error {
	return listener.Serve(ctx, ln, r, listener.Options{Conns: receiverConns, Grace: time.Second, Log: log})
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, receivedBody))
	if err != nil {
		status := http.StatusBadRequest
		if errors.As(err, new(*http.MaxBytesError)) {
			status = http.StatusRequestEntityTooLarge
		}
		r.write(r.style.paint(red, fmt.Sprintf("a body could not be read: %s → %d", oneLine(err.Error()), status)) + "\n")
		w.WriteHeader(status)
		return
	}
	status := r.answer()
	r.write(r.describe(req.Header, body, time.Now(), status))
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

// describe returns an arrival as text: one line about it, then its body.
func (r *receiver) describe(h http.Header, body []byte, now time.Time, status int) string {
	signature := r.style.paint(green, "signature ok")
	if err := webhook.Verify(h, body, now, r.secret); err != nil {
		signature = r.style.paint(red, oneLine(err.Error()))
	}
	answer := r.style.paint(green, fmt.Sprint(status))
	if status/100 != 2 {
		answer = r.style.paint(yellow, fmt.Sprint(status))
	}
	return fmt.Sprintf("%s  %s  %s  from %s, attempt %s, %s, %s → %s\n%s", now.Format("15:04:05.000"),
		r.style.paint(bold, header(h, "sluice-event-type")), header(h, webhook.HeaderID), header(h, "sluice-source"),
		header(h, "sluice-attempt"), humanBytes(len(body)), signature, answer, pretty(body))
}

// header returns a header in one short line.
func header(h http.Header, name string) string {
	const most = 255 // characters: as long as a type may be
	text := oneLine(h.Get(name))
	if text == "" {
		return "-"
	}
	if utf8.RuneCountInString(text) > most {
		text = string([]rune(text)[:most]) + "…"
	}
	return text
}

func (r *receiver) write(text string) {
	r.printing.Lock()
	defer r.printing.Unlock()
	io.WriteString(r.out, text) //nolint:errcheck // a reader that is gone ends the command: see stdout
}

// pretty returns a body as indented text: JSON laid out, what is no text replaced, and cut.
func pretty(body []byte) string {
	if len(body) == 0 {
		return ""
	}
	var b bytes.Buffer
	if shallow(body) && json.Indent(&b, body, "", "  ") == nil {
		body = b.Bytes()
	}
	cut := ""
	if len(body) > printedBody {
		cut = fmt.Sprintf("  … %s more\n", humanBytes(len(body)-printedBody))
		body = body[:printedBody]
	}
	return indent(printable(string(body))) + "\n" + cut
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}

// shallow reports whether JSON nests little enough to be laid out: indentation grows with the square of depth.
func shallow(body []byte) bool {
	if len(body) > indentedBody {
		return false
	}
	depth := 0
	for _, c := range body {
		switch c {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if depth > indentedDepth {
			return false
		}
	}
	return true
}
