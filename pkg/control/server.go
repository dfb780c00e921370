package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/listener"
	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/store"
)

// Store is what the API needs of the store.
type Store interface {
	store.Config
	store.History
}

// Options is what a Server is made of.
type Options struct {
	Config     Config
	Rules      Rules // for what the API takes; FromFile is ignored
	Store      Store
	Keys       Keyring // may be nil with AuthNone
	PublicURL  string  // ingress.public_url, to tell people the whole URL of a source; may be empty
	Log        *zap.Logger
	Registerer prometheus.Registerer

	// Settle is called after every change, before it is answered; it returns once this process acts on the change, and
	// at the latest when its context ends, after 2 s. It wakes whoever watches the configuration. May be nil.
	Settle func(ctx context.Context)
}

// Server is the management API.
type Server struct {
	cfg       Config
	rules     Rules
	store     Store
	keys      Keyring
	publicURL string
	settle    func(context.Context)
	log       *zap.Logger
	metrics   *telemetry.Control
	bodies    chan struct{} // one for each event body that is being downloaded
	handler   http.Handler
}

const (
	maxConns      = 256
	maxBody       = 1 << 20          // bytes of a request's
	maxDownloads  = 16               // event bodies in memory at once
	requestTime   = 10 * time.Second // for a handler and the store
	settleTime    = 2 * time.Second
	readTimeout   = 30 * time.Second
	writeTimeout  = 35 * time.Second
	shutdownGrace = 5 * time.Second
)

// New returns the management API.
func New(o Options) (*Server, error) {
	if list := o.Config.Validate(); len(list) > 0 {
		return nil, list[0]
	}
	if o.Keys == nil && o.Config.Auth != AuthNone {
		return nil, errors.New("control.auth: keys: there is no keyring")
	}
	o.Rules.FromFile = false
	s := &Server{
		cfg:       o.Config,
		rules:     o.Rules,
		store:     o.Store,
		keys:      o.Keys,
		publicURL: o.PublicURL,
		settle:    o.Settle,
		log:       o.Log.With(telemetry.Component("control")),
		metrics:   telemetry.NewControl(o.Registerer),
		bodies:    make(chan struct{}, maxDownloads),
	}
	mux := http.NewServeMux()
	document, err := json.Marshal(s.register(mux))
	if err != nil {
		return nil, fmt.Errorf("write openapi document: %w", err)
	}
	mux.HandleFunc("GET /openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		w.Write(document) //nolint:errcheck // the client has gone
	})
	s.handler = s.guard(mux)
	return s, nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Run serves on ln, which it closes, until ctx ends; requests under way then have 5 s to finish.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	if s.cfg.Auth == AuthNone && !listener.Loopback(ln.Addr().String()) {
		ln.Close()
		return fmt.Errorf("control.auth: none: anybody who reaches %s would be admin", ln.Addr())
	}
	return listener.Serve(ctx, ln, s, listener.Options{
		Conns: maxConns, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, Grace: shutdownGrace, Log: s.log,
	})
}

// register adds every route to mux and returns the document that describes them.
func (s *Server) register(mux *http.ServeMux) *huma.OpenAPI {
	api := humago.New(mux, apiConfig())
	api.UseMiddleware(s.authenticate, refuseBody)
	s.sourceRoutes(api)
	s.endpointRoutes(api)
	s.endpointStateRoutes(api)
	s.eventRoutes(api)
	s.deliveryRoutes(api)
	s.providerRoutes(api)
	s.quarantineRoutes(api)
	return api.OpenAPI()
}

// changed tells the rest of the process about a change that is committed, and waits a little until it has taken it in.
func (s *Server) changed(ctx context.Context) {
	if s.settle == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	s.settle(ctx)
}
