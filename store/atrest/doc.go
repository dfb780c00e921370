// Package atrest is what rows of all SQL stores have in common: encodings of what is no column of its own, the sealing
// of secrets for the row that they belong to, and what a configuration file changes of what is stored.
package atrest
