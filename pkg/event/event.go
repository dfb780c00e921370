package event

import "time"

// DefaultTenant is the tenant of everything that names none.
const DefaultTenant = "default"

// APISource is the Source of events that came through POST /v1/events.
const APISource = "api"

// Event is one thing that happened, as every part of Sluice sees it. It is immutable once made: Headers and Body are
// shared between goroutines and must not be changed.
type Event struct {
	ID          ID                // assigned once, upstream of any retry
	Tenant      string            // DefaultTenant when nobody says otherwise
	Source      string            // name of the source it came through; APISource for POST /v1/events
	Type        string            // "push", "invoice.paid"; dotted, lower case by custom
	Key         string            // ordering key; empty: none
	GivenID     string            // what the sender calls it; empty: nothing
	Origin      string            // ce_source of what the sender published; empty: "/" + Source
	Time        time.Time         // when ingress or the broker accepted it; UTC, whole milliseconds
	Method      string            // of the inbound request; empty for events that came by a broker
	Path        string            // suffix after the source, with its leading slash; empty: none
	Query       string            // raw query of the inbound request
	ContentType string            // of Body
	Headers     map[string]string // allow-listed provider headers, lower-case names; nil: none
	Body        []byte            // exact bytes as received, never re-encoded
	TraceParent string            // W3C trace context of the accepting span; empty: none
	TraceState  string
}
