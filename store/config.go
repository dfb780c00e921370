package store

import "context"

// Config keeps what people decide: sources and endpoints. Each change bumps the configuration version in its own
// transaction. Creating an endpoint creates its gate, open.
type Config interface {
	// Changes returns what changed after version since, at one moment; since 0 is everything in force, without
	// tombstones. A since from the future, or one whose tombstones are no longer kept, gives everything with Full set.
	Changes(ctx context.Context, since int64) (Changes, error)

	// ListSources returns at most limit sources with an id above after, by id; tenant "" is all.
	ListSources(ctx context.Context, tenant string, after SourceID, limit int) ([]Source, error)
	// GetSource returns one source, or ErrNotFound.
	GetSource(ctx context.Context, id SourceID) (Source, error)
	// CreateSource stores s, whose ID and times it sets. ErrExists if the tenant has one of that name.
	CreateSource(ctx context.Context, s Source) (Source, error)
	// DeleteSource removes a source. ErrNotFound, ErrManaged.
	DeleteSource(ctx context.Context, id SourceID) error

	// ListEndpoints returns at most limit endpoints with an id above after, by id, without tombstones; tenant "" is all.
	ListEndpoints(ctx context.Context, tenant string, after EndpointID, limit int) ([]Endpoint, error)
	// GetEndpoint returns one endpoint, or ErrNotFound; a deleted one too, in state deleted.
	GetEndpoint(ctx context.Context, id EndpointID) (Endpoint, error)
	// CreateEndpoint stores e, whose ID, State and times it sets. ErrExists if the tenant has one of that name.
	CreateEndpoint(ctx context.Context, e Endpoint) (Endpoint, error)
	// DeleteEndpoint leaves a tombstone. What is queued is canceled by Queue.Finish. ErrNotFound, ErrManaged.
	DeleteEndpoint(ctx context.Context, id EndpointID) error
	// SetEndpointState moves an endpoint to active, paused or disabled, whoever manages it, and sets StateSince.
	// Moving to active closes its gate with NotBefore now and no opens, so that it starts with a probe and a ramp.
	// An endpoint already there is left as it is. ErrNotFound for a deleted one.
	SetEndpointState(ctx context.Context, id EndpointID, state EndpointState, reason string) (Endpoint, error)

	// ApplyFile makes what the configuration file names exactly as it says, by tenant and name, in one transaction
	// with one version: creates, updates (keeping ids, states, gates and creation times) and takes over API-managed
	// ones. What the file managed and no longer names becomes API-managed, or is deleted with ApplyPrune. What is equal
	// already is not written. Two of them at once are one after the other. ErrExists if a name comes twice.
	ApplyFile(ctx context.Context, sources []Source, endpoints []Endpoint, options ...ApplyOption) (Applied, error)
}

// Changes is the configuration, or the part of it that is newer than some version.
type Changes struct {
	Version          int64 // of the configuration now; pass it as since next time
	Full             bool  // this is everything: forget what was known before
	Sources          []Source
	Endpoints        []Endpoint // without tombstones
	Keys             []Key
	DeletedSources   []SourceID
	DeletedEndpoints []EndpointID
	DeletedKeys      []KeyID
}
