package egress

import (
	"sync"
	"time"

	"github.com/sluicehq/sluice/pkg/dialguard"
	"github.com/sluicehq/sluice/store"
)

// maxTargets bounds the targets kept, about 2 KiB each. With more endpoints than that in use some are prepared again,
// which costs some microseconds.
const maxTargets = 16384

// targets keeps one target for each endpoint: that of the snapshot's object it saw last. An endpoint that changed is
// another object.
type targets struct {
	guard     *dialguard.Guard
	userAgent string

	mu   sync.RWMutex
	byID map[store.EndpointID]*target
}

// get returns the target of endpoint as it is at now.
func (ts *targets) get(endpoint *store.Endpoint, now time.Time) *target {
	ts.mu.RLock()
	t := ts.byID[endpoint.ID]
	ts.mu.RUnlock()
	if t != nil && t.serves(endpoint, now) {
		return t
	}
	t = newTarget(endpoint, ts.guard, ts.userAgent, now)
	ts.mu.Lock()
	defer ts.mu.Unlock()
	if _, known := ts.byID[endpoint.ID]; !known && len(ts.byID) >= maxTargets {
		for id := range ts.byID { // any one: a map yields them in random order
			delete(ts.byID, id)
			break
		}
	}
	ts.byID[endpoint.ID] = t
	return t
}
