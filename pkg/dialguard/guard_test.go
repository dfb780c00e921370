package dialguard

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
)

func TestAddressesThatLeadInsideAreRefused(t *testing.T) {
	t.Parallel()
	g := newGuard(t, Defaults())
	for _, addr := range []string{
		"127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1",
		"169.254.169.254", "169.254.170.2", "100.64.0.1", "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.0.2.1",
		"192.31.196.1", "192.52.193.1", "192.88.99.1", "192.175.48.1", "198.18.0.1", "198.19.0.1", "198.51.100.1", "203.0.113.1",
		"224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:a9fe:a9fe", "::ffff:0:7f00:1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1",
		"100::1", "100:0:0:1::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "2002:7f00:1::", "2620:4f:8000::1",
		"2600::5efe:7f00:1", "2600::200:5efe:7f00:1", "3fff::1", "4000::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1",
		"fe80::1%eth0", "2606:4700::1111%eth0",
	} {
		if err := g.Check(netip.AddrPortFrom(netip.MustParseAddr(addr), 443)); !errors.Is(err, ErrDenied) {
			t.Errorf("Check(%s) = %v, want ErrDenied", addr, err)
		}
	}
}

func TestPublicAddressesAreAllowed(t *testing.T) {
	t.Parallel()
	g := newGuard(t, Defaults())
	for _, addr := range []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.1", "126.255.255.255", "128.0.0.0", "168.63.129.15",
		"169.253.255.255", "172.15.255.255", "172.32.0.1", "192.0.1.1", "192.167.255.255", "198.17.255.255", "198.20.0.1", "223.255.255.255",
		"::ffff:8.8.8.8", "2606:4700::1111", "2a00:1450:4001:80b::200e", "2001:200::1", "2003::1",
	} {
		if err := g.Check(netip.AddrPortFrom(netip.MustParseAddr(addr), 443)); err != nil {
			t.Errorf("Check(%s) = %v, want nil", addr, err)
		}
	}
}

func TestAllowOpensItsRangeAlone(t *testing.T) {
	t.Parallel()
	g := newGuard(t, Config{Allow: []string{"10.1.0.0/16", "fd00::/8", "127.0.0.1/32"}})
	for addr, allowed := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "10.2.0.1": false, "fd12::1": true, "fc00::1": false, "127.0.0.1": true, "127.0.0.2": false,
		"64:ff9b::a01:203": false, // NAT64 of an allowed address goes another way
		"fd12::1%eth0":     false,
	} {
		if err := g.Check(netip.AddrPortFrom(netip.MustParseAddr(addr), 8443)); (err == nil) != allowed {
			t.Errorf("Check(%s) = %v, want allowed %v", addr, err, allowed)
		}
	}
}

func TestPortsOfOtherServicesAreRefusedEvenOnAllowedAddresses(t *testing.T) {
	t.Parallel()
	g := newGuard(t, Config{Allow: []string{"10.0.0.0/8"}})
	for _, port := range []uint16{0, 22, 25, 465, 587, 5432, 6379, 9092} {
		if err := g.Check(netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), port)); !errors.Is(err, ErrDenied) {
			t.Errorf("Check(10.0.0.1:%d) = %v, want ErrDenied", port, err)
		}
	}
	for _, port := range []uint16{80, 443, 3000, 8080, 8443, 40000} {
		if err := g.Check(netip.AddrPortFrom(netip.MustParseAddr("10.0.0.1"), port)); err != nil {
			t.Errorf("Check(10.0.0.1:%d) = %v, want nil", port, err)
		}
	}
}

func TestOurOwnListenersAreRefusedHoweverWritten(t *testing.T) {
	t.Parallel()
	own := []netip.AddrPort{netip.MustParseAddrPort("[::]:8080"), netip.MustParseAddrPort("127.0.0.1:8081"), netip.MustParseAddrPort("10.0.0.5:8443")}
	g, err := New(Config{Allow: []string{"0.0.0.0/0", "::/0"}}, own...)
	if err != nil {
		t.Fatal(err)
	}
	for target, allowed := range map[string]bool{
		"127.0.0.1:8080": false, "127.9.9.9:8080": false, "[::1]:8080": false, "[::ffff:127.0.0.1]:8080": false, "0.0.0.0:8080": false, "[::]:8080": false,
		"127.0.0.1:8081": false, "[::ffff:7f00:1]:8081": false, "0.0.0.0:8081": false,
		"10.0.0.5:8443": false, "[::ffff:10.0.0.5]:8443": false,
		"10.0.0.5:8444": true, "10.0.0.6:8443": true, "127.0.0.1:8082": true,
	} {
		if err := g.Check(netip.MustParseAddrPort(target)); (err == nil) != allowed {
			t.Errorf("Check(%s) = %v, want allowed %v", target, err, allowed)
		}
	}
}

