package ops

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// Check is one thing that readiness depends on.
type Check struct {
	Name string // what is needed: "store", "broker"
	// Check returns why it is not there now, or nil. It must return when ctx ends, after 2 s.
	Check func(ctx context.Context) error
	// Partial: without it the process still does what requests are sent to it for. It is told, and the process is ready.
	Partial bool
}

// Readiness is the answer of /readyz.
type Readiness struct {
	Ready    bool              `json:"ready"`
	Draining bool              `json:"draining,omitempty"`
	Checks   map[string]string `json:"checks"` // name → "ok", or why not
}

const (
	checkTime = 2 * time.Second
	passed    = "ok"
)

var errHangs = errors.New("no answer within 2s")

// readyz answers 200 while every check passes that is not partial and the process is not draining, else 503; either way
// with each check.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ready := s.ready(r.Context())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !ready.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(ready) //nolint:errcheck // the client has gone
}

func (s *Server) ready(ctx context.Context) Readiness {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTime, errHangs)
	defer cancel()
	results := make([]string, len(s.checks))
	var wg sync.WaitGroup
	for i, c := range s.checks {
		wg.Go(func() { results[i] = c.run(ctx) })
	}
	wg.Wait()
	ready := Readiness{Draining: s.draining.Load(), Checks: make(map[string]string, len(s.checks))}
	ready.Ready = !ready.Draining
	for i, c := range s.checks {
		ready.Checks[c.Name] = results[i]
		ready.Ready = ready.Ready && (results[i] == passed || c.Partial)
	}
	return ready
}

func (c Check) run(ctx context.Context) (result string) {
	defer func() {
		if v := recover(); v != nil { // a check's bug must not take the process down
			result = fmt.Sprintf("panic: %.256v", v)
		}
	}()
	err := c.Check(ctx)
	switch {
	case err == nil:
		return passed
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil:
		return context.Cause(ctx).Error()
	}
	return err.Error()
}
