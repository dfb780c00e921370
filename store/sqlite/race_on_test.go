//go:build race

package sqlite

// The race detector makes SQLite, which is Go code here, twenty times slower.
const manyRows, manyEvents = 5_000, 100
