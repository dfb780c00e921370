package ingress

import (
	"crypto/sha256"
	"strings"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/pkg/listener"
	"github.com/sluicehq/sluice/store"
)

// keyPrefix begins every API key, so that one is recognised where it should not be.
const keyPrefix = "slk_"

// authenticate returns the key of a publisher; nil if it needs none. Keys are found by their digest, so the time that
// takes tells nothing about them.
func (c *call) authenticate() (*store.Key, error) {
	if c.deps.Anonymous && c.local() {
		return nil, nil
	}
	token, ok := bearer(c.r.Header["Authorization"])
	if !ok {
		return nil, errNoKey
	}
	snap := c.deps.Snapshot()
	if snap == nil {
		return nil, errNotReady
	}
	key, ok := snap.Key(sha256.Sum256([]byte(token)))
	if !ok {
		return nil, errNoKey
	}
	switch key.Scope {
	case store.ScopePublish, store.ScopeTenant, store.ScopeAdmin:
		return key, nil
	}
	return nil, errScope
}

// local reports whether the request comes from a program on this machine: over loopback, to a loopback address, and not
// by a page of another site in a browser here. Behind a proxy on this machine the Host is not loopback.
func (c *call) local() bool {
	return listener.Loopback(c.r.RemoteAddr) && listener.LoopbackHost(c.r.Host) && c.sameOrigin.Check(c.r) == nil
}

func bearer(headers []string) (token string, ok bool) {
	if len(headers) != 1 {
		return "", false
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	return token, strings.EqualFold(scheme, "Bearer") && strings.HasPrefix(token, keyPrefix)
}

// tenantOf returns the tenant that an event is published for: the key's, or, with an admin key or without keys, the one
// that it names.
func tenantOf(key *store.Key, named string) (string, error) {
	if key == nil || key.Scope == store.ScopeAdmin {
		if named == "" {
			return event.DefaultTenant, nil
		}
		return named, nil
	}
	if named != "" && named != key.Tenant {
		return "", errOtherTenant
	}
	return key.Tenant, nil
}
