package dialguard

import (
	"net/netip"
	"slices"
)

// deniedIPv4 is the IANA IPv4 Special-Purpose Address Registry (RFC 6890 and later) with multicast, and the one public
// address that serves instance metadata. The IPv4 forms of a cloud's metadata service (169.254.169.254,
// 100.100.100.200) lie in these ranges.
var deniedIPv4 = prefixes(
	"0.0.0.0/8",          // this network; 0.0.0.0 connects to loopback on Linux
	"10.0.0.0/8",         // private
	"100.64.0.0/10",      // shared (carrier-grade NAT)
	"127.0.0.0/8",        // loopback
	"168.63.129.16/32",   // Azure WireServer
	"169.254.0.0/16",     // link-local
	"172.16.0.0/12",      // private
	"192.0.0.0/24",       // IETF protocol assignments
	"192.0.2.0/24",       // documentation
	"192.31.196.0/24",    // AS112
	"192.52.193.0/24",    // AMT
	"192.88.99.0/24",     // 6to4 relays
	"192.168.0.0/16",     // private
	"192.175.48.0/24",    // AS112
	"198.18.0.0/15",      // benchmarking
	"198.51.100.0/24",    // documentation
	"203.0.113.0/24",     // documentation
	"224.0.0.0/4",        // multicast
	"240.0.0.0/4",        // reserved, and limited broadcast
	"255.255.255.255/32", // broadcast, said aloud
)

// globalIPv6 is all of IPv6 that is assigned as global unicast. Everything outside is denied, deniedIPv6 inside it too.
var globalIPv6 = netip.MustParsePrefix("2000::/3")

// deniedIPv6 is the IANA IPv6 Special-Purpose Address Registry and every form that carries an IPv4 address. What lies
// outside 2000::/3 would be denied without being named; it is named for the error to say why.
var deniedIPv6 = prefixes(
	"::/96",             // unspecified, loopback, IPv4-compatible
	"::ffff:0:0:0/96",   // IPv4-translated (SIIT)
	"64:ff9b::/96",      // NAT64
	"64:ff9b:1::/48",    // NAT64, local use
	"100::/64",          // discard
	"2001::/23",         // IETF protocol assignments, with Teredo and ORCHID
	"2001:db8::/32",     // documentation
	"2002::/16",         // 6to4
	"2620:4f:8000::/48", // AS112
	"3fff::/20",         // documentation
	"5f00::/16",         // segment routing
	"fc00::/7",          // unique local
	"fe80::/10",         // link-local
	"fec0::/10",         // site-local
	"ff00::/8",          // multicast
)

// deniedPorts are ports on which something listens that takes lines of text it was not meant to get (mail, FTP, IRC,
// Redis, memcached) or that is never a web server (SSH, databases, Kafka). Chosen from the "bad ports" of the Fetch
// standard, and the data stores that came after it.
var deniedPorts = []uint16{
	21, 22, 23, 25, 53, 110, 119, 143, 389, 445, 465, 514, 587, 636, 993, 995,
	1433, 1521, 3306, 3389, 5060, 5061, 5432, 6379, 6667, 6697, 9092, 11211, 27017,
}

func deniedPort(port uint16) bool { return port == 0 || slices.Contains(deniedPorts, port) }

func prefixes(ss ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(ss))
	for i, s := range ss {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

func containing(list []netip.Prefix, addr netip.Addr) (netip.Prefix, bool) {
	for _, p := range list {
		if p.Contains(addr) {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// isatap reports whether the interface identifier of addr is that of ISATAP (RFC 5214), which ends in an IPv4 address.
func isatap(addr netip.Addr) bool {
	b := addr.As16()
	return (b[8] == 0 || b[8] == 2) && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}
