package store

import "time"

// SourceID is a source's number; the API writes it "src_" and seven characters. Zero is none.
type SourceID uint32

// ManagedBy says who may change a source or endpoint.
type ManagedBy string

// A resource is changed by the API, or by the configuration file alone.
const (
	ManagedByAPI  ManagedBy = "api"
	ManagedByFile ManagedBy = "file"
)

// Source is one way into Sluice: a provider that calls /in/NAME.
type Source struct {
	ID        SourceID
	Tenant    string
	Name      string            // unique in its tenant
	Provider  string            // name of a preset of ingress/provider
	Params    map[string]string // per-source constants of the preset
	Secrets   []Secret          // all are tried; more than one during a rotation
	Dedupe    bool              // drop what comes again with the same GivenID and body within ClaimTTL
	ManagedBy ManagedBy
	CreatedAt time.Time
	UpdatedAt time.Time
}
