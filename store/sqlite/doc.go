// Package sqlite is the embedded store: one SQLite file in WAL mode, for the one process that does everything. Others may
// open it beside that one to change the configuration.
//
// # The parts
//
// One writer commits: jobs that wait share a transaction, and its fsync if any of them must survive a power cut. A few
// connections read beside it, each in a transaction of one moment. One more connection is Seen's alone: claims wait in
// memory until the next transaction writes them, so that looking an event up waits for no commit. The log is moved into
// the database beside the writer, which only moves the last pages, between two transactions.
//
// # What is authoritative
//
// The file. Memory holds what it may lose: claims whose events are not recorded either, numbers of tenants, the number of
// the block that given ids go to. No other process may claim or record while one does; nothing else depends on there
// being one.
//
// # At each failure
//
// Disk full, I/O error, lock held for 5 s: an error that is not store.ErrData; nothing of the transaction is written, and
// the next one may succeed. Refused data (constraint, too big, no such state): store.ErrData for the job whose it is; the
// others of its transaction run again by themselves. Killed: the log is read back at the next start. Killed while it
// migrates: the step that was under way is run again. Another schema: Open refuses and says what to do. A secret that no
// key opens: store.ErrSealed for whoever reads that row.
//
// # What it costs
//
// Measured on two shared cores of a virtual machine (BenchmarkCommonEvent, 500 events of 1 KiB a batch, 100,000 in all):
// 27 to 30 µs of CPU an event (37 beside busy neighbours) and 1,590 bytes, of which Seen takes 4.5, the claim 4, event,
// body and delivery 12, and writing the log and the database the rest. At 500 single events a second
// (BenchmarkSteadyLoad) Seen takes 66 µs, p99 172 µs; Record 0.34 ms, p99 1 ms (7 beside busy neighbours). With a million
// rows queued for a dead endpoint (BenchmarkMillionQueued) opening takes 3 ms, Due over a hundred other endpoints 0.5 ms,
// Depths 0.1 ms.
//
// What was tried: through database/sql's driver the same rows take 5 µs more and each look-up 2.5 µs more (see conn). An
// index of all given ids, in random order, took 15 µs an event (see given_ids). Pages of 4 KiB take 3 µs more and 12 % more
// disk, pages of 16 KiB as much CPU and 8 % less disk, but twice the time for look-ups. Bodies WITHOUT ROWID took twice the
// CPU and three times the disk.
package sqlite
