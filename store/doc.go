// Package store is the contract of what Sluice remembers: configuration, the queue, gates and shards, history, keys.
// It holds one file per noun, each with its type and the small interface of whoever needs it; SQL lives in store/sqlite
// and store/postgres alone, and package storetest proves both.
//
// # States
//
// A delivery is queued (a row of the queue), then finished (a row of the history): delivered, dead or canceled.
// Outcomes only move up: queued < dead, canceled < delivered. Every write is idempotent, so a batch whose outcome is
// unknown is simply written again.
//
// # What is authoritative
//
// The queue says what is still owed. An event that has a row in the history has been recorded, which a dispatcher asks
// before it works on a message that may have come before. Gates and shards are agreements between dispatchers; a stale
// one costs speed, never an event.
//
// # Rules for all interfaces
//
// Methods are safe for concurrent use and honour their context. Times are UTC, whole milliseconds. Slices and maps that
// are returned belong to the caller; those handed in must not be changed until the call returns. Errors wrap the
// sentinels of errors.go; any other error is an outage: the caller may repeat the call.
package store
