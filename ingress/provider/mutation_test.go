package provider

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// leastMutations is how many ways of being almost right every preset must refuse.
const leastMutations = 26

type mutation struct {
	name  string
	apply func(req *Request)
}

func TestGenuineRequestsAreAccepted(t *testing.T) {
	for _, s := range subjects {
		for _, shift := range []time.Duration{-300 * time.Second, 0, 300 * time.Second} {
			if err := s.scheme(t).Verify(s.request(seconds(testNow.Add(shift))), testNow); err != nil {
				t.Errorf("%s, signed %v from now: %v", s.name(), shift, err)
			}
		}
		for _, secrets := range [][]string{{s.otherSecret(), s.secret}, {s.secret, s.otherSecret()}} {
			if err := s.scheme(t, secrets...).Verify(s.request(seconds(testNow)), testNow); err != nil {
				t.Errorf("%s, one of two secrets: %v", s.name(), err)
			}
		}
		rotated := s.request(seconds(testNow.Add(-24 * time.Hour)))
		if err := s.scheme(t).Verify(rotated, time.Time{}); err != nil {
			t.Errorf("%s, an old one without a clock: %v", s.name(), err)
		}
	}
}

func TestEveryMutationIsRefused(t *testing.T) {
	for _, s := range subjects {
		t.Run(s.name(), func(t *testing.T) {
			scheme := s.scheme(t)
			all := append(s.ofSignature(), s.ofTimestamp()...)
			if s.covers {
				all = append(all, ofBody()...)
			}
			refused := 0
			for _, m := range all {
				req := s.request(seconds(testNow))
				m.apply(req)
				if err := scheme.Verify(req, testNow); err == nil {
					t.Errorf("%s: accepted", m.name)
				} else if progress(err) == 9 {
					t.Errorf("%s: blamed on us: %v", m.name, err)
				}
				if reply, err := scheme.Receive(req, testNow); err == nil {
					t.Errorf("%s: received with %v", m.name, reply)
				}
				refused++
			}
			if refused < leastMutations {
				t.Errorf("%d mutations, want %d", refused, leastMutations)
			}
		})
	}
}

// ofSignature are mutations of the header with the signature or token.
func (s *subject) ofSignature() []mutation {
	set := func(name string, change func(v string) string) mutation {
		return mutation{name, func(r *Request) { r.Header.Set(s.signature, change(r.Header.Get(s.signature))) }}
	}
	at := func(v string) int { return strings.LastIndexAny(strings.TrimRight(v, "="), "=, ") + 1 } // where the signature begins
	out := []mutation{
		{"header missing", func(r *Request) { r.Header.Del(s.signature) }},
		{"header without value", func(r *Request) { r.Header[s.signature] = []string{} }},
		{"header twice", func(r *Request) { r.Header.Add(s.signature, r.Header.Get(s.signature)) }},
		{"wrong header before the right one", func(r *Request) { r.Header[s.signature] = []string{"x", r.Header.Get(s.signature)} }},
		{"under another provider's name", func(r *Request) {
			r.Header.Set("X-Other-Signature", r.Header.Get(s.signature))
			r.Header.Del(s.signature)
		}},
		{"made with another secret", func(r *Request) {
			s.sign(r.Header, seconds(testNow), s.otherSecret(), r.Body)
		}},
		set("empty", func(string) string { return "" }),
		set("blank", func(string) string { return " " }),
		set("tab before", func(v string) string { return "\t" + v }), // a space may separate items
		set("tab behind", func(v string) string { return v + "\t" }),
		set("line break within", func(v string) string { return v[:len(v)-4] + "\n" + v[len(v)-4:] }),
		set("NUL behind", func(v string) string { return v + "\x00" }),
		set("cut before the signature", func(v string) string { return v[:at(v)] }),
		set("twice in a row", func(v string) string { return v + v[at(v):] }),
		set("one more character", func(v string) string { return v + "0" }),
		set("all zero", func(v string) string { return v[:at(v)] + strings.Repeat("0", len(v)-at(v)) }),
		set("all zero bytes in base64", func(v string) string { return v[:at(v)] + base64.StdEncoding.EncodeToString(make([]byte, 32)) }),
		set("first character changed", func(v string) string { return flip(v, at(v)) }),
		set("middle character changed", func(v string) string { return flip(v, (at(v)+len(v))/2) }),
		set("stray bits in the last character", func(v string) string { return flip(v, len(strings.TrimRight(v, "="))-1) }),
		set("other case", func(v string) string { return v[:at(v)] + swapCase(v[at(v):]) }),
		set("base64 written as hex", func(v string) string { return v[:at(v)] + hex.EncodeToString([]byte(v[at(v):])) }),
		set("hex written as base64", func(v string) string { return v[:at(v)] + base64.StdEncoding.EncodeToString([]byte(v[at(v):])) }),
		set("quoted", func(v string) string { return v[:at(v)] + `"` + v[at(v):] + `"` }),
		set("scheme none", func(v string) string { return "none=" + v[at(v):] }),
		set("scheme v0 in a list", func(v string) string {
			return strings.ReplaceAll(strings.ReplaceAll(v, "v1", "v0"), "v0=", "v9=") + "!"
		}),
		set("behind 16 other signatures", func(v string) string {
			return strings.Repeat(map[bool]string{true: "v1=x,", false: "v1,x "}[s.preset == "stripe"], maxItems) + v
		}),
	}
	for n := 1; n <= 24; n++ {
		out = append(out, set(fmt.Sprintf("cut by %d", n), func(v string) string { return v[:max(len(v)-n, at(v))] }))
	}
	return out
}

