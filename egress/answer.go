package egress

import "time"

// Bounds of what is read of an answer, in bytes.
const (
	maxHead    = 32 << 10 // all lines before the body, those of 1xx answers among them
	maxBody    = 64 << 10 // of the body as it comes, framing included; what has more is cut off there
	maxExcerpt = 16 << 10 // of a failure's body
	max1xx     = 5        // answers that are not final
)

// answer is what came back.
type answer struct {
	status     int // of the final answer; 0: none came
	retryAfter time.Duration
	hasRetry   bool   // there was a Retry-After that could be read
	excerpt    []byte // of the body; its memory serves the next attempt
}

// reset makes a what it was before anything came, but for its memory.
func (a *answer) reset() { *a = answer{excerpt: a.excerpt[:0]} }

// keep adds body bytes to the excerpt, as far as there is room.
func (a *answer) keep(b []byte) {
	a.excerpt = append(a.excerpt, b[:min(len(b), maxExcerpt-len(a.excerpt))]...)
}
