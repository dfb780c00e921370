package ingress

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sync/semaphore"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/ingress/provider"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeBroker keeps what is published, and misbehaves on command.
type fakeBroker struct {
	mu       sync.Mutex
	messages []*broker.Message
	calls    int
	fail     func(ctx context.Context, msgs []*broker.Message) error // nil: all is well
}

func (b *fakeBroker) Publish(ctx context.Context, msgs ...*broker.Message) error {
	b.mu.Lock()
	fail := b.fail
	b.calls++
	b.mu.Unlock()
	if fail != nil {
		if err := fail(ctx, msgs); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = append(b.messages, msgs...)
	return nil
}

// events returns what was published, decoded.
func (b *fakeBroker) events(tb testing.TB) (out []*event.Event) {
	tb.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range b.messages {
		e, err := event.Decode(m.Headers, m.Body)
		if err != nil {
			tb.Fatalf("published what does not decode: %v", err)
		}
		if m.Topic != testTopic || string(m.Key) != e.Key {
			tb.Errorf("published to topic %q with key %q, want %q and %q", m.Topic, m.Key, testTopic, e.Key)
		}
		out = append(out, e)
	}
	return out
}

// slow waits for the context, as a publisher does whose broker does not answer.
func slow(ctx context.Context, _ []*broker.Message) error {
	<-ctx.Done()
	return broker.PublishErrors{broker.ErrAmbiguous}
}

// fakeSnapshot is a configuration.
type fakeSnapshot struct {
	sources map[string]*store.Source // by TENANT/NAME
	keys    map[[sha256.Size]byte]*store.Key
}

func (s *fakeSnapshot) Source(tenant, name string) (*store.Source, bool) {
	src, ok := s.sources[tenant+"/"+name]
	return src, ok
}

func (s *fakeSnapshot) HasTenant(name string) bool {
	for _, src := range s.sources {
		if src.Tenant == name {
			return true
		}
	}
	return false
}

func (s *fakeSnapshot) Key(hash [sha256.Size]byte) (*store.Key, bool) {
	k, ok := s.keys[hash]
	return k, ok
}

func (s *fakeSnapshot) add(src *store.Source) {
	if src.Tenant == "" {
		src.Tenant = event.DefaultTenant
	}
	src.ID = store.SourceID(len(s.sources) + 1)
	s.sources[src.Tenant+"/"+src.Name] = src
}

func (s *fakeSnapshot) addKey(text string, k store.Key) {
	k.Hash = sha256.Sum256([]byte(text))
	s.keys[k.Hash] = &k
}

const (
	testTopic  = "events"
	testSecret = "correct horse battery staple"
	testBudget = 8 << 20
)

// house is an ingress with fakes around it.
type house struct {
	*Server
	broker   *fakeBroker
	snapshot *fakeSnapshot
	bodies   *semaphore.Weighted
	logs     *observer.ObservedLogs
	registry *prometheus.Registry
}

// newHouse has a source NAME of preset NAME for each preset. change may be nil.
func newHouse(tb testing.TB, change func(*Config, *Deps)) *house {
	tb.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	h := &house{
		broker:   &fakeBroker{},
		snapshot: &fakeSnapshot{sources: map[string]*store.Source{}, keys: map[[sha256.Size]byte]*store.Key{}},
		bodies:   semaphore.NewWeighted(testBudget),
		logs:     logs,
		registry: prometheus.NewRegistry(),
	}
	for _, name := range provider.Names() {
		h.snapshot.add(&store.Source{Name: name, Provider: name, Secrets: []store.Secret{secretFor(name)}})
	}
	cfg := Defaults()
	cfg.Listen = "127.0.0.1:0"
	deps := Deps{
		Publisher:  h.broker,
		MaxMessage: 2 << 20,
		Topic:      testTopic,
		Snapshot:   func() Snapshot { return h.snapshot },
		Bodies:     h.bodies,
		Log:        zap.New(core),
		Registerer: h.registry,
	}
	if change != nil {
		change(&cfg, &deps)
	}
	var err error
	if h.Server, err = New(cfg, deps); err != nil {
		tb.Fatal(err)
	}
	return h
}

func secretFor(preset string) store.Secret {
	switch preset {
	case "standard-webhooks":
		return "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	case "basic":
		return "sluice:" + testSecret
	}
	return testSecret
}

// signed returns a genuine request of a preset's source with this body.
func signed(tb testing.TB, preset, path string, body []byte) *http.Request {
	tb.Helper()
	return signedAt(tb, preset, path, body, time.Now())
}

func signedAt(tb testing.TB, preset, path string, body []byte, at time.Time) *http.Request {
	tb.Helper()
	p, _ := provider.Get(preset)
	scheme, err := p.Bind(nil, []store.Secret{secretFor(preset)})
	if err != nil {
		tb.Fatal(err)
	}
	sample := p.Samples()[0].Request(at)
	if body != nil {
		sample.Body = body
	}
	if err := scheme.Sign(sample, at); err != nil {
		tb.Fatal(err)
	}
	r := httptest.NewRequest(sample.Method, path, bytes.NewReader(sample.Body))
	r.Header = sample.Header
	return r
}

func (h *house) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// wantAnswer checks status and body, and that all memory was given back.
func (h *house) wantAnswer(tb testing.TB, w *httptest.ResponseRecorder, status int, body string) {
	tb.Helper()
	if w.Code != status || body != "" && w.Body.String() != body {
		tb.Errorf("answer %d %q, want %d %q", w.Code, w.Body, status, body)
	}
	if !h.bodies.TryAcquire(testBudget) {
		tb.Error("memory was not given back")
		return
	}
	h.bodies.Release(testBudget)
}

// wantPublished checks how many events were published.
func (h *house) wantPublished(tb testing.TB, n int) []*event.Event {
	tb.Helper()
	events := h.broker.events(tb)
	if len(events) != n {
		tb.Fatalf("%d events were published, want %d", len(events), n)
	}
	return events
}

// serve runs the house on ln until the test ends.
func serve(t *testing.T, ln net.Listener) *house {
	t.Helper()
	h := newHouse(t, func(_ *Config, d *Deps) { d.Listener = ln })
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return h
}

// statuses reads answers until the connection ends.
func statuses(conn net.Conn) (out []int) {
	in := bufio.NewReader(conn)
	for {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return out
		}
		discardBody(res)
		out = append(out, res.StatusCode)
	}
}

func discardBody(res *http.Response) {
	io.Copy(io.Discard, res.Body) //nolint:errcheck // its status is what counts
	res.Body.Close()
}

// unsized hides the length of a body, so that it is sent in chunks.
func unsized(body io.Reader) io.Reader { return struct{ io.Reader }{body} }
