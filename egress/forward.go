package egress

import (
	"errors"
	"strings"
)

// errDotSegment: the inbound path would leave the endpoint's own, which its owner chose.
var errDotSegment = errors.New("the inbound request's path has a segment . or .., which is not forwarded")

// pathBytes and queryBytes stand for themselves in a path and in a query (RFC 3986); % is looked at by itself.
var (
	pathBytes  = byteSet("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/")
	queryBytes = byteSet("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/?[]")
)

// appendPath appends the path of an inbound request to one that ends without a slash.
func appendPath(dst []byte, path string) ([]byte, error) {
	if hasDotSegment(path) {
		return dst, errDotSegment
	}
	if !strings.HasPrefix(path, "/") {
		dst = append(dst, '/')
	}
	return appendURI(dst, path, &pathBytes), nil
}

// appendURI appends s with what may not stand in a request line percent-encoded. What is encoded already stays.
func appendURI(dst []byte, s string, allowed *[256]bool) []byte {
	for i := range len(s) {
		if c := s[i]; allowed[c] || c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]) {
			dst = append(dst, c)
		} else {
			dst = appendEscaped(dst, c)
		}
	}
	return dst
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// separators are all that one server or another takes for a slash, and an encoded dot.
var separators = strings.NewReplacer(`\`, "/", "%2f", "/", "%2F", "/", "%5c", "/", "%5C", "/", "%2e", ".", "%2E", ".", ";", "/")

// hasDotSegment reports whether some server would read a segment of path as "." or "..".
func hasDotSegment(path string) bool {
	if !strings.ContainsAny(path, ".%") {
		return false
	}
	for segment := range strings.SplitSeq(separators.Replace(path), "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}
