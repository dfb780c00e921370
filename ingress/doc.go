// Package ingress is the front door: it turns HTTP requests into events on the broker.
//
//	/in/SOURCE, /in/TENANT/SOURCE   a provider's webhook: route → limits → body → verify → describe → publish → answer
//	POST /v1/events                 one event, or an array of them, from a publisher with a key
//
// # What an answer means
//
// A 2xx says that the broker has the event durably, or that a challenge was met, which is no event. Whatever else happens
// is answered otherwise, and an outcome that is not known is a 503. Nothing is published before the source's scheme has
// verified the request, signatures over the exact bytes of the body. One function, classify, maps errors to answers.
//
// # What fails
//
//   - The broker refuses: 503 with Retry-After at once. The broker is slow: the same after 2.5 s, or half a second
//     before the provider would give up, whichever is sooner.
//   - Memory for bodies is used up: 503 with Retry-After after a quarter of a second. The budget is shared with the rest
//     of the process, so a request takes from it only as its body comes, never for a length it declares.
//   - The store is down: nothing changes here. Sources, secrets and keys come from a snapshot that others keep.
//   - A source cannot be checked (its preset is not known, its secrets cannot be read): 503, so that the provider tries
//     again when that is repaired, and one warning.
//   - Clients that are slow, many, or send too much: closed or refused at the limits of Config and of the constants in
//     body.go and server.go, before more than those limits is read.
//
// A live source never answers 404 or 410, which make some providers delete the webhook; so an unknown configuration is a
// 503 as well.
package ingress
