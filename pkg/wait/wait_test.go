package wait

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestFor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		wait     time.Duration
		ends     time.Duration // of the context, after the beginning
		want     bool
		wantTook time.Duration
	}{
		{"the whole time while the context runs", time.Minute, time.Hour, true, time.Minute},
		{"as long as the context runs", time.Hour, time.Minute, false, time.Minute},
		{"not at all when the context has ended", time.Hour, 0, false, 0},
		{"not at all, and tells that the context has ended", 0, 0, false, 0},
		{"not at all for no time", 0, time.Hour, true, 0},
		{"not at all for less than none", -time.Hour, time.Hour, true, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.ends)
				defer cancel()
				begin := time.Now()
				if got, took := For(ctx, tt.wait), time.Since(begin); got != tt.want || took != tt.wantTook {
					t.Errorf("For(%v) = %v after %v, want %v after %v", tt.wait, got, took, tt.want, tt.wantTook)
				}
			})
		})
	}
}
