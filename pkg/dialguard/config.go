package dialguard

import (
	"fmt"
	"net/netip"
	"strings"
)

// Config is the network section of the configuration.
type Config struct {
	// Allow lists CIDRs that requests may reach although they are denied by default, such as 10.0.0.0/8.
	Allow []string `yaml:"allow"`
	// AllowHTTP permits URLs with the scheme http.
	AllowHTTP bool `yaml:"allow_http"`
}

// Defaults returns the configuration of a network section that says nothing: https to public addresses.
func Defaults() Config { return Config{} }

// Validate returns every problem, each as "path: value: what is wrong, what to do", with paths below network.
func (c Config) Validate() []error {
	_, problems := c.prefixes()
	return problems
}

func (c Config) prefixes() (allow []netip.Prefix, problems []error) {
	for i, s := range c.Allow {
		p, err := parsePrefix(s)
		if err != nil {
			problems = append(problems, fmt.Errorf("network.allow[%d]: %q: %w", i, s, err))
			continue
		}
		allow = append(allow, p)
	}
	return allow, problems
}

func parsePrefix(s string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		return netip.Prefix{}, fmt.Errorf("an address, not a range, write %s/%d", addr, addr.BitLen())
	}
	p, err := netip.ParsePrefix(strings.TrimSpace(s))
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("not a CIDR, want one such as 10.0.0.0/8")
	case p.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("an IPv4 range in IPv6 form, write it as IPv4")
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("has bits set beyond its length, write %s", p.Masked())
	}
	return p, nil
}
