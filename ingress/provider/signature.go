package provider

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// maxItems bounds the signatures of one header that are tried: a header full of them must not buy endless work.
const maxItems = 16

// encoding is how signatures and keys are written as text.
type encoding string

const (
	encodingUTF8      encoding = "utf8" // keys only: the text itself
	encodingHex       encoding = "hex"  // lower case
	encodingBase64    encoding = "base64"
	encodingBase64URL encoding = "base64url" // without padding
)

// appendText appends the one spelling of raw that a sender writes.
func (e encoding) appendText(dst, raw []byte) []byte {
	switch e {
	case encodingHex:
		return hex.AppendEncode(dst, raw)
	case encodingBase64URL:
		return base64.RawURLEncoding.AppendEncode(dst, raw)
	default:
		return base64.StdEncoding.AppendEncode(dst, raw)
	}
}

var errEncoding = errors.New("does not decode")

// decode reads a signature as appendText writes it, and in no other spelling: Go's decoders skip line breaks, and ignore
// stray bits at the end unless they are told to be strict.
func (e encoding) decode(text string) ([]byte, error) {
	raw, err := e.decodeKey(text)
	if err != nil || string(e.appendText(nil, raw)) != text {
		return nil, errEncoding
	}
	return raw, nil
}

// decodeKey reads a key as people are handed it: hex in either case, base64 with stray bits at the end.
func (e encoding) decodeKey(text string) ([]byte, error) {
	switch e {
	case encodingUTF8:
		return []byte(text), nil
	case encodingHex:
		return hex.DecodeString(text)
	case encodingBase64URL:
		return base64.RawURLEncoding.DecodeString(text)
	default:
		return base64.StdEncoding.DecodeString(text)
	}
}

// signature says where the signature is and how it is written.
type signature struct {
	from   selector
	prefix string
	list   string // separates items; empty: there is one
	pair   string // separates an item's key from its value; empty: items have no keys
	pick   string // key of the items that count
	enc    encoding
}

func newSignature(spec signatureSpec) (signature, error) {
	s := signature{prefix: spec.Prefix, list: spec.List, pair: spec.Pair, pick: spec.Pick, enc: encoding(spec.Encoding)}
	var err error
	if s.from, err = parseSource(spec.From); err != nil {
		return s, fmt.Errorf("sig.from: %w", err)
	}
	switch s.enc {
	case encodingHex, encodingBase64, encodingBase64URL:
	default:
		return s, fmt.Errorf("sig.encoding: %q: want hex, base64 or base64url", spec.Encoding)
	}
	if (s.pair == "") != (s.pick == "") {
		return s, errors.New("sig: pair and pick go together")
	}
	if s.prefix != "" && s.pair != "" {
		return s, errors.New("sig: want prefix, or pair and pick")
	}
	return s, nil
}

// items appends the texts that may be the signature to dst, which has room for maxItems.
func (s *signature) items(header string, dst []string) ([]string, error) {
	rest, more := header, true
	for more {
		item := rest
		if s.list == "" {
			more = false
		} else {
			item, rest, more = strings.Cut(rest, s.list)
		}
		text, ok := s.counts(item)
		if !ok {
			continue
		}
		if len(dst) == maxItems {
			return nil, invalid(ReasonMalformed, fmt.Sprintf("%s has more than %d signatures", s.from, maxItems))
		}
		dst = append(dst, text)
	}
	switch {
	case len(dst) > 0:
		return dst, nil
	case s.pick != "":
		return nil, invalid(ReasonMalformed, fmt.Sprintf("%s has no %s%s signature", s.from, s.pick, s.pair))
	case s.prefix != "":
		return nil, invalid(ReasonMalformed, fmt.Sprintf("%s does not begin with %s", s.from, s.prefix))
	default:
		return nil, invalid(ReasonMalformed, s.from.String()+" has no signature")
	}
}

// counts returns the signature in one item, if it is of the kind that counts.
func (s *signature) counts(item string) (string, bool) {
	if s.pair != "" {
		key, value, ok := strings.Cut(item, s.pair)
		return value, ok && key == s.pick && value != ""
	}
	value, ok := strings.CutPrefix(item, s.prefix)
	return value, ok && value != ""
}

// write is the header of one signature, with the fields that go before it.
func (s *signature) write(text string, fields []field) string {
	if s.pair == "" {
		return s.prefix + text
	}
	var out strings.Builder
	for _, f := range fields {
		out.WriteString(f.key + s.pair + f.value + s.list)
	}
	out.WriteString(s.pick + s.pair + text)
	return out.String()
}

// field is one item of a signature header that is no signature.
type field struct{ key, value string }

// fieldsOf is the signature header as a list of keys and values.
type fieldsOf struct {
	sig    *signature
	header string
}

// lookup returns the value of key, and how many there are.
func (f fieldsOf) lookup(key string) (value string, n int) {
	if f.sig == nil || f.sig.pair == "" {
		return "", 0
	}
	rest, more := f.header, true
	for more {
		item := rest
		if f.sig.list == "" {
			more = false
		} else {
			item, rest, more = strings.Cut(rest, f.sig.list)
		}
		if k, v, ok := strings.Cut(item, f.sig.pair); ok && k == key {
			if n++; n == 1 {
				value = v
			}
		}
	}
	return value, n
}

func (f fieldsOf) value(key string) string {
	v, _ := f.lookup(key)
	return v
}

// one returns the value of key, which must be there exactly once and not be empty.
func (f fieldsOf) one(key string) (string, error) {
	value, n := f.lookup(key)
	switch {
	case n > 1:
		return "", invalid(ReasonRepeated, fmt.Sprintf("%s has more than one %s", f.sig.from, key))
	case value == "":
		return "", invalid(ReasonMissing, fmt.Sprintf("%s has no %s", f.sig.from, key))
	}
	return value, nil
}
