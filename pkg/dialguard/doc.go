// Package dialguard is the only way out of Sluice: it opens every outbound connection to addresses that people
// configured (endpoints, later key sets of providers) and refuses the ones that lead inside.
//
// What counts is the address a connection is made to, so the check stands after name resolution and directly before
// connect(2): a name that changes its mind between two look-ups, a number written in an odd way and a redirect all meet
// it. CheckURL says early, when something is configured, what can be said without a look-up.
//
// # What is refused
//
// Addresses that are not globally routed unicast (loopback, private, link-local, documentation, multicast, the IPv6
// forms that carry an IPv4 address), those of cloud metadata services, everything with a zone, the listeners of this
// very process, and ports of services that are not HTTP. An operator's network.allow opens addresses, never ports and
// never our own listeners. A host is refused whole when one of its addresses is: mixed answers are how a name is
// rebound.
//
// # What fails, and whose fault it is
//
//   - ErrDenied: policy. Trying again cannot help.
//   - ErrUnavailable: our own side cannot get out (no file descriptors, no route at all, no name server answers, too
//     many look-ups wait). Nothing is known about the host.
//   - Anything else (*net.DNSError, *net.OpError) is about the host.
package dialguard
