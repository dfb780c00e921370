package ledger

import (
	"fmt"
	"slices"
	"strings"
)

// Class is one way in which a run may be other than expected.
type Class string

// The classes. Recovered and Resent are what faults and failing receivers lead to; all others are wrong, Duplicate beyond
// what the faults explain.
const (
	Lost       Class = "lost"       // accepted, due at an endpoint, and neither delivered nor finished otherwise
	Stuck      Class = "stuck"      // as lost, but still queued; or delivered, and the gateway does not know
	Phantom    Class = "phantom"    // delivered, says the gateway, and it never was
	Unexpected Class = "unexpected" // arrived though it was never sent, or was refused
	Misrouted  Class = "misrouted"  // arrived at an endpoint that does not subscribe to it
	Corrupt    Class = "corrupt"    // arrived with another body or a wrong signature
	Renamed    Class = "renamed"    // arrived under two ids, or under the id of another event
	Acausal    Class = "acausal"    // arrived before it was sent
	Duplicate  Class = "duplicate"  // arrived again after a 2xx that was written whole
	Resent     Class = "resent"     // arrived again after anything else
	Recovered  Class = "recovered"  // arrived though its producer could not know
)

// Report counts what Check found.
type Report struct {
	Events   int // sent
	Accepted int // of those, answered 2xx
	Counts   map[Class]int
	Examples map[Class][]string // the first few of each
}

func (r *Report) add(c Class, format string, args ...any) {
	r.Counts[c]++
	if len(r.Examples[c]) < 5 {
		r.Examples[c] = append(r.Examples[c], fmt.Sprintf(format, args...))
	}
}

// Problems returns a line for each class that holds more than it may: duplicates at most so many, recovered and resent any
// number, the others none. Nil means that nothing is wrong.
func (r *Report) Problems(duplicates int) []string {
	var out []string
	for c, n := range r.Counts {
		limit := 0
		switch c {
		case Duplicate:
			limit = duplicates
		case Recovered, Resent:
			continue
		}
		if n > limit {
			out = append(out, fmt.Sprintf("%d %s, want at most %d, such as: %s", n, c, limit, strings.Join(r.Examples[c], "; ")))
		}
	}
	slices.Sort(out)
	return out
}

// String tells the counts in one line.
func (r *Report) String() string {
	var parts []string
	for c, n := range r.Counts {
		parts = append(parts, fmt.Sprintf("%d %s", n, c))
	}
	slices.Sort(parts)
	return fmt.Sprintf("%d events sent, %d accepted: %s", r.Events, r.Accepted, strings.Join(append(parts, "0 else"), ", "))
}
