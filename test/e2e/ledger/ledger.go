// Package ledger checks what a gateway did with events against what those outside it saw: producers write down every event
// they sent and how it was answered, receivers write down every delivery before they answer it, and the gateway's own API is
// asked at the end what became of each. Check holds the three against each other.
//
// Events are told apart by a number that travels in their body, since whoever posts a webhook never learns the event's id.
package ledger

import (
	"crypto/sha256"
	"time"
)

// Outcome is what a producer knows of an event it sent.
type Outcome string

// The outcomes. After 5xx, or when no answer came, nobody outside knows whether the event was stored.
const (
	OK      Outcome = "ok"      // 2xx: it must arrive
	Fail    Outcome = "fail"    // 4xx, or it was never written: it must not arrive
	Unknown Outcome = "unknown" // 5xx or no answer: it may arrive, and then everywhere
)

// Digest is the SHA-256 of a body.
type Digest [sha256.Size]byte

// Sent is one line of a producer's ledger.
type Sent struct {
	Seq     int64 // unique in the book
	Source  string
	Type    string
	Body    Digest
	Begun   time.Time // before the first byte was written
	Ended   time.Time // when the answer, or the error, was there
	Outcome Outcome
	Status  int // 0: no answer
}

// Receipt is one line of a receiver's ledger: one attempt that arrived.
type Receipt struct {
	Seq      int64 // read from the body; negative: there was none
	Endpoint string
	EventID  string // webhook-id
	Attempt  int
	Body     Digest
	Signed   bool // the signature is right
	At       time.Time
	Status   int  // answered; 0: none
	Written  bool // the whole answer was handed to the connection
}

// State is what the gateway says about one delivery when all is over.
type State struct {
	Seq      int64 // negative: not known, and then taken from a receipt of the same event
	EventID  string
	Endpoint string
	State    string // as the API writes it: queued, delivered, dead, canceled
}

// Route is one subscription and the time it was in force.
type Route struct {
	Endpoint string
	Types    []string  // patterns; none: all
	Sources  []string  // none: all
	From     time.Time // zero: always was
	Until    time.Time // zero: still is
}

// Book is everything known about a run. Producers and receivers share one clock.
type Book struct {
	Sent     []Sent
	Receipts []Receipt
	States   []State // nil: the gateway was not asked
	Routes   []Route
}
