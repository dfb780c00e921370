// Package wait waits for time to pass while a context runs.
package wait

import (
	"context"
	"time"
)

// For waits for d, or until ctx ends, and reports whether ctx still runs.
func For(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}
