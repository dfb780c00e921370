// Package sqlite is the embedded message broker: one SQLite file, for one process.
//
// # Words
//
// A topic has a fixed number of streams. A message belongs to one stream, by the hash of its key; unkeyed messages of
// one commit share a stream. Its position counts from 0 within its stream. A row holds the messages of one stream that
// were committed together, up to 256 KiB of them. A group has one committed position per stream: everything below is
// settled. A stream's floor is the lowest committed position of all groups that ever consumed the topic: everything below
// it is deleted, in steps. Groups are remembered; a topic nobody ever consumed keeps everything.
//
// # Parts
//
// One goroutine, the writer, has the only connection that writes. It takes whatever publishers handed in while the last
// commit ran, gives each message its position and commits all of them with one fsync; then it tells consumers. In the
// same transactions go committed positions (every CommitEvery) and the deletion of rows below the floor. Another goroutine
// copies the write-ahead log into the database file, so that commits need not wait for it.
//
// Each stream that a consumer owns has a pump, a goroutine that calls the handler. A pump that keeps up gets messages from
// the stream's tail, the most recent ones in memory; one that lags reads rows. Both are bounded by the pump's window
// (broker.Window) and by the byte budget.
//
// # What is authoritative
//
// The file, and the memory of the one process that may open it. The lock file PATH.lock keeps others out. A position in the
// file may be behind what is settled, by CommitEvery, never ahead.
//
// # What fails
//
//   - Killed: what Publish returned nil for is in the file. Messages settled in the last CommitEvery come again.
//   - Disk full: Publish returns broker.ErrUnavailable at once, consumption goes on. Below MinFree bytes of free disk
//     nothing is published that needs the file to grow, so that settling and deleting always can.
//   - I/O error while committing: broker.ErrAmbiguous. No handle is trusted afterwards: all are closed, the file is opened
//     anew, and nothing is published until the log was copied into the database file and that was synced.
//   - A row that is not what was written (each message has a checksum that covers its position): what is damaged is kept in
//     table damaged, logged and reported as a gap, never handed out.
//   - A file whose structure is damaged: Open, or Run, returns an error that says what to do.
//
// # Figures
//
// One row per commit and stream, instead of one per message, halves the writer's CPU (6.5 instead of 12 µs per message of
// 1 KiB in commits of 64). Pages of 4 KiB: larger ones cost 10 % more in small commits and save nothing in large ones.
// auto_vacuum costs 15 % and is off: freed pages are used again, the file stays as large as its backlog ever was.
package sqlite
