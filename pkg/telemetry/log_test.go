package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
)

type name string

func (n name) String() string { return string(n) }

func TestJSONLineHasTheDocumentedKeys(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := NewLogger(&out, FormatAuto, "")
	if err != nil {
		t.Fatal(err)
	}
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
	ctx := trace.ContextWithSpanContext(t.Context(), sc)
	log.With(Component("ingress")).Info("accepted",
		EventID(name("evt_1")), EndpointID(name("ep_1")), DeliveryID(name("dlv_1")), Source("github"), Tenant("default"),
		Attempt(2), Outcome(name("failed")), Status(503), Duration(1500*time.Microsecond), TraceID(ctx), Error(errors.New("no route")))

	want := map[string]any{
		"level": "info", "msg": "accepted", "component": "ingress", "event_id": "evt_1", "endpoint_id": "ep_1",
		"delivery_id": "dlv_1", "source": "github", "tenant": "default", "attempt": 2.0, "outcome": "failed",
		"status": 503.0, "duration_ms": 1.5, "trace_id": "01000000000000000000000000000000", "error": "no route",
	}
	got := decodeLine(t, &out)
	if _, err := time.Parse("2006-01-02T15:04:05.000Z", fmt.Sprint(got["ts"])); err != nil {
		t.Errorf("ts: %v", err)
	}
	delete(got, "ts")
	if len(got) != len(want) {
		t.Errorf("line has %d fields, want %d: %v", len(got), len(want), got)
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s = %v, want %v", k, got[k], v)
		}
	}
}

func TestFieldsWithoutAValueAreLeftOut(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := NewLogger(&out, FormatJSON, "debug")
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("quiet", Error(nil), TraceID(t.Context()))
	got := decodeLine(t, &out)
	for _, key := range []string{KeyError, KeyTrace} {
		if v, there := got[key]; there {
			t.Errorf("%s = %v, want none", key, v)
		}
	}
}

func TestErrorsLoseTheirURLsSecrets(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"path and query go", &url.Error{Op: "Post", URL: "https://example.com/hook/s3cret?token=s3cret", Err: errors.New("refused")}, `Post "https://example.com": refused`},
		{"user information goes", &url.Error{Op: "Post", URL: "https://me:s3cret@example.com/", Err: errors.New("refused")}, `Post "https://example.com": refused`},
		{"a wrapped one too", fmt.Errorf("attempt: %w", &url.Error{Op: "Post", URL: "https://example.com/s3cret", Err: errors.New("refused")}), `attempt: Post "https://example.com": refused`},
		{"what is no URL goes whole", &url.Error{Op: "parse", URL: "http://s3cret\x7f", Err: errors.New("invalid character")}, `parse "[url]": invalid character`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Error(tt.err).String; got != tt.want {
				t.Errorf("Error(%v) = %q, want %q", tt.err, got, tt.want)
			}
		})
	}
}

func TestLevelAndFormat(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, format, level string
		wantErr             string
		wantInfo            string // what an Info line begins with; empty: none
	}{
		{"json is one object a line", FormatJSON, "info", "", "{"},
		{"what is no terminal gets json", "", "", "", "{"},
		{"console begins with the time", FormatConsole, "debug", "", time.Now().Format("15:")},
		{"warn leaves info out", FormatJSON, "warn", "", ""},
		{"error leaves info out", FormatJSON, "error", "", ""},
		{"an unknown level names the known ones", FormatJSON, "loud", `log level "loud": want debug, info, warn or error`, ""},
		{"an unknown format names the known ones", "xml", "info", `log format "xml": want auto, json or console`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			log, err := NewLogger(&out, tt.format, tt.level)
			if tt.wantErr != "" {
				if err == nil || err.Error() != tt.wantErr {
					t.Fatalf("NewLogger = %v, want %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			log.Info("hello")
			got := out.String()
			if got == "" != (tt.wantInfo == "") || (tt.wantInfo != "{" && tt.format == FormatConsole && !strings.Contains(got, "INFO")) {
				t.Errorf("line = %q, want one that begins with %q", got, tt.wantInfo)
			}
			if tt.wantInfo == "{" && !strings.HasPrefix(got, "{") {
				t.Errorf("line = %q, want an object", got)
			}
		})
	}
}

func TestConcurrentLinesStayWhole(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer // no lock of its own
	log, err := NewLogger(&out, FormatJSON, "info")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				log.Info("line", zap.Int("writer", i))
			}
		})
	}
	wg.Wait()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 400 {
		t.Fatalf("%d lines, want 400", len(lines))
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Fatalf("line %q is not whole", line)
		}
	}
}

func decodeLine(t *testing.T, out *bytes.Buffer) map[string]any {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("line %q: %v", out, err)
	}
	return got
}
