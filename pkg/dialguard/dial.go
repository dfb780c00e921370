package dialguard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// DialContext connects to address ("host:port") by TCP, within 3 s for the name and 5 s for the connection. It has the
// shape of a transport's DialContext; network is "tcp". The address that is connected to was checked, and so was every
// other address of the host: one that is denied refuses them all. The errors are those of the package comment, or wrap
// ctx's when it ended first.
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if network != "tcp" {
		return nil, fmt.Errorf("%w: network %s, only tcp is", ErrDenied, network)
	}
	host, port, err := splitAddress(address)
	if err != nil {
		return nil, err
	}
	addrs, err := g.addresses(ctx, host)
	if err != nil {
		return nil, err
	}
	targets := make([]netip.AddrPort, len(addrs))
	for i, addr := range addrs {
		targets[i] = netip.AddrPortFrom(addr, port)
		if err := g.Check(targets[i]); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := g.dialFirst(ctx, targets[:min(len(targets), maxAddresses)])
	if err != nil {
		return nil, g.blame(err)
	}
	return conn, nil
}

func splitAddress(address string) (host string, port uint16, err error) {
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, fmt.Errorf("%w: address without a port", ErrDenied)
	}
	n, err := strconv.ParseUint(service, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%w: port is not a number from 1 to 65535", ErrDenied)
	}
	return host, uint16(n), nil
}

// addresses returns the addresses of host in the order they are to be tried, families alternating.
func (g *Guard) addresses(ctx context.Context, host string) ([]netip.Addr, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{addr}, nil
	}
	name, err := checkName(host)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDenied, err)
	}
	if strings.HasSuffix(host, ".") {
		name += "." // not to be completed by a search list
	}
	return g.resolver.lookup(ctx, name)
}

// dialFirst returns the first connection that stands. An address that has not answered after fallbackDelay is joined by
// the next, so that a family that leads nowhere costs little (RFC 8305). It returns when all it started has ended.
func (g *Guard) dialFirst(ctx context.Context, targets []netip.AddrPort) (net.Conn, error) {
	if len(targets) == 1 {
		return g.dialOne(ctx, targets[0])
	}
	ctx, cancel := context.WithCancel(ctx)
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	var (
		winner   net.Conn
		firstErr error
		started  int
		running  int
		next     = time.NewTimer(0)
	)
	defer next.Stop()
	defer cancel()
	for running > 0 || winner == nil && started < len(targets) {
		select {
		case <-next.C:
			if winner != nil || started == len(targets) {
				continue
			}
			target := targets[started]
			started, running = started+1, running+1
			go func() {
				conn, err := g.dialOne(ctx, target)
				results <- result{conn, err}
			}()
			next.Reset(fallbackDelay)
		case r := <-results:
			running--
			switch {
			case r.err == nil && winner == nil:
				winner = r.conn
				cancel()
			case r.err == nil:
				r.conn.Close() // the slower of two; nothing was sent on it
			default:
				if firstErr == nil || noWayThere(firstErr) { // whoever was reached has more to say
					firstErr = r.err
				}
				next.Reset(0)
			}
		}
	}
	if winner != nil {
		return winner, nil
	}
	return nil, firstErr
}

func (g *Guard) dialTCP(ctx context.Context, target netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{ControlContext: g.Control, FallbackDelay: -1}
	return d.DialContext(ctx, "tcp", target.String())
}

// ourFaults are the errors of socket(2) and connect(2) that say nothing about the other side: what this machine has of
// descriptors or memory is used up.
var ourFaults = []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}

// blame marks a failed connection as our own fault if it is. What may be so for good with this one host is not: nobody
// would count the attempts.
func (g *Guard) blame(err error) error {
	switch {
	case errors.Is(err, ErrDenied):
		return err
	case slices.ContainsFunc(ourFaults, func(fault error) bool { return errors.Is(err, fault) }):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL) && isIPv4(err): // out of local ports; of IPv6 it means that we have no such address
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	case noWayThere(err) && !g.hasRoute(): // with a route it is one host that has no address of a family we have
		return fmt.Errorf("%w: no route: %w", ErrUnavailable, err)
	}
	return err
}

// noWayThere reports whether err is about the network rather than about who is behind it.
func noWayThere(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.ENETDOWN) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

func isIPv4(err error) bool {
	failed, ok := errors.AsType[*net.OpError](err)
	if !ok {
		return false
	}
	addr, ok := failed.Addr.(*net.TCPAddr)
	return ok && addr.IP.To4() != nil
}

// hasRoute reports whether this machine has a route to the public internet, of either family. Connecting a UDP socket
// asks the routing table and sends nothing.
func hasRoute() bool {
	for _, addr := range []string{"1.1.1.1:53", "[2606:4700:4700::1111]:53"} {
		if conn, err := net.Dial("udp", addr); err == nil {
			conn.Close()
			return true
		}
	}
	return false
}
