//go:build !race

package sqlite

const manyRows, manyEvents = 1_000_000, 400
