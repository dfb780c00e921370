// Package snapshot is the configuration as every process sees it: sources, endpoints and keys, whole and of one moment.
//
// # States
//
// A Watcher is loaded from the store or, while that is down, from the last good copy in the data directory; then Run
// keeps it current. Each change makes a new Snapshot, which never changes again. Rows that did not change keep their
// pointers from version to version, so a cache may be keyed by them.
//
// # What is authoritative
//
// The store. Confirmed says when it last said that Current is current; who must not act on an old configuration asks
// for that. A snapshot from a copy is confirmed by the first poll that reaches the store, which reads everything anew.
//
// # At each failure
//
// Store down: Current stays, Confirmed grows old, the next poll tries again. Copy not written: a warning; it is tried
// again. Copy damaged, or sealed with a key that is not here: as if there were none. Secrets in the store that no key
// opens: Load fails, because the copy would only hide that.
package snapshot
