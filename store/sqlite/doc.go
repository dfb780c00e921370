// Package sqlite is the embedded store: one SQLite file in WAL mode, for one process that does everything.
package sqlite
