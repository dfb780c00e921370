// Command bench measures the real sluice binary on one machine: an open-loop generator signs webhooks and posts them to
// the ingress of `sluice serve`, a receiver takes what comes out, and a bare relay doing the same work without keeping a
// history gives the limit of the machine.
//
//	bench [flags] load | isolation | backlog | all
//
// Generator, receiver and relay are processes of their own (this binary, started again with a role), so that the CPU of
// each can be told apart. The driver talks to them in lines of JSON over their standard input and output; a role ends
// when its input does.
//
// The generator keeps a fixed schedule whatever comes back, and every latency counts from the moment the schedule names,
// not from when the request was written: a gateway that stalls is charged for all it kept waiting. Latency is known end to
// end because the moment travels in the body, and all processes read one clock.
//
// Everything stays on the loopback interface and is bounded in time. A table goes to standard output, the same figures as
// JSON to the directory of results.
package main
