package ingress

import (
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/telemetry"
)

// When a source is said to reject everything.
const (
	rejectRun   = 3           // requests in a row, or the first if none was ever accepted
	rejectQuiet = time.Minute // between two warnings about one source
)

// rejecting notices when a source accepts nothing any more: after a secret was changed on one side, say. It warns once,
// and once more when that is over. Anybody can send invalid requests, so warnings are few whatever comes.
type rejecting struct {
	mu       sync.Mutex
	accepted bool // something, ever
	run      int  // refused since the last accepted
	warned   bool
	last     time.Time // of the last warning
}

// invalid notes a refused request.
func (j *rejecting) invalid(now time.Time, log *zap.Logger, src *source, err error) {
	j.mu.Lock()
	j.run++
	due := !j.warned && (j.run >= rejectRun || !j.accepted) && (j.last.IsZero() || now.Sub(j.last) >= rejectQuiet)
	if due {
		j.warned, j.last = true, now
	}
	run := j.run
	j.mu.Unlock()
	if due {
		log.Warn("source refuses all requests; compare its secret with the provider's", telemetry.Tenant(src.Tenant),
			telemetry.Source(src.Name), zap.String("provider", src.Provider), zap.Int("refused", run), telemetry.Error(err))
	}
}

// valid notes an accepted request.
func (j *rejecting) valid(log *zap.Logger, src *source) {
	j.mu.Lock()
	over := j.warned
	j.accepted, j.run, j.warned = true, 0, false
	j.mu.Unlock()
	if over {
		log.Info("source accepts requests again", telemetry.Tenant(src.Tenant), telemetry.Source(src.Name))
	}
}
