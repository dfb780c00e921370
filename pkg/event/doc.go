// Package event is the event as every part of Sluice sees it, its identity, and its forms outside the process.
//
//   - Encode and Decode: a message on the broker, a CloudEvents 1.0 event in binary mode (message.go, request.go).
//   - ParsePublished: what publishers send to POST /v1/events, in Sluice's own JSON or as CloudEvents (publish.go).
//   - EncodeStructured and DecodeStructured: one JSON document, application/cloudevents+json (structured.go).
//
// Whatever form it takes, the body stays byte for byte what came in: it is never parsed into values and printed again.
// Decode∘Encode and DecodeStructured∘EncodeStructured are the identity for every event that Validate accepts, so two
// readers of one message have the same event in every field.
//
// # What fails
//
// Readers trust nothing: sizes, nesting and numbers of members are bounded before anything is allocated for them, and
// each refusal names the member and what would be right. A refused message is the caller's to keep: ingress answers
// 400, a dispatcher puts it into quarantine.
package event