func TestControlRefusesWhatIsNotTCPToAnAddress(t *testing.T) {
	t.Parallel()
	g := newGuard(t, Defaults())
	for _, c := range []struct{ network, address string }{
		{"udp4", "8.8.8.8:443"}, {"tcp", "8.8.8.8:443"}, {"unix", "/run/x"}, {"tcp4", "example.com:443"}, {"tcp4", "127.0.0.1:443"}, {"tcp6", "[fe80::1%eth0]:443"}, {"tcp4", ""},
	} {
		if err := g.Control(t.Context(), c.network, c.address, nil); !errors.Is(err, ErrDenied) {
			t.Errorf("Control(%q, %q) = %v, want ErrDenied", c.network, c.address, err)
		}
	}
	if err := g.Control(t.Context(), "tcp4", "8.8.8.8:443", nil); err != nil {
		t.Errorf("Control(tcp4, 8.8.8.8:443) = %v, want nil", err)
	}
}

func TestConfigNamesEveryProblemAndItsRemedy(t *testing.T) {
	t.Parallel()
	cfg := Config{Allow: []string{"10.0.0.0/8", "10.0.0.1/8", "10.0.0.5", "::ffff:10.0.0.0/104", "nonsense", ""}}
	want := []string{
		`network.allow[1]: "10.0.0.1/8": has bits set beyond its length, write 10.0.0.0/8`,
		`network.allow[2]: "10.0.0.5": an address, not a range, write 10.0.0.5/32`,
		`network.allow[3]: "::ffff:10.0.0.0/104": an IPv4 range in IPv6 form, write it as IPv4`,
		`network.allow[4]: "nonsense": not a CIDR, want one such as 10.0.0.0/8`,
		`network.allow[5]: "": not a CIDR, want one such as 10.0.0.0/8`,
	}
	problems := cfg.Validate()
	if len(problems) != len(want) {
		t.Fatalf("Validate() = %v, want %d problems", problems, len(want))
	}
	for i, err := range problems {
		if err.Error() != want[i] {
			t.Errorf("problem %d = %s\nwant %s", i, err, want[i])
		}
	}
	if _, err := New(cfg); err == nil {
		t.Error("New with invalid CIDRs = nil error")
	}
	if problems := Defaults().Validate(); len(problems) != 0 {
		t.Errorf("Defaults().Validate() = %v", problems)
	}
}

// The oracle knows nothing of the lists: it takes addresses apart with net/netip and finds the IPv4 address that a
// transition form carries.
func FuzzCheck(f *testing.F) {
	for _, addr := range []string{"127.0.0.1", "8.8.8.8", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::", "2606:4700::1111", "fe80::1", "2600::5efe:a00:1"} {
		f.Add(netip.MustParseAddr(addr).AsSlice(), uint16(443))
	}
	g := newGuard(f, Defaults())
	f.Fuzz(func(t *testing.T, b []byte, port uint16) {
		addr, ok := netip.AddrFromSlice(b)
		if !ok {
			return
		}
		err := g.Check(netip.AddrPortFrom(addr, port))
		if err != nil {
			if !errors.Is(err, ErrDenied) {
				t.Fatalf("Check(%s) = %v, want ErrDenied or nil", addr, err)
			}
			return
		}
		for _, a := range append(carried(addr), addr.Unmap()) {
			if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified() {
				t.Fatalf("Check(%s) = nil, although it leads to %s", addr, a)
			}
		}
		if port == 0 || port == 25 {
			t.Fatalf("Check(port %d) = nil", port)
		}
	})
}

// carried returns the IPv4 addresses that the IPv6 address addr may stand for.
func carried(addr netip.Addr) []netip.Addr {
	if !addr.Is6() || addr.Is4In6() {
		return nil
	}
	b := addr.As16()
	v4 := func(i int) netip.Addr { return netip.AddrFrom4([4]byte(b[i : i+4])) }
	var out []netip.Addr
	if binary.BigEndian.Uint16(b[:]) == 0x2002 { // 6to4
		out = append(out, v4(2))
	}
	if binary.BigEndian.Uint32(b[:]) == 0x20010000 { // Teredo: server, and client inverted
		client := binary.BigEndian.Uint32(b[12:]) ^ 0xffffffff
		out = append(out, v4(4), netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, client))))
	}
	if binary.BigEndian.Uint32(b[:]) == 0x0064ff9b || binary.BigEndian.Uint64(b[:]) == 0 || b[10] == 0x5e && b[11] == 0xfe && b[9] == 0 && b[8]&^2 == 0 {
		out = append(out, v4(12))
	}
	return out
}