// ofTimestamp are mutations of the time, each signed with the right secret.
func (s *subject) ofTimestamp() []mutation {
	if s.timestamp == "" && s.preset != "stripe" {
		return nil
	}
	var out []mutation
	now := seconds(testNow)
	for name, ts := range map[string]string{
		"301 s ago": seconds(testNow.Add(-301 * time.Second)), "301 s ahead": seconds(testNow.Add(301 * time.Second)), "zero": "0",
		"negative": "-" + now, "with plus": "+" + now, "a fraction": now + ".0", "an exponent": "1790e6", "milliseconds": now + "000",
		"over int64": "9223372036854775808", "the last of int64": "9223372036854775807", "15 digits": "999999999999999",
		"a word": "now", "hexadecimal": "0x6ab13b80", "a space within": now + " 1", "in full-width digits": "１７９０００００００", "RFC 3339": testNow.UTC().Format(time.RFC3339),
	} {
		out = append(out, mutation{"time is " + name, func(r *Request) { s.sign(r.Header, ts, s.secret, r.Body) }})
	}
	out = append(out, mutation{"signed for another time", func(r *Request) {
		other := s.request(seconds(testNow.Add(time.Second)))
		r.Header.Set(s.signature, strings.Replace(other.Header.Get(s.signature), seconds(testNow.Add(time.Second)), now, 1))
	}})
	if s.timestamp != "" {
		out = append(out,
			mutation{"time missing", func(r *Request) { r.Header.Del(s.timestamp) }},
			mutation{"time empty", func(r *Request) { r.Header.Set(s.timestamp, "") }},
			mutation{"time twice", func(r *Request) { r.Header.Add(s.timestamp, now) }})
	}
	if s.preset == "stripe" {
		out = append(out,
			mutation{"two times", func(r *Request) { r.Header.Set(s.signature, r.Header.Get(s.signature)+",t="+now) }},
			mutation{"no time", func(r *Request) {
				r.Header.Set(s.signature, strings.TrimPrefix(r.Header.Get(s.signature), "t="+now+","))
			}})
	}
	return out
}

// ofBody are mutations of what is signed.
func ofBody() []mutation {
	set := func(name string, change func(b []byte) []byte) mutation {
		return mutation{name, func(r *Request) { r.Body = change(bytes.Clone(r.Body)) }}
	}
	bit := func(at func(n int) int) func(b []byte) []byte {
		return func(b []byte) []byte { b[at(len(b))] ^= 1; return b }
	}
	return []mutation{
		set("first bit of the body", bit(func(int) int { return 0 })),
		set("middle bit of the body", bit(func(n int) int { return n / 2 })),
		set("last bit of the body", bit(func(n int) int { return n - 1 })),
		set("body without line breaks", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\r\n"), nil) }),
		set("CRLF made LF", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("\r"), nil) }),
		set("body written again", func(b []byte) []byte { return bytes.ReplaceAll(b, []byte(`": "`), []byte(`":"`)) }),
		set("a line break behind", func(b []byte) []byte { return append(b, '\n') }),
		set("a byte order mark before", func(b []byte) []byte { return append([]byte("\uFEFF"), b...) }),
		set("body gone", func([]byte) []byte { return nil }),
	}
}

func flip(v string, i int) string {
	c := byte('A')
	if v[i] == c || v[i] == 'a' { // another value in hex and in base64, whatever the case
		c = 'B'
	}
	return v[:i] + string(c) + v[i+1:]
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 32
		case 'A' <= r && r <= 'Z':
			return r + 32
		}
		return r
	}, s)
}

func TestTimestampsAreReadOneWay(t *testing.T) {
	for unit, texts := range map[timeUnit]map[string]bool{
		unitSeconds: {"1790000000": true, "0000001790000000"[1:]: true, "0000001790000000": false, "": false, "-1": false, "1.5": false},
		unitMillis:  {"1790000000000": true, "1790000000000.0": false},
		unitRFC3339: {"2026-09-21T14:13:20Z": true, "2026-09-21T16:13:20.000+02:00": true, "2026-09-21 14:13:20": false, "1790000000": false},
	} {
		ts := &timestamp{unit: unit}
		for text, ok := range texts {
			at, err := ts.parse(text)
			if (err == nil) != ok || ok && at.Sub(testNow).Abs() > time.Hour {
				t.Errorf("%s %q is %v, %v, want valid = %v", unit, text, at.UTC(), err, ok)
			}
		}
		if at, err := ts.parse(ts.format(testNow)); err != nil || !at.Equal(testNow) {
			t.Errorf("%s: format and parse give %v, %v", unit, at, err)
		}
	}
}

func TestStrayBitsOfBase64AreRefused(t *testing.T) {
	s := bind(t, "shopify", nil, testSecret)
	body := []byte("x")
	genuine := base64.StdEncoding.EncodeToString(macOf(testSecret, "x"))
	accepted := 0
	for c := byte('!'); c <= '~'; c++ {
		sig := genuine[:len(genuine)-2] + string(c) + "="
		if s.Verify(&Request{Header: http.Header{"X-Shopify-Hmac-Sha256": {sig}}, Body: body}, testNow) == nil {
			accepted++
		}
	}
	if accepted != 1 {
		t.Errorf("%d spellings of the last character are accepted, want 1", accepted)
	}
}
