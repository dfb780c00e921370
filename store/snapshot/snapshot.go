package snapshot

import (
	"cmp"
	"maps"
	"reflect"
	"slices"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// Snapshot is one version of the configuration. It is immutable, and what its methods return must not be changed.
type Snapshot struct {
	Version int64 // 0: nothing was loaded yet

	sources   map[name]*store.Source
	keys      map[[32]byte]*store.Key
	endpoints map[store.EndpointID]*store.Endpoint
	ordered   []*store.Endpoint
	tenants   map[string]struct{}
}

// name names a source.
type name struct{ tenant, source string }

// Source returns a tenant's source by its name.
func (s *Snapshot) Source(tenant, source string) (*store.Source, bool) {
	src, ok := s.sources[name{tenant, source}]
	return src, ok
}

// HasTenant reports whether a source, an endpoint or a key is of that tenant. The default tenant always exists.
func (s *Snapshot) HasTenant(tenant string) bool {
	_, ok := s.tenants[tenant]
	return ok || tenant == event.DefaultTenant
}

// Key returns the key with that hash, if it is in force.
func (s *Snapshot) Key(hash [32]byte) (*store.Key, bool) {
	k, ok := s.keys[hash]
	return k, ok
}

// Endpoint returns an endpoint that is not deleted.
func (s *Snapshot) Endpoint(id store.EndpointID) (*store.Endpoint, bool) {
	e, ok := s.endpoints[id]
	return e, ok
}

// Endpoints returns all that are not deleted, by id.
func (s *Snapshot) Endpoints() []*store.Endpoint { return s.ordered }

// apply returns the next snapshot. Rows that are equal keep their pointers.
func (s *Snapshot) apply(ch *store.Changes) *Snapshot {
	next := &Snapshot{Version: ch.Version}
	sources, keys, endpoints := sourcesByID(s), keysByID(s), maps.Clone(s.endpoints)
	if ch.Full {
		keepOnly(sources, ch.Sources, func(src *store.Source) store.SourceID { return src.ID })
		keepOnly(keys, ch.Keys, func(k *store.Key) store.KeyID { return k.ID })
		keepOnly(endpoints, ch.Endpoints, func(e *store.Endpoint) store.EndpointID { return e.ID })
	}
	put(&sources, ch.Sources, ch.DeletedSources, func(src *store.Source) store.SourceID { return src.ID })
	put(&keys, ch.Keys, ch.DeletedKeys, func(k *store.Key) store.KeyID { return k.ID })
	put(&endpoints, ch.Endpoints, ch.DeletedEndpoints, func(e *store.Endpoint) store.EndpointID { return e.ID })
	next.index(sources, keys, endpoints)
	return next
}

func sourcesByID(s *Snapshot) map[store.SourceID]*store.Source {
	byID := make(map[store.SourceID]*store.Source, len(s.sources))
	for _, src := range s.sources {
		byID[src.ID] = src
	}
	return byID
}

func keysByID(s *Snapshot) map[store.KeyID]*store.Key {
	byID := make(map[store.KeyID]*store.Key, len(s.keys))
	for _, k := range s.keys {
		byID[k.ID] = k
	}
	return byID
}

// keepOnly drops rows that are not among all.
func keepOnly[ID comparable, Row any](rows map[ID]*Row, all []Row, id func(*Row) ID) {
	named := make(map[ID]bool, len(all))
	for i := range all {
		named[id(&all[i])] = true
	}
	maps.DeleteFunc(rows, func(k ID, _ *Row) bool { return !named[k] })
}

// put puts changed rows in place and takes deleted ones away.
func put[ID comparable, Row any](rows *map[ID]*Row, changed []Row, deleted []ID, id func(*Row) ID) {
	if *rows == nil {
		*rows = make(map[ID]*Row, len(changed))
	}
	for i := range changed {
		row := changed[i] // its own memory: one row must not keep all others of its batch
		if old := (*rows)[id(&row)]; old == nil || !reflect.DeepEqual(*old, row) {
			(*rows)[id(&row)] = &row
		}
	}
	for _, gone := range deleted {
		delete(*rows, gone)
	}
}

// index makes what the methods look into.
func (s *Snapshot) index(sources map[store.SourceID]*store.Source, keys map[store.KeyID]*store.Key, endpoints map[store.EndpointID]*store.Endpoint) {
	s.sources, s.keys = make(map[name]*store.Source, len(sources)), make(map[[32]byte]*store.Key, len(keys))
	s.endpoints, s.tenants = endpoints, map[string]struct{}{}
	for _, src := range sources {
		s.sources[name{src.Tenant, src.Name}] = src
		s.tenants[src.Tenant] = struct{}{}
	}
	for _, k := range keys {
		s.keys[k.Hash] = k
		if k.Tenant != "" {
			s.tenants[k.Tenant] = struct{}{}
		}
	}
	for _, e := range endpoints {
		s.tenants[e.Tenant] = struct{}{}
	}
	s.ordered = slices.SortedFunc(maps.Values(endpoints), func(a, b *store.Endpoint) int { return cmp.Compare(a.ID, b.ID) })
}

// changes is everything in the snapshot, as a store would say it.
func (s *Snapshot) changes() store.Changes {
	ch := store.Changes{Version: s.Version, Full: true}
	for _, src := range s.sources {
		ch.Sources = append(ch.Sources, *src)
	}
	for _, k := range s.keys {
		ch.Keys = append(ch.Keys, *k)
	}
	for _, e := range s.ordered {
		ch.Endpoints = append(ch.Endpoints, *e)
	}
	return ch
}
