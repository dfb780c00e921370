package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/term"
)

// Keys of log fields. A part that logs something else adds its key in its own file.
const (
	KeyTime      = "ts"
	KeyLevel     = "level"
	KeyMessage   = "msg"
	KeyComponent = "component"
	KeyEvent     = "event_id"
	KeyEndpoint  = "endpoint_id"
	KeyDelivery  = "delivery_id"
	KeySource    = "source"
	KeyTenant    = "tenant"
	KeyAttempt   = "attempt"
	KeyOutcome   = "outcome"
	KeyStatus    = "status"
	KeyDuration  = "duration_ms"
	KeyTrace     = "trace_id"
	KeyError     = "error"
)

// Formats of NewLogger.
const (
	FormatAuto    = "auto"    // console on a terminal, JSON elsewhere
	FormatJSON    = "json"    // one object a line
	FormatConsole = "console" // for eyes
)

// NewLogger returns a logger that writes to w, which it locks, so that w needs no lock of its own. Format is one of
// FormatAuto, FormatJSON and FormatConsole; level is debug, info, warn or error. Empty ones mean auto and info. Colours
// appear on a terminal unless NO_COLOR is set.
func NewLogger(w io.Writer, format, level string) (*zap.Logger, error) {
	enabled, err := parseLevel(level)
	if err != nil {
		return nil, err
	}
	encoder, err := newEncoder(format, isTerminal(w))
	if err != nil {
		return nil, err
	}
	core := zapcore.NewCore(encoder, zapcore.Lock(zapcore.AddSync(w)), enabled)
	return zap.New(core, zap.ErrorOutput(zapcore.Lock(zapcore.AddSync(w)))), nil
}

func parseLevel(level string) (zapcore.Level, error) {
	switch level {
	case "debug":
		return zapcore.DebugLevel, nil
	case "info", "":
		return zapcore.InfoLevel, nil
	case "warn":
		return zapcore.WarnLevel, nil
	case "error":
		return zapcore.ErrorLevel, nil
	}
	return 0, fmt.Errorf("log level %q: want debug, info, warn or error", level)
}

func newEncoder(format string, terminal bool) (zapcore.Encoder, error) {
	cfg := zapcore.EncoderConfig{
		TimeKey:        KeyTime,
		LevelKey:       KeyLevel,
		MessageKey:     KeyMessage,
		NameKey:        zapcore.OmitKey,
		CallerKey:      zapcore.OmitKey,
		StacktraceKey:  zapcore.OmitKey,
		EncodeTime:     utcMillis,
		EncodeLevel:    zapcore.LowercaseLevelEncoder,
		EncodeDuration: zapcore.MillisDurationEncoder,
	}
	switch format {
	case FormatJSON:
		return zapcore.NewJSONEncoder(cfg), nil
	case FormatConsole:
	case FormatAuto, "":
		if !terminal {
			return zapcore.NewJSONEncoder(cfg), nil
		}
	default:
		return nil, fmt.Errorf("log format %q: want auto, json or console", format)
	}
	cfg.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05.000")
	cfg.EncodeLevel = zapcore.CapitalLevelEncoder
	if terminal && os.Getenv("NO_COLOR") == "" {
		cfg.EncodeLevel = zapcore.CapitalColorLevelEncoder
	}
	return zapcore.NewConsoleEncoder(cfg), nil
}

func utcMillis(t time.Time, enc zapcore.PrimitiveArrayEncoder) {
	enc.AppendString(t.UTC().Format("2006-01-02T15:04:05.000Z07:00"))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Component names the part that logs; give it to zap.Logger.With once, in the part's constructor.
func Component(name string) zap.Field { return zap.String(KeyComponent, name) }

// EventID names an event. The text is made only when the line is written.
func EventID(id fmt.Stringer) zap.Field { return zap.Stringer(KeyEvent, id) }

// EndpointID names an endpoint.
func EndpointID(id fmt.Stringer) zap.Field { return zap.Stringer(KeyEndpoint, id) }

// DeliveryID names a delivery.
func DeliveryID(id fmt.Stringer) zap.Field { return zap.Stringer(KeyDelivery, id) }

// Source names a source.
func Source(name string) zap.Field { return zap.String(KeySource, name) }

// Tenant names a tenant.
func Tenant(name string) zap.Field { return zap.String(KeyTenant, name) }

// Attempt numbers an attempt, from 1.
func Attempt(n int) zap.Field { return zap.Int(KeyAttempt, n) }

// Outcome says what came of an attempt.
func Outcome(o fmt.Stringer) zap.Field { return zap.Stringer(KeyOutcome, o) }

// Status is an HTTP status.
func Status(code int) zap.Field { return zap.Int(KeyStatus, code) }

// Duration is how long it took, in milliseconds with fractions.
func Duration(d time.Duration) zap.Field {
	return zap.Float64(KeyDuration, float64(d)/float64(time.Millisecond))
}

// TraceID names the trace of ctx; without one the field is left out.
func TraceID(ctx context.Context) zap.Field {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.HasTraceID() {
		return zap.Skip()
	}
	return zap.Stringer(KeyTrace, sc.TraceID())
}

// Error is why it went wrong; nil leaves the field out. URLs of a *url.Error, which may carry secrets, are cut to
// scheme and host.
func Error(err error) zap.Field {
	if err == nil {
		return zap.Skip()
	}
	text := err.Error()
	var ue *url.Error
	if errors.As(err, &ue) && ue.URL != "" {
		// url.Error quotes the URL when it prints itself.
		quoted := fmt.Sprintf("%q", ue.URL)
		text = strings.ReplaceAll(text, quoted[1:len(quoted)-1], bareURL(ue.URL))
	}
	return zap.String(KeyError, text)
}

func bareURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "[url]"
	}
	return u.Scheme + "://" + u.Host
}
