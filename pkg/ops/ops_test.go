package ops

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newServer(checks ...Check) *Server {
	return New(Options{Checks: checks, Registry: prometheus.NewRegistry(), Log: zap.NewNop()})
}

// get asks s without a network.
func get(t *testing.T, s *Server, path string) (status int, body string) {
	t.Helper()
	rec := httptest.NewRecorder()
	s.mux.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
	return rec.Code, rec.Body.String()
}

func readiness(t *testing.T, s *Server) (status int, ready Readiness) {
	t.Helper()
	status, body := get(t, s, "/readyz")
	if err := json.Unmarshal([]byte(body), &ready); err != nil {
		t.Fatalf("/readyz = %q: %v", body, err)
	}
	return status, ready
}

func TestReadinessNamesWhatFailsAndWhy(t *testing.T) {
	t.Parallel()
	fine := Check{Name: "store", Check: func(context.Context) error { return nil }}
	down := Check{Name: "broker", Check: func(context.Context) error { return errors.New("connection refused") }}
	broken := Check{Name: "snapshot", Check: func(context.Context) error { panic("nil map") }}
	tests := []struct {
		name   string
		checks []Check
		drain  bool
		status int
		want   map[string]string
	}{
		{"nothing is needed", nil, false, 200, map[string]string{}},
		{"everything is there", []Check{fine}, false, 200, map[string]string{"store": "ok"}},
		{"one is away", []Check{fine, down}, false, 503, map[string]string{"store": "ok", "broker": "connection refused"}},
		{"one is away that requests do not need", []Check{fine, {Name: "broker", Check: down.Check, Partial: true}}, false, 200, map[string]string{"store": "ok", "broker": "connection refused"}},
		{"a check with a bug is one that fails", []Check{broken}, false, 503, map[string]string{"snapshot": "panic: nil map"}},
		{"draining, with everything there", []Check{fine}, true, 503, map[string]string{"store": "ok"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newServer(tt.checks...)
			if tt.drain {
				s.Drain()
			}
			status, got := readiness(t, s)
			if status != tt.status || got.Ready != (tt.status == 200) || got.Draining != tt.drain {
				t.Errorf("status %d, %+v, want %d", status, got, tt.status)
			}
			if len(got.Checks) != len(tt.want) {
				t.Errorf("checks = %v, want %v", got.Checks, tt.want)
			}
			for name, want := range tt.want {
				if got.Checks[name] != want {
					t.Errorf("check %s = %q, want %q", name, got.Checks[name], want)
				}
			}
		})
	}
}

func TestACheckThatHangsFailsAfterTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Check{Name: "store", Check: func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}}, Check{Name: "broker", Check: func(context.Context) error { return nil }})
		start := time.Now()
		status, got := readiness(t, s)
		if took := time.Since(start); took != checkTime {
			t.Errorf("took %v, want %v", took, checkTime)
		}
		if status != 503 || got.Checks["store"] != "no answer within 2s" || got.Checks["broker"] != "ok" {
			t.Errorf("status %d, checks %v", status, got.Checks)
		}
	})
}

func TestHealthDependsOnNothing(t *testing.T) {
	t.Parallel()
	s := newServer(Check{Name: "store", Check: func(context.Context) error { return errors.New("down") }})
	s.Drain()
	if status, body := get(t, s, "/healthz"); status != 200 || body != "ok\n" {
		t.Errorf("/healthz = %d %q, want 200 ok", status, body)
	}
}

func TestMetricsHoldTheRegistryAndTheProcess(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "sluice_test_total"}))
	s := New(Options{Registry: reg, Log: zap.NewNop()})
	status, body := get(t, s, "/metrics")
	for _, want := range []string{"sluice_test_total 0", "go_goroutines ", "process_start_time_seconds "} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
	if status != 200 {
		t.Errorf("status %d, want 200", status)
	}
}

func TestProfilesAreServed(t *testing.T) {
	t.Parallel()
	s := newServer()
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/pprof/symbol"} {
		if status, _ := get(t, s, path); status != 200 {
			t.Errorf("%s = %d, want 200", path, status)
		}
	}
}

func TestRunServesUntilItsContextEnds(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- newServer().Run(ctx, ln) }()
	for host, want := range map[string]int{ln.Addr().String(): 200, "localhost": 200, "rebound.example": 403} {
		if got := status(t, ln.Addr().String(), host); got != want {
			t.Errorf("Host %s: status %d, want %d", host, got, want)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v, want nil", err)
	}
	if _, err := net.Dial("tcp", ln.Addr().String()); err == nil {
		t.Error("still listening after Run")
	}
}

func status(t *testing.T, addr, host string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+addr+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return resp.StatusCode
}
