// Package broker is the contract that every message broker meets: publish durably, consume in groups with
// acknowledgements in any order, never pass what is unsettled. Package brokertest proves it for each adapter.
//
// Guarantees every adapter gives:
//
//   - Publish returns nil only when the broker has durably accepted the messages.
//   - Every accepted message is handed to each group until it is acked: no loss by a crash, a rebalance, a broker
//     fault or a restart. Duplicates are allowed after faults, and only then.
//   - The committed position of a stream never passes a message that is not acked, in whatever order acks come.
//   - Unsettled messages are bounded in number and bytes per stream; beyond that the adapter stops fetching that stream.
//   - A message that is not acked holds up nothing but its own stream, and that only once the window is full.
//
// What is un-acked when Run returns is given back to the group.
package broker

import (
	"context"
	"errors"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
)

// Broker is what cmd opens from broker.url.
type Broker interface {
	// Publisher returns the broker's publisher. It is shared: every call returns one with the same batches.
	Publisher() Publisher
	// Consumer returns a consumer of topic for group. Two consumers of one group share the topic's streams. A new group
	// starts with the oldest message that is kept; what every known group has settled need not be.
	Consumer(topic, group string) Consumer
	Caps() Caps
	// Check reports every problem `sluice check` should name: unreachable, not authorised, topics missing, unsafe
	// settings. Nil means it can publish and consume now.
	Check(ctx context.Context) error
	// Close stops publishing, waits for what is under way until ctx ends, and releases everything. Consumers must
	// have returned from Run before.
	Close(ctx context.Context) error
}

// Caps says how adapters differ.
type Caps struct {
	MaxMessage int  // bytes of body, key and headers of one message that Publish takes
	Ordered    bool // messages with one key arrive in publish order within their stream
}

// Header is one name and value of a message. Names are unique within a message. It is the same type that pkg/event
// encodes to, so nothing is copied between them.
type Header = event.Header

// Message is one message, to publish or consumed. It and what it points to are read-only once handed over.
type Message struct {
	Topic   string
	Key     []byte // ordering key; empty: none
	Headers []Header
	Body    []byte
	Time    time.Time // consumed: when the broker accepted it, UTC, ms. Ignored by Publish.
}

// Header returns the value of the header called name, and whether there is one.
func (m *Message) Header(name string) ([]byte, bool) {
	for i := range m.Headers {
		if m.Headers[i].Name == name {
			return m.Headers[i].Value, true
		}
	}
	return nil, false
}

// Size returns the bytes that count against Caps.MaxMessage and against windows.
func (m *Message) Size() int {
	n := len(m.Body) + len(m.Key)
	for i := range m.Headers {
		n += len(m.Headers[i].Name) + len(m.Headers[i].Value)
	}
	return n
}

// Publisher publishes. It is safe for concurrent use.
type Publisher interface {
	// Publish returns nil once all messages are durable. Otherwise it returns a PublishErrors that says which failed
	// and why, or, when none was tried, a plain error. When ctx ends first, messages already handed to the broker
	// are ErrAmbiguous. Concurrent calls share batches; there is no linger timer.
	Publish(ctx context.Context, msgs ...*Message) error
}

// Consumer consumes one topic for one group.
type Consumer interface {
	// Run consumes until ctx ends, then calls h.Revoke for all its streams, commits, leaves the group and returns nil.
	// Transient faults are retried inside; only permanent ones (credentials, bad configuration) return. The context
	// given to Revoke at the end ends after the adapter's drain time. Run may be called once.
	Run(ctx context.Context, h Handler) error
	// Lag says how far the group is behind, stream by stream. It works while Run runs and while it does not.
	Lag(ctx context.Context) ([]Lag, error)
}

// Handler takes what a Consumer consumes.
type Handler interface {
	// Handle takes the next messages of one stream, in stream order. Calls are serial per stream and concurrent
	// between streams. Blocking pushes back on that stream only; it has to end when the leases' Context is done. ls
	// must not be kept after Handle returns; the leases in it may. A panic is recovered and settles nothing: the
	// stream's leases end, and what is not settled is handed out again.
	Handle(ls []Lease)
	// Revoke says that exactly these streams are about to go. It returns when all their leases are settled or given
	// up, at the latest when ctx ends; the final commit follows. No Handle of these streams runs during or after it.
	Revoke(ctx context.Context, streams []string)
	// Gap says that messages of stream from position from up to and excluding to are gone without having been
	// consumed: retention overtook us. Consumption goes on behind it.
	Gap(stream, from, to string)
}

// Lease is one message on loan. Its methods are safe for concurrent use.
type Lease interface {
	Message() *Message
	// Stream names the ordered share of the topic that the message belongs to.
	Stream() string
	// Position names the message within its stream: the same at every redelivery, unique in the topic and stream.
	Position() string
	// Context is done when ownership is gone: revoked, expired, or the consumer stopped.
	Context() context.Context
	// Ack settles the message. It is idempotent, does not block, may come in any order, and does nothing once
	// ownership is gone.
	Ack()
}

// Lag is how far a group is behind in one stream.
type Lag struct {
	Stream    string
	Messages  int64     // accepted, and not passed by the committed position
	Unsettled int       // handed out by this consumer and not acked
	Oldest    time.Time // Time of the first message not passed by the committed position; zero if none
}

// Errors that Publish, Run and Check return, wrapped.
var (
	ErrTooLarge     = errors.New("message too large")                        // publishing it again cannot succeed
	ErrAmbiguous    = errors.New("outcome unknown, it may have been stored") // publishing it again may duplicate it
	ErrUnavailable  = errors.New("broker unavailable")                       // down, full or throttled: try again later
	ErrUnauthorized = errors.New("broker refuses our credentials")           // permanent
	ErrUnknownTopic = errors.New("unknown topic")                            // permanent until someone creates it
	ErrClosed       = errors.New("broker closed")                            // after Close
)

// PublishErrors has one entry per message of the call; nil means that message is durable.
type PublishErrors []error

// Error names how many failed and the first reason.
func (e PublishErrors) Error() string {
	failed, first := 0, error(nil)
	for _, err := range e {
		if err != nil {
			if failed++; first == nil {
				first = err
			}
		}
	}
	if first == nil {
		return "no message failed"
	}
	return first.Error() + moreFailed(failed, len(e))
}

// Unwrap returns the errors of the messages that failed.
func (e PublishErrors) Unwrap() []error {
	var out []error
	for _, err := range e {
		if err != nil {
			out = append(out, err)
		}
	}
	return out
}
