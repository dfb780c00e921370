package snapshot

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/sluicehq/sluice/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDown = errors.New("store is down")

// fakeSource is a configuration in memory that goes down, takes its time and forgets on command.
type fakeSource struct {
	mu        sync.Mutex
	version   int64
	down      error
	latency   time.Duration
	asked     []int64 // since, question by question
	endpoints map[store.EndpointID]versioned[store.Endpoint]
	sources   map[store.SourceID]versioned[store.Source]
	keys      map[store.KeyID]versioned[store.Key]
}

type versioned[T any] struct {
	row     T
	version int64
	deleted bool
}

func newFakeSource() *fakeSource {
	return &fakeSource{
		version: 1, endpoints: map[store.EndpointID]versioned[store.Endpoint]{}, sources: map[store.SourceID]versioned[store.Source]{},
		keys: map[store.KeyID]versioned[store.Key]{},
	}
}

func (f *fakeSource) Changes(ctx context.Context, since int64) (store.Changes, error) {
	f.mu.Lock()
	latency := f.latency
	f.mu.Unlock()
	if latency > 0 {
		select {
		case <-time.After(latency):
		case <-ctx.Done():
			return store.Changes{}, ctx.Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, since)
	if f.down != nil {
		return store.Changes{}, f.down
	}
	ch := store.Changes{Version: f.version, Full: since > f.version}
	if ch.Full {
		since = 0
	}
	ch.Endpoints, ch.DeletedEndpoints = changedSince(f.endpoints, since)
	ch.Sources, ch.DeletedSources = changedSince(f.sources, since)
	ch.Keys, ch.DeletedKeys = changedSince(f.keys, since)
	return ch, nil
}

func changedSince[ID int | ~uint32, T any](rows map[ID]versioned[T], since int64) (changed []T, deleted []ID) {
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		switch row := rows[id]; {
		case row.version <= since:
		case !row.deleted:
			changed = append(changed, row.row)
		case since > 0:
			deleted = append(deleted, id)
		}
	}
	return changed, deleted
}

// set changes the configuration in one version.
func (f *fakeSource) set(change func(version int64)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.version++
	change(f.version)
}

func (f *fakeSource) putEndpoint(e store.Endpoint) {
	f.set(func(v int64) { f.endpoints[e.ID] = versioned[store.Endpoint]{row: e, version: v} })
}

func (f *fakeSource) deleteEndpoint(id store.EndpointID) {
	f.set(func(v int64) { f.endpoints[id] = versioned[store.Endpoint]{version: v, deleted: true} })
}

func (f *fakeSource) setDown(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = err
}

func (f *fakeSource) setLatency(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latency = d
}

// questions returns since of each question.
func (f *fakeSource) questions() []int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

func endpoint(id store.EndpointID, url string) store.Endpoint {
	return store.Endpoint{
		ID: id, Tenant: "acme", Name: url, URL: "https://example.com/" + url, Secrets: []store.SigningSecret{{Secret: "whsec_canary"}},
		State: store.EndpointActive, Timeout: time.Second,
	}
}

func newWatcher(t *testing.T, cfg Config, from source, sealer *store.Sealer) (*Watcher, *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	return New(cfg, from, sealer, zap.New(core), prometheus.NewPedanticRegistry()), logs
}

func newSealer(t *testing.T) *store.Sealer {
	t.Helper()
	s, err := store.ParseKeys(store.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// run runs the watcher until stop, which waits for it.
func run(t *testing.T, w *Watcher) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	}
}
