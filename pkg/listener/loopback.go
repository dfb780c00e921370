package listener

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// CheckAddress reports what is wrong with an address to listen on: want "HOST:PORT", HOST an IP address, "localhost",
// another name of this machine, or nothing for all of its addresses; PORT 0 lets the kernel choose.
func CheckAddress(addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return errors.New(`want HOST:PORT, such as 127.0.0.1:8081, or :8081 for all addresses`)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("port " + strconv.Quote(port) + " is not a number from 0 to 65535")
	} else if strconv.FormatUint(n, 10) != port {
		return errors.New("write the port as " + strconv.FormatUint(n, 10))
	}
	if strings.ContainsAny(host, " \t/?#@") {
		return errors.New("host " + strconv.Quote(host) + " is neither an address nor a name")
	}
	return nil
}

// Loopback reports whether addr, "HOST:PORT", is reachable from this machine alone. A name other than localhost is not
// known to be.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	return err == nil && loopbackName(host)
}

// LoopbackHost reports whether a request with this Host header was meant for a loopback listener. A browser that was
// lured to another site, whose name then resolves to 127.0.0.1 (DNS rebinding), sends that site's name.
func LoopbackHost(header string) bool {
	host, _, err := net.SplitHostPort(header)
	if err != nil { // no port
		host = strings.TrimSuffix(strings.TrimPrefix(header, "["), "]")
	}
	return loopbackName(host)
}

func loopbackName(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
