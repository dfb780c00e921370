// Package dispatcher consumes events, fans each out to the endpoints that subscribe to it, and acks its message once
// the event is settled: each delivery finished or durably queued, and that recorded.
//
// # The way of an event
//
// Handle (intake.go) decodes a batch, joins copies of events that are in flight already, looks the rest up in the store
// and matches them. Each delivery is offered to its endpoint's lane (endpoint.go). What the lane refuses is queued.
// Attempts (attempt.go) run on slots; what came of them is recorded (recorder.go). An event whose last delivery is
// recorded settles (event.go) and its leases are acked. Nothing is held for longer than max_hold (hold.go): what still
// waits or runs then is queued, and the event settles.
//
// # The way of a queued delivery
//
// Package due owns shards, asks for due rows of their endpoints and hands them to Take (queue.go), which loads the
// events and offers them to the same lanes. When a gate is closed (gate.go) that is the only way to the endpoint.
//
// # Locking
//
// One mutex guards lanes, slots, events in flight and the batch being formed. It is held for microseconds and never
// across I/O. Methods that need it held end in Locked. Acks and goroutine starts under it do not block.
//
// # What fails
//
//   - The store is down: Handle waits in its look-up, which pushes back on the stream; outcomes wait in the forming
//     batch, bounded by the deliveries that may be open; ownership of shards lapses and due rows are let go.
//   - The broker is down: queued deliveries go on.
//   - This process is killed: un-acked messages come again, and look-up skips what was recorded.
//   - A lease is lost: what waits is forgotten, for the next owner has it; successes are still recorded.
package dispatcher
