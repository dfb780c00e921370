package dialguard

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// maxURL is the longest URL taken, in bytes.
const maxURL = 2048

// CheckURL says whether requests to rawURL can be allowed, without looking its host up: scheme, user info, host, port,
// and the address if it names one. Policy wraps ErrDenied. The error names neither path nor query: they may be secret.
func (g *Guard) CheckURL(rawURL string) error {
	_, err := g.ParseURL(rawURL)
	return err
}

// ParseURL is CheckURL for who needs the URL afterwards. Its scheme and host are in lower case.
func (g *Guard) ParseURL(rawURL string) (*url.URL, error) {
	u, err := parseURL(rawURL)
	if err != nil {
		return nil, err
	}
	port, err := g.checkScheme(u)
	if err != nil {
		return nil, err
	}
	if err := g.checkHost(u, port); err != nil {
		return nil, err
	}
	u.Host = strings.ToLower(u.Host)
	return u, nil
}

func parseURL(rawURL string) (*url.URL, error) {
	if len(rawURL) > maxURL {
		return nil, fmt.Errorf("URL of %d bytes, at most %d are taken", len(rawURL), maxURL)
	}
	for i := range len(rawURL) {
		if c := rawURL[i]; c <= ' ' || c >= 0x7f {
			return nil, errors.New("URL with spaces, control characters or letters outside ASCII, write hosts as xn--… and percent-encode the rest")
		}
	}
	u, err := url.Parse(rawURL)
	switch {
	case err != nil:
		return nil, errors.New("not a URL, want one such as https://example.com/hooks") // err quotes the URL
	case u.Opaque != "" || u.Host == "":
		return nil, errors.New("URL without a host, want one such as https://example.com/hooks")
	case u.User != nil:
		return nil, errors.New("URL with a user name or password, set the endpoint's auth instead")
	case u.Fragment != "":
		return nil, errors.New("URL with a fragment, which is never sent: leave out # and what follows")
	}
	return u, nil
}

func (g *Guard) checkScheme(u *url.URL) (port uint16, err error) {
	switch u.Scheme {
	case "https":
		port = 443
	case "http":
		if !g.allowHTTP {
			return 0, fmt.Errorf("scheme http is %w, use https (see network.allow_http)", ErrDenied)
		}
		port = 80
	default:
		return 0, errors.New("URL with a scheme other than https and http")
	}
	if text := u.Port(); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return 0, errors.New("URL with a port that is not a number from 1 to 65535")
		}
		port = uint16(n)
	}
	return port, nil
}

func (g *Guard) checkHost(u *url.URL, port uint16) error {
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		return g.Check(netip.AddrPortFrom(addr, port))
	}
	if strings.HasPrefix(u.Host, "[") {
		return errors.New("URL with brackets around something that is no IPv6 address")
	}
	name, err := checkName(u.Hostname())
	switch {
	case err != nil:
		return err
	case deniedPort(port):
		return fmt.Errorf("%w: port %d is not one of a web server", ErrDenied, port)
	case name == "localhost" || strings.HasSuffix(name, ".localhost"): // RFC 6761: loopback, always
		return g.Check(netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port))
	}
	return nil
}

// checkName returns host in lower case without its final dot, or says why it is no host name: labels of 1 to 63
// letters, digits, hyphens and underscores, 253 in all, the last not a number. Resolvers other than ours read a
// number as an IPv4 address, in octal and hexadecimal too (WHATWG URL, "ends in a number").
func checkName(host string) (string, error) {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "" || len(name) > 253 {
		return "", errors.New("host name that is empty or longer than 253 characters")
	}
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return "", errors.New("host name with a label that is empty or longer than 63 characters")
		}
		for i := range len(label) {
			if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return "", errors.New("host name with other than letters, digits, hyphens, underscores and dots, write it as xn--…")
			}
		}
		last = label
	}
	if isNumber(last) {
		return "", errors.New("host that ends in a number, write an IPv4 address as four decimal numbers")
	}
	return name, nil
}

func isNumber(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return strings.Trim(label, "0123456789") == ""
}
