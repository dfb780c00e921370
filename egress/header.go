package egress

import (
	"errors"
	"fmt"
	"strings"
)

// maxHeader bounds the value of one header, in bytes.
const maxHeader = 8 << 10

// reserved are the headers that make the request what it is: who sets them could split it, redirect it or sign it.
var reserved = map[string]bool{
	"host": true, "content-length": true, "transfer-encoding": true, "connection": true, "keep-alive": true, "te": true,
	"trailer": true, "upgrade": true, "expect": true,
}

// isReserved reports whether the header called name (in lower case) is not an endpoint's to set, nor forwarded.
func isReserved(name string) bool {
	return reserved[name] || strings.HasPrefix(name, "proxy-") || strings.HasPrefix(name, "webhook-") || strings.HasPrefix(name, "sluice-")
}

// checkHeader says why a header of an endpoint cannot be sent. The error does not hold the value: it may be secret.
func checkHeader(name, value string) error {
	switch {
	case !isToken(name):
		return errors.New("header with a name that is not a token, want letters, digits and hyphens")
	case isReserved(strings.ToLower(name)):
		return fmt.Errorf("header %s is set by Sluice itself", strings.ToLower(name))
	case len(value) > maxHeader:
		return fmt.Errorf("header %s: %d bytes, at most %d are sent", name, len(value), maxHeader)
	}
	for i := range len(value) {
		if isControl(value[i]) {
			return fmt.Errorf("header %s: value with control characters", name)
		}
	}
	return nil
}

// isToken reports whether s is a token of RFC 9110 §5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		if !tokenBytes[s[i]] {
			return false
		}
	}
	return s != ""
}

var tokenBytes = byteSet("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")

func byteSet(members string) (set [256]bool) {
	for i := range len(members) {
		set[members[i]] = true
	}
	return set
}

// isControl reports whether c may not stand in a header value.
func isControl(c byte) bool { return c < ' ' && c != '\t' || c == 0x7f }

// appendHeader appends one header line; name must be a token. Control characters of value, line ends among them, become
// spaces (RFC 9110 §5.5), so that it cannot end its line.
func appendHeader(dst []byte, name, value string) []byte {
	dst = append(append(dst, name...), ": "...)
	return append(appendValue(dst, value), "\r\n"...)
}

func appendValue(dst []byte, value string) []byte {
	value = strings.Trim(value[:min(len(value), maxHeader)], " \t\r\n")
	start := len(dst)
	dst = append(dst, value...)
	for i := start; i < len(dst); i++ {
		if isControl(dst[i]) {
			dst[i] = ' '
		}
	}
	return dst
}

// appendName appends a header line whose value is a name of ours or the sender's (an event's type): what is not
// printable ASCII is percent-encoded, so that different names stay different.
func appendName(dst []byte, name, value string) []byte {
	dst = append(append(dst, name...), ": "...)
	value = value[:min(len(value), maxHeader)]
	for i := range len(value) {
		if c := value[i]; c > ' ' && c < 0x7f && c != '%' || c == ' ' && i > 0 && i < len(value)-1 {
			dst = append(dst, c)
		} else {
			dst = appendEscaped(dst, c)
		}
	}
	return append(dst, "\r\n"...)
}

func appendEscaped(dst []byte, c byte) []byte {
	const hex = "0123456789ABCDEF"
	return append(dst, '%', hex[c>>4], hex[c&15])
}

// appendForwarded appends the inbound request's headers, less those that the request has of its own.
func appendForwarded(dst []byte, headers map[string]string, own map[string]bool) []byte {
	for name, value := range headers {
		if lower := strings.ToLower(name); isToken(name) && !isReserved(lower) && !own[lower] && lower != "content-type" && lower != "user-agent" {
			dst = appendHeader(dst, name, value)
		}
	}
	return dst
}
