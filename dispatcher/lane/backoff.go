package lane

import (
	"math"
	"time"

	"github.com/sluicehq/sluice/store"
)

// Delay returns the wait after the nth failed attempt (n ≥ 1): min(Cap, Base·Factor^(n−1))·(½+u/2), with u uniform in
// [0, 1). It is never negative. Jitter is the "equal jitter" of M. Brooker, "Exponential Backoff And Jitter" (AWS,
// 2015); full jitter would let the first retry come at once, while the endpoint is still restarting.
func Delay(p store.RetryPolicy, n int, u float64) time.Duration {
	d := float64(p.Base) * math.Pow(p.Factor, float64(max(n, 1)-1))
	if ceiling := float64(p.Cap); !(d < ceiling) { // +Inf and NaN (0·Inf) too
		d = ceiling
	}
	return time.Duration(max(d*(0.5+u/2), 0))
}

// The wait of a gate before its first probe, and the longest it doubles to, before jitter.
const (
	minGateWait = 15 * time.Second
	maxGateWait = 5 * time.Minute
)

// GateWait returns how long a gate that closes lets nothing through, when it has closed opens times in a row before
// without recovery: 15 s, doubling to 5 min, and a quarter more or less by u, uniform in [0, 1), so that endpoints that
// fell together are not probed together.
func GateWait(opens int, u float64) time.Duration {
	wait := maxGateWait
	if n := max(opens, 0); n < 5 {
		wait = min(minGateWait<<n, maxGateWait)
	}
	return time.Duration(float64(wait) * (0.75 + u/2))
}
