package control

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"strings"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

const (
	keyPrefix      = "slk_"
	keyBytes       = 32 // of randomness
	keyShownPrefix = 8  // characters of a key that are kept, to tell keys apart
)

// Keyring knows the API keys in force. It is safe for concurrent use; the key it returns is not changed.
type Keyring interface {
	// Key returns the key whose text has this SHA-256.
	Key(hash [32]byte) (*store.Key, bool)
}

// GenerateKey makes an API key: the text, to be shown once and then forgotten, and what the store keeps of it. An
// admin key has no tenant; any other has one, event.DefaultTenant if tenant is empty.
func GenerateKey(name, tenant string, scope store.Scope) (text string, key store.Key, err error) {
	switch {
	case !validName(name):
		return "", store.Key{}, fmt.Errorf("key name %.80q: want lower case letters, digits, - and _, at most %d", name, maxName)
	case scope == store.ScopeAdmin:
		if tenant != "" {
			return "", store.Key{}, fmt.Errorf("admin keys are for every tenant, not for %.80q: leave the tenant out, or choose scope tenant", tenant)
		}
	case scope == store.ScopeTenant || scope == store.ScopePublish:
		if tenant == "" {
			tenant = event.DefaultTenant
		}
		if !validName(tenant) {
			return "", store.Key{}, fmt.Errorf("tenant %.80q: want lower case letters, digits, - and _, at most %d", tenant, maxName)
		}
	default:
		return "", store.Key{}, fmt.Errorf("scope %.80q: want admin, tenant or publish", scope)
	}
	var b [keyBytes]byte
	rand.Read(b[:]) // never fails since Go 1.24
	text = keyPrefix + event.EncodeBase32(b[:])
	return text, store.Key{
		Tenant: tenant,
		Name:   name,
		Scope:  scope,
		Hash:   sha256.Sum256([]byte(text)),
		Prefix: text[:keyShownPrefix],
	}, nil
}

// bearer returns the key in the one Authorization header there must be; the scheme may be of any case.
func bearer(headers []string) (text string, ok bool) {
	if len(headers) != 1 {
		return "", false
	}
	scheme, text, ok := strings.Cut(headers[0], " ")
	if !ok || !strings.EqualFold(scheme, "bearer") {
		return "", false
	}
	text = strings.Trim(text, " ")
	return text, validKeyText(text)
}

// validKeyText reports whether text looks like a key at all: what does not is not worth hashing.
func validKeyText(text string) bool {
	rest, ok := strings.CutPrefix(text, keyPrefix)
	var b [keyBytes]byte
	return ok && event.DecodeBase32(b[:], rest) == nil
}

// find returns the key with this text. The comparison takes the same time wherever hashes differ.
func find(ring Keyring, text string) (*store.Key, bool) {
	hash := sha256.Sum256([]byte(text))
	key, ok := ring.Key(hash)
	if !ok || subtle.ConstantTimeCompare(key.Hash[:], hash[:]) != 1 {
		return nil, false
	}
	return key, true
}
