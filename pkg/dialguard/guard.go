package dialguard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// ErrDenied is wrapped by every refusal that is policy: the address, port or scheme is not allowed.
var ErrDenied = errors.New("not allowed")

// ErrUnavailable is wrapped by every failure that is our own side's: nothing was learned about the host.
var ErrUnavailable = errors.New("no way out")

// Limits of one dial.
const (
	connectTimeout = 5 * time.Second
	fallbackDelay  = 300 * time.Millisecond // before the next address is tried beside one that does not answer (RFC 8305)
	maxAddresses   = 16                     // of a host that are tried; all are checked
)

// Guard decides which addresses may be reached, and opens connections to them. It is immutable and safe for
// concurrent use. It needs no closing.
type Guard struct {
	allow     []netip.Prefix
	allowHTTP bool
	own       []netip.AddrPort
	resolver  *resolver

	dialOne  func(ctx context.Context, target netip.AddrPort) (net.Conn, error) // to an address that was checked
	hasRoute func() bool
}

// New returns the guard of cfg, which must be valid. own are the addresses this process listens on: they are refused
// however they are written and whatever is allowed. One without an address (":8080") stands for all of this machine's,
// as they are now.
func New(cfg Config, own ...netip.AddrPort) (*Guard, error) {
	allow, problems := cfg.prefixes()
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	listeners, err := expandOwn(own)
	if err != nil {
		return nil, err
	}
	g := &Guard{allow: allow, allowHTTP: cfg.AllowHTTP, own: listeners, resolver: newResolver(), hasRoute: hasRoute}
	g.dialOne = g.dialTCP
	return g, nil
}

// expandOwn replaces unspecified addresses by those of the machine's interfaces.
func expandOwn(own []netip.AddrPort) ([]netip.AddrPort, error) {
	var out []netip.AddrPort
	for _, ap := range own {
		if ap.Addr().IsValid() && !ap.Addr().IsUnspecified() {
			out = append(out, netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port()))
			continue
		}
		addrs, err := net.InterfaceAddrs()
		if err != nil {
			return nil, fmt.Errorf("read the addresses of this machine, to refuse deliveries to its listeners: %w", err)
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				out = append(out, netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), ap.Port()))
			}
		}
	}
	return out, nil
}

// Check returns nil if connections to ap are allowed, and an error that wraps ErrDenied and says why otherwise.
func (g *Guard) Check(ap netip.AddrPort) error {
	addr := ap.Addr()
	if !addr.IsValid() || addr.Zone() != "" {
		return fmt.Errorf("%w: address %s has a zone or is none", ErrDenied, addr)
	}
	if deniedPort(ap.Port()) {
		return fmt.Errorf("%w: port %d is not one of a web server", ErrDenied, ap.Port())
	}
	addr = addr.Unmap() // ::ffff:10.0.0.1 connects to 10.0.0.1
	if g.isOwn(addr, ap.Port()) {
		return fmt.Errorf("%w: %s port %d is a listener of Sluice itself", ErrDenied, addr, ap.Port())
	}
	if _, ok := containing(g.allow, addr); ok {
		return nil
	}
	return checkAddr(addr)
}

func (g *Guard) isOwn(addr netip.Addr, port uint16) bool {
	if len(g.own) == 0 {
		return false
	}
	if addr.IsLoopback() || addr.IsUnspecified() { // a listener on all addresses hears all of 127.0.0.0/8; 0.0.0.0 connects to it
		return slices.ContainsFunc(g.own, func(ap netip.AddrPort) bool { return ap.Port() == port && ap.Addr().IsLoopback() })
	}
	return slices.Contains(g.own, netip.AddrPortFrom(addr, port))
}

func checkAddr(addr netip.Addr) error {
	denied := deniedIPv4
	if addr.Is6() {
		denied = deniedIPv6
	}
	if p, ok := containing(denied, addr); ok {
		return fmt.Errorf("%w: %s lies in %s (see network.allow)", ErrDenied, addr, p)
	}
	if addr.Is6() && (!globalIPv6.Contains(addr) || isatap(addr)) {
		return fmt.Errorf("%w: %s is not a global unicast address (see network.allow)", ErrDenied, addr)
	}
	return nil
}

// Control is a net.Dialer's ControlContext: it checks the address that connect(2) is about to get.
func (g *Guard) Control(_ context.Context, network, address string, _ syscall.RawConn) error {
	if network != "tcp4" && network != "tcp6" {
		return fmt.Errorf("%w: network %s, only TCP is", ErrDenied, network)
	}
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q is not an address", ErrDenied, address)
	}
	return g.Check(ap)
}
