package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/textproto"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"
)

// FallbackType is the type of an event whose request does not say one.
const FallbackType = "webhook"

// Bounds of what a request may call itself.
const (
	maxType    = 128 // bytes; what is longer is cut
	maxGivenID = 256 // bytes; what is longer, or is no plain text, is replaced by its digest
	maxKept    = 32  // headers
)

// Description is what a verified request says about its event.
type Description struct {
	Type    string            // never empty; printable, without white space
	GivenID string            // empty: the provider gave none
	Headers map[string]string // kept ones, by lower-case name; nil: none
}

// kept is a header to keep with the event.
type kept struct{ canonical, lower string }

// alwaysKept: without it the bytes of the body cannot be read.
var alwaysKept = kept{"Content-Encoding", "content-encoding"}

// neverKept are headers that carry secrets whatever the scheme.
var neverKept = map[string]bool{"Authorization": true, "Cookie": true, "Proxy-Authorization": true, "Set-Cookie": true}

// Describe returns what req calls itself. Call it after Verify or Receive.
func (s *Scheme) Describe(req *Request) Description {
	return Description{
		Type:    s.eventType(req),
		GivenID: givenID(firstPresent(s.dedupe, req, ":")),
		Headers: s.keep(req),
	}
}

func (s *Scheme) eventType(req *Request) string {
	if t := cleanType(firstPresent(s.typeFrom, req, "."), s.dotsFor); t != "" {
		return t
	}
	return FallbackType
}

// cleanType makes outside text fit for a type: each character of dotsFor becomes a dot, runs of dots become one, and
// what does not print becomes "_".
func cleanType(text, dotsFor string) string {
	if isCleanType(text, dotsFor) {
		return text
	}
	var out strings.Builder
	dot := true // as if one came before: none at the start
	for _, r := range text {
		isDot := r == '.' || strings.ContainsRune(dotsFor, r)
		switch {
		case isDot && dot:
			continue
		case isDot:
			r = '.'
		case r == unicode.ReplacementChar || !unicode.IsGraphic(r) || unicode.IsSpace(r):
			r = '_'
		}
		if out.Len()+utf8.RuneLen(r) > maxType {
			break
		}
		out.WriteRune(r)
		dot = isDot
	}
	return strings.TrimSuffix(out.String(), ".")
}

// isCleanType recognises most types that cleanType would leave as they are, without allocating.
func isCleanType(text, dotsFor string) bool {
	before := byte('.')
	for i := range len(text) {
		c := text[i]
		if c <= ' ' || c > '~' || c == '.' && before == '.' || strings.IndexByte(dotsFor, c) >= 0 {
			return false
		}
		before = c
	}
	return len(text) <= maxType && before != '.'
}

// givenID bounds an id without making two of them one.
func givenID(text string) string {
	if len(text) > maxGivenID || strings.ContainsFunc(text, unicode.IsControl) || !utf8.ValidString(text) {
		sum := sha256.Sum256([]byte(text))
		return "sha256:" + hex.EncodeToString(sum[:])
	}
	return text
}

func (s *Scheme) keep(req *Request) map[string]string {
	var out map[string]string
	for i := range s.headers {
		values := req.Header[s.headers[i].canonical]
		if len(values) == 0 {
			continue
		}
		if out == nil {
			out = make(map[string]string, len(s.headers))
		}
		out[s.headers[i].lower] = strings.ToValidUTF8(values[0], "\uFFFD")
	}
	return out
}

// keptHeaders reads the names of headers to keep. What steps check is not among them: a token is the secret, and a
// signature could be sent again.
func keptHeaders(names []string, steps []stepSpec) ([]kept, error) {
	if len(names) > maxKept {
		return nil, fmt.Errorf("headers: %d are too many, want %d or fewer", len(names), maxKept)
	}
	var out []kept
	for _, name := range names {
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			return nil, fmt.Errorf("headers: %q is not a header name", name)
		case neverKept[canonical] || checks(steps, canonical):
			return nil, fmt.Errorf("headers: %s carries a secret, it is not kept", canonical)
		}
		out = append(out, kept{canonical, strings.ToLower(name)})
	}
	return append(out, alwaysKept), nil
}

// checks reports whether a step reads its signature or token from the header.
func checks(steps []stepSpec, canonical string) bool {
	return slices.ContainsFunc(steps, func(s stepSpec) bool {
		for _, from := range []string{s.From, s.Sig.From} {
			if sel, err := parseSource(from); err == nil && sel.kind == fromHeader && sel.name == canonical {
				return true
			}
		}
		return checks(s.AnyOf, canonical)
	})
}
