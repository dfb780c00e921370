package event

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// base32Alphabet is Douglas Crockford's (no i, l, o, u), in lower case.
const base32Alphabet = "0123456789abcdefghjkmnpqrstvwxyz"

var base32Value = func() (v [256]int8) {
	for i := range v {
		v[i] = -1
	}
	for i := range len(base32Alphabet) {
		c := base32Alphabet[i]
		v[c] = int8(i)
		if c >= 'a' {
			v[c-'a'+'A'] = int8(i)
		}
	}
	return v
}()

// Base32Len returns the length of what EncodeBase32 makes of n bytes.
func Base32Len(n int) int { return (n*8 + 4) / 5 }

// EncodeBase32 writes b, taken as one big-endian number, in Crockford's base32: lower case, the most significant digit
// first, padded with zero bits at the front, so that texts of equal length sort as the bytes do.
func EncodeBase32(b []byte) string {
	return string(AppendBase32(nil, b))
}

// AppendBase32 appends to dst what EncodeBase32 makes of b.
func AppendBase32(dst, b []byte) []byte {
	n := Base32Len(len(b))
	dst = slices.Grow(dst, n)
	dst = dst[:len(dst)+n]
	out := dst[len(dst)-n:]
	acc, bits, at := uint(0), 0, n
	for i := len(b) - 1; i >= 0; i-- {
		acc |= uint(b[i]) << bits
		for bits += 8; bits >= 5; bits -= 5 {
			at--
			out[at] = base32Alphabet[acc&31]
			acc >>= 5
		}
	}
	if at > 0 {
		out[0] = base32Alphabet[acc&31]
	}
	return dst
}

// DecodeBase32 reads what EncodeBase32 made of len(dst) bytes. Letters may be of either case; every other deviation is
// an error, so each value has one spelling.
func DecodeBase32(dst []byte, s string) error {
	if len(s) != Base32Len(len(dst)) {
		return errors.New("want " + strconv.Itoa(Base32Len(len(dst))) + " characters, got " + strconv.Itoa(len(s)))
	}
	acc, bits, at := uint(0), 0, len(dst)
	for i := len(s) - 1; i >= 0; i-- {
		v := base32Value[s[i]]
		if v < 0 {
			return errors.New("not base32 at character " + strconv.Itoa(i+1))
		}
		acc |= uint(v) << bits
		bits += 5
		if bits >= 8 && at > 0 {
			at--
			dst[at] = byte(acc)
			acc >>= 8
			bits -= 8
		}
	}
	if acc != 0 {
		return errors.New("number too large")
	}
	return nil
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
