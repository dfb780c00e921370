package ingress

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.uber.org/zap"
	"golang.org/x/sync/semaphore"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/ingress/provider"
	"github.com/sluicehq/sluice/pkg/listener"
	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/store"
)

// Limits that are no configuration.
const (
	maxHeaders    = 100              // fields of a request
	maxPublishing = 4096             // requests that wait for the broker; further ones are refused
	writeTimeout  = 35 * time.Second // from a request's headers to the end of its answer
	drain         = 10 * time.Second // for requests under way when Run stops
)

// Snapshot is the configuration at one moment, as ingress sees it. It is read without locks, so it must be immutable.
type Snapshot interface {
	// Source returns a tenant's source of that name. The same source is the same pointer until it changes.
	Source(tenant, name string) (*store.Source, bool)
	// HasTenant reports whether anything belongs to the tenant.
	HasTenant(name string) bool
	// Key returns the key in force whose text has this SHA-256.
	Key(hash [sha256.Size]byte) (*store.Key, bool)
}

// Deps is what a Server needs of the rest of the process.
type Deps struct {
	Publisher  broker.Publisher
	MaxMessage int    // Caps.MaxMessage of the broker
	Topic      string // that events are published to

	// Snapshot returns the configuration as it is now; nil (the interface, not a pointer in it) before there is one. It
	// is called for every request.
	Snapshot func() Snapshot
	// Bodies is the process's memory for bodies, in bytes. Requests take their body's size from it.
	Bodies *semaphore.Weighted

	// Anonymous lets programs on this machine POST /v1/events without a key, for any tenant. See call.local.
	Anonymous  bool
	Listener   net.Listener // to serve on; nil: Run opens Config.Listen
	Log        *zap.Logger
	Registerer prometheus.Registerer
	Tracer     trace.Tracer // may be nil
}

// Server accepts webhooks and published events. It is an http.Handler, safe for concurrent use.
type Server struct {
	cfg        Config
	deps       Deps
	log        *zap.Logger
	tracing    bool // spans are recorded
	metrics    *telemetry.Ingress
	api        telemetry.RequestCounters
	none       telemetry.RequestCounters
	sources    sources
	sameOrigin *http.CrossOriginProtection
	publishing atomic.Int64
}

// New returns a server that does nothing yet.
func New(cfg Config, deps Deps) (*Server, error) {
	if problems := cfg.Validate(); len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if deps.Tracer == nil {
		deps.Tracer = noop.Tracer{}
	}
	_, silent := deps.Tracer.(noop.Tracer)
	s := &Server{
		cfg:     cfg,
		deps:    deps,
		log:     deps.Log.With(telemetry.Component("ingress")),
		tracing: !silent,
		metrics: telemetry.NewIngress(deps.Registerer, provider.Names()),

		sameOrigin: http.NewCrossOriginProtection(),
	}
	s.api, s.none = s.metrics.Of(telemetry.ProviderAPI), s.metrics.Of(telemetry.ProviderNone)
	s.sources = sources{log: s.log, metrics: s.metrics, publicURL: cfg.PublicURL != "", byID: map[store.SourceID]*source{}}
	return s, nil
}

// Run serves until ctx ends, then lets requests under way finish for up to 10 s, and returns nil. It returns an error
// only if the listener cannot be opened or breaks.
func (s *Server) Run(ctx context.Context) error {
	ln := s.deps.Listener
	if ln == nil {
		var config net.ListenConfig
		var err error
		if ln, err = config.Listen(ctx, "tcp", s.cfg.Listen); err != nil {
			return fmt.Errorf("ingress.listen: %w", err)
		}
	}
	s.log.Info("ingress listens", zap.Stringer("address", ln.Addr()))
	err := listener.Serve(ctx, limitPerAddress(ln, s.cfg.MaxConnsPerIP, s.metrics.RefusedConns), s, listener.Options{
		Conns:        s.cfg.MaxConns,
		WriteTimeout: writeTimeout,
		Grace:        drain,
		Log:          s.log,
	})
	if err != nil {
		return fmt.Errorf("ingress: %w", err)
	}
	s.log.Info("ingress stopped")
	return nil
}

// ServeHTTP answers one request. There is no ServeMux: it would answer paths it thinks unclean (/in/github//x) with a
// redirect, which webhook senders take for a failure or follow as a GET.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{Server: s, w: w, r: r, began: time.Now(), counters: &s.none}
	s.metrics.InFlight.Inc()
	defer c.finish()
	if len(r.TransferEncoding) > 0 {
		// A request with both a length and chunks has two ends. net/http takes the chunks and does not tell; what follows
		// on the connection may be a request that somebody hid from a proxy before us.
		w.Header().Set("Connection", "close")
	}
	switch path := r.URL.Path; {
	case countHeaders(r.Header) > maxHeaders:
		c.refuse(errManyHeaders)
	case path == "/v1/events":
		c.publishEvents()
	case strings.HasPrefix(path, "/in/"):
		c.receive()
	default:
		c.refuse(errNotFound)
	}
}

func countHeaders(h http.Header) (n int) {
	for _, values := range h {
		n += len(values)
	}
	return n
}

// call is one request.
type call struct {
	*Server
	w        http.ResponseWriter
	r        *http.Request
	began    time.Time
	counters *telemetry.RequestCounters
	allow    []string // methods of what was found
	memory   held
	span     trace.Span // nil: not recorded

	settled bool
	status  int
	outcome telemetry.IngressOutcome
}

// settle notes the answer, for metrics and the trace.
func (c *call) settle(status int, outcome telemetry.IngressOutcome) {
	c.settled, c.status, c.outcome = true, status, outcome
}

// finish gives back what the call holds, and counts it. A panic becomes a 500.
func (c *call) finish() {
	if crash := recover(); crash != nil {
		c.log.Error("request failed", zap.Any(telemetry.KeyError, crash), zap.ByteString("stack", debug.Stack()))
		answered := c.settled
		c.settle(http.StatusInternalServerError, telemetry.IngressFailed)
		if answered {
			defer panic(http.ErrAbortHandler) // half an answer may be out already: break it off
		} else {
			c.refuse(errFailed)
		}
	}
	c.memory.release()
	c.metrics.InFlight.Dec()
	c.counters[c.outcome].Inc()
	c.metrics.Seconds.Observe(time.Since(c.began).Seconds())
	c.endSpan()
}
