package main

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// endpoint is one endpoint of the receiver and all that is known of what arrived there.
type endpoint struct {
	behave   atomic.Pointer[behavior]
	inFlight counter
	requests atomic.Int64

	seen         []uint64 // bit by event number
	foreign      atomic.Int64
	badSignature atomic.Int64
	broken       atomic.Int64

	mu      sync.Mutex
	arrived []uint32 // requests, by ticks since the receiver began
	windows []*window
}

// tick is the resolution of the trace of arrivals.
const tick = 100 * time.Millisecond

// window counts the events numbered From to To, To excluded, at one endpoint.
type window struct {
	windowArgs
	latencies *latencies
	unique    atomic.Int64
	duplicate atomic.Int64
}

type windowArgs struct {
	ID       int   `json:"id"`
	From, To int64 // event numbers
}

func newEndpoint(events int64) *endpoint {
	e := &endpoint{seen: make([]uint64, events/64+1)}
	e.behave.Store(&behavior{Mode: behaveOK})
	return e
}

// began notes that a request arrived so long after the receiver began, and that it is in flight.
func (e *endpoint) began(since time.Duration) {
	e.inFlight.Add(1)
	at := int(since / tick)
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.arrived) <= at {
		e.arrived = append(e.arrived, 0)
	}
	e.arrived[at]++
}

// took notes a delivery that is about to be answered 2xx.
func (e *endpoint) took(body []byte, now time.Time) {
	seq, due, ok := parseBody(body)
	if !ok || seq < 0 || seq/64 >= int64(len(e.seen)) {
		e.foreign.Add(1)
		return
	}
	bit := uint64(1) << (seq % 64)
	first := atomic.OrUint64(&e.seen[seq/64], bit)&bit == 0
	w := e.window(seq)
	switch {
	case w == nil: // of no interest
	case first:
		w.unique.Add(1)
		w.latencies.record(now.Sub(time.Unix(0, due)))
	default:
		w.duplicate.Add(1)
	}
}

// window returns the newest window that event seq falls into.
func (e *endpoint) window(seq int64) *window {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := len(e.windows) - 1; i >= 0; i-- {
		if w := e.windows[i]; w.From <= seq && seq < w.To {
			return w
		}
	}
	return nil
}

// brokenUnless counts a connection that broke other than between two requests.
func (e *endpoint) brokenUnless(err error) {
	if !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		e.broken.Add(1)
	}
}

// trace returns the arrivals by tick from a Unix time in ns on.
func (e *endpoint) trace(from int64, begin time.Time) []uint32 {
	at := max(0, int(time.Unix(0, from).Sub(begin)/tick))
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]uint32{}, e.arrived[min(at, len(e.arrived)):]...)
}

type traceArgs struct {
	Endpoint int   `json:"endpoint"`
	From     int64 `json:"from"`
}

// open opens a window at every endpoint. Only the newest few are kept.
func (rc *receiver) open(args windowArgs) {
	const kept = 8
	for _, e := range rc.endpoints {
		e.mu.Lock()
		if len(e.windows) == kept {
			e.windows = e.windows[1:]
		}
		e.windows = append(e.windows, &window{windowArgs: args, latencies: newLatencies()})
		e.mu.Unlock()
	}
}

type statsArgs struct {
	Window    int   `json:"window"`
	Endpoints []int `json:"endpoints"` // none: all
	Quantiles bool  `json:"quantiles"` // costs a merge
}

// arrivals is what a window of some endpoints holds, and what those endpoints have seen in all.
type arrivals struct {
	Delivered    int64     `json:"delivered"` // different events, per endpoint
	Duplicates   int64     `json:"duplicates"`
	Foreign      int64     `json:"foreign"`
	BadSignature int64     `json:"bad_signature"` // of those sampled
	Broken       int64     `json:"broken"`
	PeakInFlight int64     `json:"peak_in_flight"`
	Latency      quantiles `json:"latency"` // due → arrived
}

func (rc *receiver) stats(args statsArgs) arrivals {
	var out arrivals
	var ls []*latencies
	if len(args.Endpoints) == 0 {
		for i := range rc.endpoints {
			args.Endpoints = append(args.Endpoints, i)
		}
	}
	for _, i := range args.Endpoints {
		e := rc.endpoints[i]
		out.Foreign += e.foreign.Load()
		out.BadSignature += e.badSignature.Load()
		out.Broken += e.broken.Load()
		out.PeakInFlight = max(out.PeakInFlight, e.inFlight.peak.Load())
		e.mu.Lock()
		windows := append([]*window{}, e.windows...)
		e.mu.Unlock()
		for _, w := range windows {
			if w.ID == args.Window {
				out.Delivered += w.unique.Load()
				out.Duplicates += w.duplicate.Load()
				ls = append(ls, w.latencies)
			}
		}
	}
	if args.Quantiles {
		out.Latency = quantilesOf(ls...)
	}
	return out
}
