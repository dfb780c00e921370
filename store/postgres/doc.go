// Package postgres is the store of a fleet: any number of processes on one PostgreSQL database.
//
// What is written per event goes in batches: one round trip and one transaction for everything a dispatcher has at that
// moment, each table by one statement over arrays (unnest), idempotent by ON CONFLICT. Arrays are encoded by hand, which
// costs a tenth of what reflection does. Statements name the types of their parameters, so none is prepared and a
// pooler in transaction mode may sit between; nothing else depends on a session either.
//
// The history is partitioned by the day of the event's id and dropped by partition. The queue, where rows change, is one
// table; see due.go for how it is read beside a million rows that may not go and dead ones that cannot be vacuumed.
//
// Times of the queue and of ownership are the database's, whatever the clocks of processes say.
package postgres
