package store

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
)

// ClaimTTL is how long a claim keeps later copies out.
const ClaimTTL = 72 * time.Hour

// Recorder is what a dispatcher writes: which events came, and what became of their deliveries.
type Recorder interface {
	// Seen looks events up before they are matched, in one statement, and claims for them. It is not durable by
	// itself: a later Record makes it so. Result i is for query i; of two queries with one claim the first holds it.
	Seen(ctx context.Context, queries []SeenQuery) ([]Seen, error)

	// Record writes one batch in one transaction and returns nil once it is durable. Every part is idempotent. Within
	// a batch parts take effect in the order of the fields. A batch refused for its data gives ErrData; the caller
	// then splits it. Any other error means that nothing is known: repeat the batch.
	Record(ctx context.Context, b *Batch) error
}

// SeenQuery asks about one event.
type SeenQuery struct {
	ID    event.ID
	Claim [16]byte  // digest to claim; zero: none
	Until time.Time // the claim keeps others out until then
}

// Seen is what is known of an event.
type Seen struct {
	Holder   event.ID     // who holds the claim: the event itself, or the one it is a duplicate of; zero without a claim
	Recorded bool         // the event has a row in the history
	Known    []DeliveryID // its deliveries, finished and queued, in no order; only when Recorded
}

// Batch is one transaction of a dispatcher. Slices may hold several entries of one delivery; they apply in order.
type Batch struct {
	Events     []EventRow         // rows of the history; the first write stays
	Queue      []Queued           // rows of the queue; a delivery already queued or finished stays as it is
	Holds      []Queued           // rows of the queue for attempts that still run; a row already there takes Attempt, NextAt and HeldUntil unless it has seen a later attempt
	Retries    []Retry            // rows of the queue, after a failure
	Outcomes   []Outcome          // rows of the history; the row of the queue goes; a higher outcome replaces a lower
	Attempts   []Attempt          // rows of the history
	Duplicates map[event.ID]int64 // holder → how many more copies came
	Quarantine []Quarantined
}

// EventRow is an event with its body, as the history takes it.
type EventRow struct {
	Event   *event.Event
	Matched int // endpoints that matched
}

// Quarantined is a message that could not be decoded or handled.
type Quarantined struct {
	Topic, Stream, Position string // where it lies; the key
	Reason                  string
	At                      time.Time
	Key                     []byte
	Headers                 map[string]string
	Body                    []byte   // ≤ 1 MiB
	Event                   event.ID // whose claim is released; zero: never decoded
}
