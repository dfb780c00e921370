// Package telemetry holds the names of what Sluice says about itself, in one place: keys of log fields, names of
// metrics, spans and span attributes; and it makes the logger and the tracer that cmd hands to every part.
//
// # Rules
//
// There are no globals: loggers, registries and tracers come in through constructors. Each part has one file here with
// its metric struct (ingress.go, dispatcher.go, …) named sluice_<part>_<what>_<unit>, in base units, counters ending in
// _total, labels from closed sets that exist at zero from the start. Ids, URLs and error texts are never labels.
//
// Bodies, query strings and secrets never reach a log, a metric or a span.
//
// # What fails
//
// Logging never blocks on anything but the writer it was given and never returns an error to the caller. Spans wait in
// a bounded queue; when the collector is slow or away they are dropped, and one warning says so until it is back.
package telemetry
