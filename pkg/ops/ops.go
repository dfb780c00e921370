// Package ops is the listener for whoever runs a Sluice process: /healthz, /readyz, /metrics and /debug/pprof. It has
// no authentication, so it listens on loopback by default; there it answers only requests for a loopback host, as a
// web page could otherwise make a browser read profiles, which hold pieces of memory.
package ops

import (
	"context"
	"net"
	"net/http"
	"net/http/pprof"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/listener"
	"github.com/sluicehq/sluice/pkg/telemetry"
)

// Options is what a Server is made of.
type Options struct {
	Checks   []Check              // what readiness depends on
	Registry *prometheus.Registry // served at /metrics; the collectors of Go and of the process are added to it
	Log      *zap.Logger
}

// Server is the ops listener of one process.
type Server struct {
	checks   []Check
	log      *zap.Logger
	draining atomic.Bool
	mux      *http.ServeMux
}

const (
	maxConns      = 64
	maxScrapes    = 4 // at once
	scrapeTime    = 10 * time.Second
	shutdownGrace = time.Second
)

// New returns an ops listener. A Registry that has collectors of Go or of the process already is a programmer's error
// and panics.
func New(o Options) *Server {
	o.Registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s := &Server{checks: o.Checks, log: o.Log.With(telemetry.Component("ops")), mux: http.NewServeMux()}
	s.mux.HandleFunc("GET /healthz", healthz)
	s.mux.HandleFunc("GET /readyz", s.readyz)
	s.mux.Handle("GET /metrics", promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes, Timeout: scrapeTime, Registry: o.Registry,
	}))
	s.mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	s.mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	s.mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	s.mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	s.mux.HandleFunc("POST /debug/pprof/symbol", pprof.Symbol) // as go tool pprof asks
	s.mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return s
}

// Drain makes the process not ready from now on: call it when a stop begins, so that no new work is sent here.
func (s *Server) Drain() { s.draining.Store(true) }

// Run serves on ln, which it closes, until ctx ends. End ctx last, so that readiness can be asked for during a stop.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	h := http.Handler(s.mux)
	if listener.Loopback(ln.Addr().String()) {
		h = onlyLoopback(h)
	}
	// No timeouts but that for headers: a CPU profile or trace takes as long as it was asked to.
	return listener.Serve(ctx, ln, h, listener.Options{Conns: maxConns, Grace: shutdownGrace, Log: s.log})
}

func onlyLoopback(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !listener.LoopbackHost(r.Host) {
			http.Error(w, "the Host header does not name this machine: ask for localhost or a loopback address", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// healthz says that the process is alive and answers. It asks nothing else: a restart would not bring the store back.
func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("ok\n")) //nolint:errcheck // the client has gone
}
