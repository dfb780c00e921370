// Package egress makes one delivery attempt: it builds and signs the request, sends it through the dial guard, reads a
// bounded part of the answer, and classes what came of it. What follows from an outcome is the dispatcher's to decide.
package egress
