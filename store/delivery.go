package store

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
)

// DeliveryID names one delivery: an event, the endpoint it goes to, and a replay number, 0 for the original. It is
// deterministic, so every insert is idempotent, and decodable, so it needs no column beyond its parts.
type DeliveryID struct {
	Event    event.ID
	Endpoint EndpointID
	Replay   uint32
}

const deliveryPrefix = "dlv_"

// String writes the id as "dlv_" and 39 characters of Crockford's base32.
func (id DeliveryID) String() string {
	var b [24]byte
	copy(b[:], id.Event[:])
	binary.BigEndian.PutUint32(b[16:], uint32(id.Endpoint))
	binary.BigEndian.PutUint32(b[20:], id.Replay)
	return deliveryPrefix + event.EncodeBase32(b[:])
}

// ParseDeliveryID reads what String writes.
func ParseDeliveryID(s string) (DeliveryID, error) {
	var b [24]byte
	rest, ok := strings.CutPrefix(s, deliveryPrefix)
	if !ok {
		return DeliveryID{}, fmt.Errorf("delivery id %.64q: want %s and 39 characters", s, deliveryPrefix)
	}
	if err := event.DecodeBase32(b[:], rest); err != nil {
		return DeliveryID{}, fmt.Errorf("delivery id %.64q: %w", s, err)
	}
	return DeliveryID{
		Event:    event.ID(b[:16]),
		Endpoint: EndpointID(binary.BigEndian.Uint32(b[16:])),
		Replay:   binary.BigEndian.Uint32(b[20:]),
	}, nil
}

// DeliveryState is queued until the delivery is finished.
type DeliveryState string

// The states of a delivery.
const (
	DeliveryQueued    DeliveryState = "queued"
	DeliveryDelivered DeliveryState = "delivered" // the endpoint answered 2xx
	DeliveryDead      DeliveryState = "dead"      // given up; kept, and replayable while its body is
	DeliveryCanceled  DeliveryState = "canceled"  // its endpoint was deleted
)

// Reason says in one word why a delivery is in its state.
type Reason string

// Why a delivery is queued.
const (
	ReasonLaneFull Reason = "lane_full" // more came than the endpoint takes at once
	ReasonGate     Reason = "gate"      // the endpoint's gate is closed, or it is paused or disabled
	ReasonHold     Reason = "hold"      // it waited or ran for max_hold, or its stream was given up
	ReasonRetry    Reason = "retry"     // its last attempt failed
	ReasonManual   Reason = "manual"    // somebody asked for it
)

// Why a delivery is dead or canceled.
const (
	ReasonExhausted Reason = "exhausted" // its retry policy ended
	ReasonExpired   Reason = "expired"   // still queued when its body went out of retention
	ReasonOverflow  Reason = "overflow"  // the endpoint had max_queued already
	ReasonRefused   Reason = "refused"   // policy forbids the request: a denied address, http
	ReasonDeleted   Reason = "deleted"   // the endpoint was deleted
)

// Queued is a row of the queue: a delivery that was not finished at once.
type Queued struct {
	ID           DeliveryID
	Size         int           // bytes of the event's body
	Attempt      int           // attempts made, one that still runs included
	FirstAttempt time.Time     // when the first attempt began; zero: none was made
	NextAt       time.Time     // due from then on; a store may raise it to its own time when it writes the row
	HeldUntil    time.Time     // an attempt may run until then elsewhere: never due before; zero: none
	Reason       Reason        // why it is queued
	LastStatus   int           // HTTP status of the last failed attempt; 0: none came
	LastError    string        // of the last failed attempt; ≤ 512 bytes of printable UTF-8
	QueuedAt     time.Time     // when it was first queued; set by the store if zero
	LastDuration time.Duration // of the last failed attempt
}

// Outcome is the end of a delivery, as the history keeps it.
type Outcome struct {
	ID           DeliveryID
	State        DeliveryState // delivered, dead or canceled
	Reason       Reason        // empty when delivered
	Attempts     int           // made in all
	FirstAttempt time.Time     // when the first began; zero: none
	FinishedAt   time.Time
	LastStatus   int           // HTTP status of the last attempt; 0: none came, or no attempt
	LastError    string        // of the last attempt; empty when delivered
	LastDuration time.Duration // of the last attempt
}

// Retry moves a delivery that is queued on after its attempt failed.
type Retry struct {
	ID           DeliveryID
	Attempt      int // the one that failed: does nothing if the row has seen a later one
	FirstAttempt time.Time
	NextAt       time.Time
	Reason       Reason
	LastStatus   int
	LastError    string
	LastDuration time.Duration
}

// Attempt is one failed attempt, kept for people to look at. (A success is told by its Outcome alone.)
type Attempt struct {
	ID       DeliveryID
	Number   int // from 1
	Started  time.Time
	Duration time.Duration
	Status   int    // 0: no answer
	Error    string // ≤ 512 bytes of printable UTF-8
	Excerpt  []byte // of the response body, ≤ 16 KiB
}
