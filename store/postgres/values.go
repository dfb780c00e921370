package postgres

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluicehq/sluice/store"
)

// reasons in the order of their numbers, which are stored: only ever append.
var reasons = []store.Reason{
	"", store.ReasonLaneFull, store.ReasonGate, store.ReasonHold, store.ReasonRetry, store.ReasonManual,
	store.ReasonExhausted, store.ReasonExpired, store.ReasonOverflow, store.ReasonRefused, store.ReasonDeleted,
}

func reasonNumber(r store.Reason) (int64, error) {
	for n, known := range reasons {
		if known == r {
			return int64(n), nil
		}
	}
	return 0, fmt.Errorf("unknown reason %.32q: %w", r, store.ErrData)
}

// reasonName names a number; one that a newer Sluice wrote is shown as it is.
func reasonName(n int16) store.Reason {
	if n < 0 || int(n) >= len(reasons) {
		return store.Reason(fmt.Sprintf("reason_%d", n))
	}
	return reasons[n]
}

// micros is a duration in whole microseconds, as columns of 4 bytes have it: 35 minutes at most.
func micros(d time.Duration) int64 { return min(max(d.Microseconds(), 0), 1<<31-1) }

func fromMicros(n int32) time.Duration { return time.Duration(n) * time.Microsecond }

// plain makes text that PostgreSQL takes: no zero bytes, nothing that is not UTF-8.
func plain(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
