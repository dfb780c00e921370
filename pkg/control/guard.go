package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/listener"
)

const problemJSON = "application/problem+json"

// guard is everything between the listener and the routes: the last resort, headers, what browsers must not do for
// other sites, bounds, and answers to what has no route.
func (s *Server) guard(mux *http.ServeMux) http.Handler {
	origin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w := &statusWriter{ResponseWriter: rw}
		start := time.Now()
		defer func() {
			s.recover(w, recover())
			s.metrics.Observe(w.status, time.Since(start))
		}()
		setSecurityHeaders(w.Header())
		if f := s.refuse(origin, r); f != nil {
			writeProblem(w, f)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), requestTime)
		defer cancel()
		serve(mux, w, r.WithContext(ctx))
	})
}

// recover answers a request whose handler panicked, if it has no answer yet.
func (s *Server) recover(w *statusWriter, v any) {
	switch {
	case v == nil:
	case v == http.ErrAbortHandler: //nolint:errorlint // net/http compares it like this
		panic(v)
	case brokenConnection(v): // huma panics when it cannot write an answer
	default:
		s.log.Error("panic in the management API", zap.String("panic", fmt.Sprintf("%.512v", v)), zap.ByteString("stack", debug.Stack()))
		if w.status == 0 {
			writeProblem(w, errInternal)
		}
	}
}

func brokenConnection(v any) bool {
	err, ok := v.(error)
	var broken *net.OpError
	return ok && errors.As(err, &broken)
}

func setSecurityHeaders(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
}

// refuse returns why a request is not let through, or nil.
func (s *Server) refuse(origin *http.CrossOriginProtection, r *http.Request) *failure {
	switch {
	case s.cfg.Auth == AuthNone && !listener.LoopbackHost(r.Host):
		return errForeignHost
	case origin.Check(r) != nil:
		return errCrossOrigin
	case r.ContentLength > maxBody:
		return errTooLarge
	case r.ContentLength != 0 && r.Body != http.NoBody && !isJSON(r.Header.Get("Content-Type")):
		return errUnsupported // a form or text/plain is what another site's page can send without being asked first
	}
	return nil
}

func isJSON(contentType string) bool {
	kind, params, err := mime.ParseMediaType(contentType)
	charset := params["charset"]
	return err == nil && kind == "application/json" && (charset == "" || strings.EqualFold(charset, "utf-8"))
}

// refuseBody is the middleware that refuses a body where a route takes none: what it says would be ignored.
func refuseBody(ctx huma.Context, next func(huma.Context)) {
	if ctx.Operation().RequestBody == nil {
		if n, err := io.ReadFull(ctx.BodyReader(), make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) {
			writeFailure(ctx, errNoBody)
			return
		}
	}
	next(ctx)
}

// serve answers with the route, or says as a problem that there is none; ServeMux itself would say it as text.
func serve(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	h, pattern := mux.Handler(r)
	if pattern != "" {
		mux.ServeHTTP(w, r)
		return
	}
	probe := &statusProbe{header: http.Header{}}
	h.ServeHTTP(probe, r)
	if probe.status != http.StatusMethodNotAllowed {
		writeProblem(w, errNoRoute)
		return
	}
	w.Header().Set("Allow", probe.header.Get("Allow"))
	writeProblem(w, errWrongMethod)
}

func writeProblem(w http.ResponseWriter, f *failure) {
	w.Header().Set("Content-Type", problemJSON)
	w.WriteHeader(f.Status)
	jsonFormat.Marshal(w, f) //nolint:errcheck // the client has gone
}

// statusWriter remembers the status of an answer; 0: none yet.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader passes the status on.
func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write passes b on.
func (w *statusWriter) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// statusProbe takes an answer that nobody gets.
type statusProbe struct {
	header http.Header
	status int
}

func (p *statusProbe) Header() http.Header         { return p.header }
func (p *statusProbe) Write(b []byte) (int, error) { return len(b), nil }
func (p *statusProbe) WriteHeader(status int)      { p.status = status }
