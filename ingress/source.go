package ingress

import (
	"errors"
	"net/url"
	"strings"
	"sync"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/ingress/provider"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/pkg/telemetry"
	"github.com/sluicehq/sluice/store"
)

// maxCompiled bounds the compiled sources that are kept; beyond it all are compiled again.
const maxCompiled = 100_000

// source is a source ready to take requests.
type source struct {
	*store.Source
	scheme    *provider.Scheme // nil: it cannot be bound
	methods   []string
	counters  telemetry.RequestCounters
	rejecting *rejecting
}

// sources keeps compiled sources: binding decodes keys, which would cost more than the rest of a request.
type sources struct {
	log       *zap.Logger
	metrics   *telemetry.Ingress
	publicURL bool // it is known

	mu   sync.RWMutex
	byID map[store.SourceID]*source
}

// compiled returns src ready for use. It is made once for each pointer that the snapshot hands out.
func (s *sources) compiled(src *store.Source) *source {
	s.mu.RLock()
	known := s.byID[src.ID]
	s.mu.RUnlock()
	if known != nil && known.Source == src {
		return known
	}
	return s.compile(src)
}

func (s *sources) compile(src *store.Source) *source {
	made := &source{Source: src, rejecting: &rejecting{}}
	made.scheme, made.counters = s.bind(src)
	if made.scheme != nil {
		made.methods = made.scheme.Methods()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.byID[src.ID]; known != nil && known.Name == src.Name {
		if known.Source == src {
			return known // another request was first
		}
		made.rejecting = known.rejecting
	} else if len(s.byID) >= maxCompiled {
		clear(s.byID)
	}
	s.byID[src.ID] = made
	return made
}

// bind logs why a source cannot be used, once for each version of it.
func (s *sources) bind(src *store.Source) (*provider.Scheme, telemetry.RequestCounters) {
	preset, ok := provider.Get(src.Provider)
	if !ok {
		s.log.Warn("source has a provider that this version does not know; its requests get a 503",
			telemetry.Tenant(src.Tenant), telemetry.Source(src.Name), zap.String("provider", src.Provider))
		return nil, s.metrics.Of(telemetry.ProviderNone)
	}
	scheme, err := preset.Bind(src.Params, src.Secrets)
	if err == nil && scheme.SignsURL() && !s.publicURL {
		scheme, err = nil, provider.ErrNoURL
	}
	if err != nil {
		s.log.Warn("source cannot be verified as it is configured; its requests get a 503",
			telemetry.Tenant(src.Tenant), telemetry.Source(src.Name), telemetry.Error(err))
	} else if !scheme.CoversBody() {
		s.log.Debug("the provider's signature does not cover the body", telemetry.Tenant(src.Tenant), telemetry.Source(src.Name))
	}
	return scheme, s.metrics.Of(preset.Name)
}

// errNoSource is internal to route.
var errNoSource = errors.New("no source")

// route finds the source of a path below /in/, and what stands behind it, with its leading slash. /in/A/B is source B of
// tenant A if there is one, else source A of tenant default.
func route(snap Snapshot, escaped string) (src *store.Source, suffix string, err error) {
	path := strings.TrimPrefix(escaped, "/in")
	first, rest := nextSegment(path)
	if second, deeper := nextSegment(rest); second != "" && snap.HasTenant(first) {
		if src, ok := snap.Source(first, second); ok {
			return src, deeper, nil
		}
	}
	if src, ok := snap.Source(event.DefaultTenant, first); ok {
		return src, rest, nil
	}
	return nil, "", errNoSource
}

// nextSegment cuts the first segment off a path and decodes it; rest keeps its leading slash.
func nextSegment(path string) (segment, rest string) {
	if path == "" {
		return "", ""
	}
	path = path[1:]
	end := strings.IndexByte(path, '/')
	if end < 0 {
		end = len(path)
	}
	segment, rest = path[:end], path[end:]
	if strings.IndexByte(segment, '%') >= 0 {
		decoded, err := url.PathUnescape(segment)
		if err != nil {
			return "", rest
		}
		segment = decoded
	}
	return segment, rest
}
