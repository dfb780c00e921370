// Package listener holds what our HTTP listeners share: bounded connections, timeouts, a graceful stop, and how to tell
// that one is reachable from this machine alone.
package listener

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/net/netutil"
)

// Options bound what clients can do to a listener.
type Options struct {
	Conns        int           // open at once, > 0; further ones wait in the kernel's backlog
	ReadTimeout  time.Duration // from the start of a request to the end of its body, and it cancels what runs longer; 0: none
	WriteTimeout time.Duration // from the end of a request's headers to the end of its answer; 0: none
	Grace        time.Duration // for requests under way when the listener stops
	Log          *zap.Logger
}

// The bounds that all listeners have.
const (
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 32 << 10
)

// Serve answers on ln, which it closes, with h until ctx ends. Then it takes no more requests, waits Grace for those
// under way, cancels the contexts of the rest, and returns nil once every call of h has returned. It returns an error
// only if ln breaks.
func Serve(ctx context.Context, ln net.Listener, h http.Handler, o Options) error {
	base, abort := context.WithCancel(context.WithoutCancel(ctx)) // requests outlive ctx, by Grace
	defer abort()
	errorLog, err := zap.NewStdLogAt(o.Log, zap.WarnLevel)
	if err != nil {
		return err
	}
	calls := calls{handler: h}
	srv := &http.Server{
		Handler:           &calls,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       o.ReadTimeout,
		WriteTimeout:      o.WriteTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          errorLog,
	}
	broken := make(chan error, 1)
	go func() { broken <- srv.Serve(netutil.LimitListener(ln, o.Conns)) }()

	select {
	case err = <-broken:
	case <-ctx.Done():
		stop(base, srv, o.Grace)
		err = <-broken
	}
	abort()
	srv.Close() //nolint:errcheck // nothing is left that it could fail to close
	calls.wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("listen on %s: %w", ln.Addr(), err)
}

func stop(base context.Context, srv *http.Server, grace time.Duration) {
	deadline, cancel := context.WithTimeout(base, grace)
	defer cancel()
	srv.Shutdown(deadline) //nolint:errcheck // only says that grace ran out; the caller then closes
}

// calls knows which calls of a handler are under way: http.Server.Close does not wait for them.
type calls struct {
	handler http.Handler
	running sync.WaitGroup
	mu      sync.Mutex // orders Add before Wait
	over    bool
}

// ServeHTTP passes the request on, unless wait has been called.
func (c *calls) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !c.begin() {
		return
	}
	defer c.running.Done()
	c.handler.ServeHTTP(w, r)
}

func (c *calls) begin() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over {
		c.running.Add(1)
	}
	return !c.over
}

func (c *calls) wait() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.running.Wait()
}
