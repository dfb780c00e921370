package ledger

import (
	"slices"
	"strings"
	"time"
)

// margin is the time around a change of a route in which either outcome is right.
const margin = 3 * time.Second

// need says whether an event belongs at an endpoint.
type need int

const (
	forbidden need = iota
	allowed        // too close to a change to say
	required
)

// needs returns what each endpoint is to get of an event; endpoints that are not in it get nothing. It is meant to be plain,
// not fast, and shares no code with the gateway.
func needs(routes []Route, s Sent) map[string]need {
	out := map[string]need{}
	for _, r := range routes {
		if r.selects(s) {
			out[r.Endpoint] = max(out[r.Endpoint], r.inForce(s))
		}
	}
	return out
}

func (r Route) selects(s Sent) bool {
	if len(r.Sources) > 0 && !slices.Contains(r.Sources, s.Source) {
		return false
	}
	return len(r.Types) == 0 || slices.ContainsFunc(r.Types, func(p string) bool { return matches(p, s.Type) })
}

func (r Route) inForce(s Sent) need {
	switch {
	case !r.From.IsZero() && s.Ended.Before(r.From.Add(-margin)), !r.Until.IsZero() && s.Begun.After(r.Until.Add(margin)):
		return forbidden
	case !r.From.IsZero() && s.Begun.Before(r.From.Add(margin)), !r.Until.IsZero() && s.Ended.After(r.Until.Add(-margin)):
		return allowed
	default:
		return required
	}
}

// matches reports whether a type fits a pattern: * alone fits any, a last segment * fits any one segment, ** one or more.
func matches(pattern, eventType string) bool {
	if pattern == "*" || pattern == eventType {
		return true
	}
	if prefix, ok := strings.CutSuffix(pattern, ".**"); ok {
		return strings.HasPrefix(eventType, prefix+".")
	}
	if prefix, ok := strings.CutSuffix(pattern, ".*"); ok {
		rest, ok := strings.CutPrefix(eventType, prefix+".")
		return ok && !strings.Contains(rest, ".")
	}
	return false
}
