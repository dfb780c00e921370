package lane

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluicehq/sluice/store"
)

func TestDelay(t *testing.T) {
	standard := store.DefaultRetry()
	tests := []struct {
		name   string
		policy store.RetryPolicy
		n      int
		u      float64
		want   time.Duration
	}{
		{"the first, at its longest", standard, 1, 1, 10 * time.Second},
		{"the first, at its shortest", standard, 1, 0, 5 * time.Second},
		{"it triples", standard, 3, 1, 90 * time.Second},
		{"up to its cap", standard, 8, 1, 6*time.Hour + 4*time.Minute + 30*time.Second},
		{"and not beyond", standard, 9, 1, 12 * time.Hour},
		{"for ever", standard, 1_000_000, 0.5, 9 * time.Hour},
		{"below the first is the first", standard, -3, 1, 10 * time.Second},
		{"no base is no wait", store.RetryPolicy{Factor: 2, Cap: time.Hour}, 5, 1, 0},
		{"a base above the cap", store.RetryPolicy{Base: time.Hour, Factor: 2, Cap: time.Minute}, 1, 1, time.Minute},
		{"a factor of one stays", store.RetryPolicy{Base: time.Minute, Factor: 1, Cap: time.Hour}, 50, 1, time.Minute},
		{"the zero policy waits for nothing", store.RetryPolicy{}, 1, 0.5, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Delay(tt.policy, tt.n, tt.u); got != tt.want {
				t.Errorf("Delay(%+v, %d, %v) = %v, want %v", tt.policy, tt.n, tt.u, got, tt.want)
			}
		})
	}
}

func TestDelayStaysInItsRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := store.RetryPolicy{
			Base:   time.Duration(rapid.Int64Min(0).Draw(t, "base")),
			Factor: rapid.Float64Range(0, 1e300).Draw(t, "factor"),
			Cap:    time.Duration(rapid.Int64Range(0, int64(24*time.Hour)).Draw(t, "cap")),
		}
		n, u := rapid.Int().Draw(t, "n"), rapid.Float64Range(0, 1).Draw(t, "u")
		if got := Delay(p, n, u); got < 0 || got > p.Cap {
			t.Fatalf("Delay(%+v, %d, %v) = %v, want 0 to %v", p, n, u, got, p.Cap)
		}
	})
}

func TestGateWait(t *testing.T) {
	for i, seconds := range []int{15, 30, 60, 120, 240, 300, 300} {
		want := time.Duration(seconds) * time.Second
		if got := GateWait(i, 0.5); got != want {
			t.Errorf("GateWait(%d, ½) = %v, want %v", i, got, want)
		}
		if got := GateWait(i, 0); got != want*3/4 {
			t.Errorf("GateWait(%d, 0) = %v, want %v", i, got, want*3/4)
		}
		if got := GateWait(i, 1); got != want*5/4 {
			t.Errorf("GateWait(%d, 1) = %v, want %v", i, got, want*5/4)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		opens, u := rapid.Int().Draw(t, "opens"), rapid.Float64Range(0, 1).Draw(t, "u")
		if got := GateWait(opens, u); got < 11250*time.Millisecond || got > 375*time.Second {
			t.Fatalf("GateWait(%d, %v) = %v, want 11.25s to 375s", opens, u, got)
		}
	})
}
