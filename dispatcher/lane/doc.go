// Package lane decides when the next attempt to an endpoint may start. It starts nothing itself: no goroutine, no timer,
// no lock. Whoever calls it holds one lock over everything here and passes the time in, so each decision can be tested
// as arithmetic. (One clock is read inside: gobreaker, which counts failures for the breaker, calls time.Now.)
//
// # Lane
//
// A Lane is one endpoint's place in a dispatcher. Fresh deliveries (straight from the broker) and due ones (rows of the
// queue) wait in a queue each, at most 256 or 1 MiB, and start alternately. Four things hold a start back, and Wake
// tells when they will let go by themselves:
//
//	limit    attempts at once: 4, doubling per round of successes until the first failure; then +1 per round, ×0.7 on a
//	         failure or a throttle at most once a second; from 1 to 64, or to the endpoint's max_in_flight
//	bucket   the endpoint's rate_limit; empty in a new lane
//	gate     while closed: not before a time, then probes, then the ramp
//	ramp     after the probe: at most twice the mean rate of the last ten seconds, and one a second always
//
// The breaker holds nothing back. It only says, by Done, that the gate should close: 5 failures in a row over 10 s or
// more, or half of at least 20 results within a minute; it says so at a failure. The caller then picks a wait
// (GateWait), calls Close and has the gate written to the store, whose row is authoritative.
//
// # The gate's phases
//
//	           Close (from anywhere)
//	             │
//	             ▼          notBefore is past,
//	open       shut ──────── nothing runs ───────▶ probing
//	 ▲          ▲ ▲                                  │ │
//	 │          │ └──── the probe ended otherwise ───┘ │ it succeeded
//	 │          │                                      ▼
//	 │          └──────── the breaker tripped ────── ramping
//	 └───────────────────────── Open ──────────────────┘ (from anywhere)
//
// Results do not say which attempt they belong to, so a probe waits until all that ran when the gate closed have ended:
// then the next result is its own. A probe that neither succeeded nor failed (it was throttled, or ended by our own
// doing) is followed by the next a second after it started. After a failed probe, or when the breaker trips during the
// ramp, the lane waits 15 s by itself until Close says how long. Open is for MayOpen to advise and for the caller to
// decide: other processes have a say.
//
// An exclusive lane takes no fresh deliveries: only the shard's owner may send to an endpoint with limits of its own. Its
// gate opens and closes for failures as any other, but while it is open there is neither probe nor ramp.
//
// What a lane knows is lost with the process, and when it is dropped (Idle). That costs speed, never a delivery: it
// starts again at limit 4, with no failures counted and, where there is a rate limit, without tokens.
//
// # Slots
//
// Slots are what lanes share: so many attempts at once in the process. Each endpoint has a Holder. An attempt takes a
// fast slot and gives it back when it ends, or when it has run for a second and there is a slow slot for it. Endpoints
// are proven for a minute by each attempt that takes less than a second; all unproven ones together get a quarter of the
// fast slots. Who is refused waits in line, fewest held slots first.
//
// To start what can be started of one lane:
//
//	for {
//		if at, ok := l.Wake(now); !ok || at.After(now) {
//			break // set a timer for at, if ok
//		}
//		if !slots.Take(&holder, now) {
//			break // Next will name it
//		}
//		item, _ := l.Start(now) // cannot fail after Wake
//		…
//	}
//
// and after each Give, Slow and Return: for h := slots.Next(now); h != nil; h = slots.Next(now), the same for its lane.
package lane
