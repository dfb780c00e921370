package egress

import (
	"net/http"
	"strings"
	"time"
)

// Bounds of what an endpoint may ask for.
const (
	minRetryAfter = time.Second
	maxRetryAfter = time.Hour
)

// parseRetryAfter reads a Retry-After header (RFC 9110 §10.2.3): seconds, or a date in one of HTTP's three forms. What
// is below a second, in the past or negative counts as a second; what is above an hour as an hour. ok is false for
// anything else, as if the header were not there.
func parseRetryAfter(value string, now time.Time) (_ time.Duration, ok bool) {
	value = strings.Trim(value, " \t")
	if len(value) > 64 {
		return 0, false
	}
	if seconds, ok := parseSeconds(value); ok {
		return clampRetryAfter(seconds), true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	// Sub saturates, so that no year makes it wrap around.
	return clampRetryAfter(at.Sub(now)), true
}

// parseSeconds reads a whole number of seconds; one that is too large for an hour is more than an hour.
func parseSeconds(value string) (time.Duration, bool) {
	digits, negative := strings.CutPrefix(value, "-")
	if digits == "" {
		return 0, false
	}
	var seconds int64
	for i := range len(digits) {
		c := digits[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		seconds = min(seconds*10+int64(c-'0'), 1_000_000)
	}
	if negative {
		seconds = -seconds
	}
	return time.Duration(seconds) * time.Second, true
}

func clampRetryAfter(d time.Duration) time.Duration {
	return min(max(d, minRetryAfter), maxRetryAfter)
}
