package dialguard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Limits of name resolution.
const (
	lookupTimeout  = 3 * time.Second
	keepFound      = 30 * time.Second
	keepFailed     = 5 * time.Second
	maxLookups     = 64   // at once
	maxSlowLookups = 16   // of those, of hosts whose last look-up ran into the timeout
	maxCached      = 8192 // hosts
)

// resolver looks names up: one look-up a host at a time, a bounded number at once, answers kept for a while. Hosts whose
// name servers are silent have few of the places, so that they cannot take them all.
type resolver struct {
	lookupHost func(ctx context.Context, host string) ([]netip.Addr, error)
	timeout    time.Duration
	places     chan struct{}
	slowPlaces chan struct{}

	mu    sync.Mutex
	hosts map[string]*answer
}

// answer is what is known about one host. Its result is fixed once done is closed; until then one caller asks.
type answer struct {
	done  chan struct{}
	addrs []netip.Addr
	err   error
	until time.Time // ask again from then on
	slow  bool      // the last look-up ran into the timeout
}

func newResolver() *resolver {
	return &resolver{
		lookupHost: newNameServers(new(net.Dialer).DialContext).lookup,
		timeout:    lookupTimeout,
		places:     make(chan struct{}, maxLookups),
		slowPlaces: make(chan struct{}, maxSlowLookups),
		hosts:      make(map[string]*answer),
	}
}

// lookup returns the addresses of host, at least one. They belong to the resolver.
func (r *resolver) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	for {
		a, asker := r.get(host, time.Now())
		if asker {
			r.ask(ctx, host, a)
		}
		select {
		case <-a.done:
		case <-ctx.Done():
		}
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("look up the host: %w", ctx.Err())
		case errors.Is(a.err, errGaveUp):
			continue // whoever asked had to leave: it says nothing about the host
		}
		return a.addrs, a.err
	}
}

// errGaveUp is the result of a look-up whose asker's context ended first.
var errGaveUp = errors.New("the look-up was given up")

// get returns the answer for host, and whether the caller is the one to ask for it.
func (r *resolver) get(host string, now time.Time) (_ *answer, asker bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.hosts[host]
	if old != nil && (!old.isDone() || now.Before(old.until)) {
		return old, false
	}
	if old == nil && len(r.hosts) >= maxCached {
		r.evictLocked(now)
	}
	a := &answer{done: make(chan struct{}), slow: old != nil && old.slow}
	r.hosts[host] = a
	return a, true
}

// evictLocked makes room for one host: of a few (a map yields them in random order) all whose time is over leave, or
// else any one that nobody waits for.
func (r *resolver) evictLocked(now time.Time) {
	var victim string
	looked := 0
	for host, a := range r.hosts {
		if !a.isDone() {
			continue
		}
		if victim = host; !now.Before(a.until) {
			delete(r.hosts, host)
		}
		if looked++; looked == 64 {
			break
		}
	}
	if len(r.hosts) >= maxCached {
		delete(r.hosts, victim)
	}
}

func (a *answer) isDone() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

// ask looks host up and completes a.
func (r *resolver) ask(ctx context.Context, host string, a *answer) {
	defer close(a.done)
	limited, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	leave, err := r.enter(limited, a.slow)
	if err == nil {
		a.addrs, a.err = r.lookupHost(limited, host)
		leave()
	} else {
		a.err = fmt.Errorf("%w: too many names are being looked up", ErrUnavailable)
	}
	now := time.Now()
	switch {
	case a.err == nil:
		a.until, a.slow = now.Add(keepFound), false
	case ctx.Err() != nil:
		a.err = errGaveUp
	default:
		a.until, a.slow = now.Add(keepFailed), isTimeout(a.err)
	}
}

func isTimeout(err error) bool {
	failed, ok := errors.AsType[*net.DNSError](err)
	return ok && failed.IsTimeout
}

// enter waits for a place. Whoever was slow last time waits for one of the few for the slow, too.
func (r *resolver) enter(ctx context.Context, slow bool) (leave func(), err error) {
	taken := make([]chan struct{}, 0, 2)
	leave = func() {
		for _, c := range taken {
			<-c
		}
	}
	wanted := []chan struct{}{r.places}
	if slow {
		wanted = []chan struct{}{r.slowPlaces, r.places}
	}
	for _, c := range wanted {
		select {
		case c <- struct{}{}:
			taken = append(taken, c)
		case <-ctx.Done():
		}
		if ctx.Err() != nil { // also when a place came too late
			leave()
			return nil, ctx.Err()
		}
	}
	return leave, nil
}
