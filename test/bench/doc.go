// Command bench measures the real sluice binary on one machine: an open-loop generator signs webhooks and posts them to
// the ingress of `sluice serve`, a receiver takes what comes out, and a bare relay doing the same work without keeping a
// history gives the limit of the machine.
//
//	bench [flags] load | postgres | isolation | backlog | all
//
// The scenario postgres is the scenario load with Sluice's store in PostgreSQL: the installed server, started for the run
// and durable, or one that a URL names. Its limit is the same relay, which then writes the rows of the event and of its
// delivery too, in as few transactions as keep up: no claims, no queue, no look-ups. The server's CPU is that of its first
// process and of all that it has started, known when it runs on this machine.
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
