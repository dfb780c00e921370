// Package egress makes one delivery attempt: it builds and signs the request, sends it through the dial guard, reads a
// bounded part of the answer, and classes what came of it. What follows from an outcome is the dispatcher's to decide.
//
// # One attempt
//
// What an endpoint's requests have in common (URL, headers, keys) is prepared once, as a target. A request is written
// in one piece to an HTTP/1.1 connection: an idle one if there is one that the endpoint has not closed, else a new one
// by way of pkg/dialguard. Redirects are never followed, nothing is decompressed, and of the answer at most 32 KiB of
// head and 64 KiB of body are read; a connection that has more to say is closed.
//
// # Never twice
//
// An attempt sends its request at most once. The one exception costs nothing: an idle connection that the endpoint had
// closed meanwhile is replaced if not a single byte went out on it. Once a byte has, the endpoint may have acted on it,
// so the attempt fails, and the dispatcher's retry policy is what tries again.
//
// # What an answer is
//
// An answer counts once it is whole, or 64 KiB of its body have come. Then its status decides, by the table in
// classify.go. One that breaks off, or does not end in time, is a failure whatever its status was.
//
// # Goroutines
//
// An idle connection costs a file descriptor and no goroutine. A timer closes what has been idle for 30 s; none serves
// longer than 10 minutes, so that a host that moves is followed.
package egress
