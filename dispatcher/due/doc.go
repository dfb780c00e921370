// Package due works the queue off: it keeps this process's shards, mirrors the gates, asks the store for due rows, and
// sweeps what must end without an attempt.
//
// Ownership of a shard is the claim on its rows; nothing is written to take one. What an owner starts it starts only
// with at least three seconds of ownership left, measured on its own clock from before the renewal was sent. An owner
// that cannot renew lets its rows go; the next one finds them due.
//
// A gate in the mirror is what this process believes: what it decided itself counts at once and is written in the
// background; when somebody else's write came first, theirs wins. A stale gate costs an attempt too many or one too
// late, never an event.
package due
