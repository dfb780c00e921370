package store

import (
	"context"
	"time"
)

// KeyID is an API key's number; the API writes it "key_" and seven characters.
type KeyID uint32

// Scope is what an API key may do.
type Scope string

// The scopes of a key.
const (
	ScopeAdmin   Scope = "admin"   // everything, for every tenant
	ScopeTenant  Scope = "tenant"  // the management API and publishing, for its tenant
	ScopePublish Scope = "publish" // POST /v1/events for its tenant
)

// Key is an API key. The key itself is shown once, when it is made, and never stored.
type Key struct {
	ID        KeyID
	Tenant    string // empty for admin keys
	Name      string
	Scope     Scope
	Hash      [32]byte // SHA-256 of the whole key text; 256 random bits need no slow hash
	Prefix    string   // its first 8 characters, to tell keys apart
	CreatedAt time.Time
}

// Keys keeps API keys. The snapshot carries those in force, so nothing is looked up per request.
type Keys interface {
	// CreateKey stores k and returns it with its ID and CreatedAt.
	CreateKey(ctx context.Context, k Key) (Key, error)
	// ListKeys returns the keys in force, oldest first.
	ListKeys(ctx context.Context) ([]Key, error)
	// DeleteKey revokes a key. ErrNotFound if there is none.
	DeleteKey(ctx context.Context, id KeyID) error
}
