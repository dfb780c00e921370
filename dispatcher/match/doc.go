// Package match says which endpoints an event goes to.
//
// An Index is compiled from all endpoints whenever the configuration changes and never changes itself, so any number of
// goroutines may match with it. It is a set of maps: for each tenant and source (and for each tenant and "any source")
// from the fixed text of a pattern to the endpoints that subscribe with it, sorted by ID. A match looks up the event's
// type, its parent, and each of its prefixes; it costs as many look-ups as the type has segments, plus the endpoints it
// finds. How many other endpoints there are does not matter.
//
// An event goes to an endpoint of its own tenant that has a subscription whose types (none means every type) and
// sources (none means every source) both take it, once, however many of its subscriptions do. An endpoint without
// subscriptions gets nothing. An endpoint that was created more than 3 s after the event was accepted does not get it;
// one that is paused or disabled does, and its deliveries wait in the queue.
package match
