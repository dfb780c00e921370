package store

import (
	"context"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
)

// History is what people look up. A live view: deliveries come from the queue and the history together.
type History interface {
	// ListEvents returns at most q.Limit events, newest first, without their bodies.
	ListEvents(ctx context.Context, q EventQuery) ([]RecordedEvent, error)
	// GetEvent returns one event without its body, or ErrNotFound.
	GetEvent(ctx context.Context, id event.ID) (RecordedEvent, error)
	// GetBody returns an event's body and content type. ErrNotFound; ErrGone once it is past retention.
	GetBody(ctx context.Context, id event.ID) (body []byte, contentType string, err error)
	// ListDeliveries returns at most q.Limit deliveries, newest event first.
	ListDeliveries(ctx context.Context, q DeliveryQuery) ([]Delivery, error)
	// GetDelivery returns one delivery, or ErrNotFound.
	GetDelivery(ctx context.Context, id DeliveryID) (Delivery, error)
	// ListAttempts returns a delivery's failed attempts, first to last.
	ListAttempts(ctx context.Context, id DeliveryID) ([]Attempt, error)
	// RetryDelivery makes a queued delivery due at now (not before its HeldUntil) and returns its id; for a finished
	// one it queues a new delivery with the next replay number and returns that. ErrNotFound; ErrGone when the body is
	// past retention or the endpoint deleted.
	RetryDelivery(ctx context.Context, id DeliveryID, now time.Time) (DeliveryID, error)
	// ListQuarantine returns at most limit quarantined messages with a number below before (0: any), newest first.
	ListQuarantine(ctx context.Context, before int64, limit int) ([]NumberedQuarantined, error)
}

// NumberedQuarantined is a quarantined message with its number.
type NumberedQuarantined struct {
	Number int64
	Quarantined
}

// RecordedEvent is an event as the history has it. Event.Body is nil.
type RecordedEvent struct {
	Event      event.Event
	Size       int   // bytes of the body
	Matched    int   // endpoints that matched
	Duplicates int64 // copies that came later and were dropped
}

// EventQuery filters events; zero fields do not.
type EventQuery struct {
	Tenant  string
	Type    string // exact
	Source  string
	Since   time.Time // Time at or after
	Until   time.Time // Time before
	GivenID string    // exact
	Key     string    // exact
	Before  event.ID  // cursor: ids below it
	Limit   int
}

// DeliveryQuery filters deliveries; zero fields do not.
type DeliveryQuery struct {
	Tenant   string
	Event    event.ID
	Endpoint EndpointID
	State    DeliveryState
	Since    time.Time // Time of the event at or after
	Until    time.Time
	Before   DeliveryID // cursor: below it by event, endpoint, replay
	Limit    int
}

// Delivery is a delivery as people see it.
type Delivery struct {
	ID           DeliveryID
	State        DeliveryState
	Reason       Reason
	Attempts     int
	FirstAttempt time.Time // zero: none
	NextAt       time.Time // queued: due then
	QueuedAt     time.Time // queued
	FinishedAt   time.Time // finished
	LastStatus   int
	LastError    string
	LastDuration time.Duration
}
