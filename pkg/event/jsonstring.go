package event

import (
	"fmt"
	"unicode/utf8"
)

// skipString reads a string and checks its escapes, lone surrogates excepted.
func (r *jsonReader[T]) skipString() error {
	for r.at++; r.at < len(r.in); r.at++ {
		switch c := r.in[r.at]; {
		case c == '"':
			r.at++
			return nil
		case c < 0x20:
			return r.unexpected()
		case c == '\\':
			if r.at++; r.at >= len(r.in) {
				return errEndOfJSON
			}
			if r.in[r.at] == 'u' {
				if _, err := r.hex4(); err != nil {
					return err
				}
				r.at--
			} else if unescaped(r.in[r.at]) == 0 {
				return r.unexpected()
			}
		}
	}
	return errEndOfJSON
}

// str reads a string and returns what it says.
func (r *jsonReader[T]) str() (string, error) {
	if r.at >= len(r.in) || r.in[r.at] != '"' {
		return "", r.unexpected()
	}
	start := r.at + 1
	for i := start; i < len(r.in); i++ {
		switch c := r.in[i]; {
		case c == '"':
			r.at = i + 1
			return string(r.in[start:i]), nil
		case c == '\\':
			r.at = i
			return r.escapedStr([]byte(r.in[start:i]))
		case c < 0x20:
			r.at = i
			return "", r.unexpected()
		}
	}
	return "", errEndOfJSON
}

// escapedStr goes on with str at the first escape; out is what came before.
func (r *jsonReader[T]) escapedStr(out []byte) (string, error) {
	for r.at < len(r.in) {
		c := r.in[r.at]
		switch {
		case c == '"':
			r.at++
			return string(out), nil
		case c < 0x20:
			return "", r.unexpected()
		case c != '\\':
			out = append(out, c)
			r.at++
			continue
		}
		if r.at++; r.at >= len(r.in) {
			break
		}
		if r.in[r.at] != 'u' {
			c := unescaped(r.in[r.at])
			if c == 0 {
				return "", r.unexpected()
			}
			out = append(out, c)
			r.at++
			continue
		}
		var err error
		if out, err = r.appendUnicode(out); err != nil {
			return "", err
		}
	}
	return "", errEndOfJSON
}

// appendUnicode reads \uXXXX, or two of them that make a surrogate pair, from behind the backslash.
func (r *jsonReader[T]) appendUnicode(out []byte) ([]byte, error) {
	start := r.at
	u, err := r.hex4()
	if err != nil {
		return nil, err
	}
	if u < 0xd800 || u > 0xdfff {
		return utf8.AppendRune(out, u), nil
	}
	if u < 0xdc00 && r.at+1 < len(r.in) && r.in[r.at] == '\\' && r.in[r.at+1] == 'u' {
		r.at++
		low, err := r.hex4()
		if err != nil {
			return nil, err
		}
		if low >= 0xdc00 && low <= 0xdfff {
			return utf8.AppendRune(out, 0x10000+(u-0xd800)<<10+(low-0xdc00)), nil
		}
	} else if r.surrogateBytes && u >= 0xdc80 && u <= 0xdcff {
		return append(out, byte(u-0xdc00)), nil
	}
	return nil, fmt.Errorf("half of a surrogate pair at byte %d", start)
}

// hex4 reads the u and four digits of an escape.
func (r *jsonReader[T]) hex4() (rune, error) {
	var u rune
	for i := 1; i <= 4; i++ {
		if r.at+i >= len(r.in) {
			return 0, errEndOfJSON
		}
		digit := hexDigit(r.in[r.at+i])
		if digit < 0 {
			r.at += i
			return 0, r.unexpected()
		}
		u = u<<4 | rune(digit)
	}
	r.at += 5
	return u, nil
}

func hexDigit(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// unescaped returns what stands for backslash c, other than u; 0 if nothing does.
func unescaped(c byte) byte {
	switch c {
	case '"', '\\', '/':
		return c
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return 0
}

// appendJSONString writes s as a JSON string. Each byte that is not part of UTF-8 becomes \udcXX, as Python's
// surrogateescape (PEP 383) has it: other readers see a replacement character there, a jsonReader the byte.
func appendJSONString(out []byte, s string) []byte {
	const hex = "0123456789abcdef"
	out = append(out, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= 0x20 && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			if r, n := utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
		}
		out = append(out, s[from:i]...)
		switch {
		case c == '"' || c == '\\':
			out = append(out, '\\', c)
		case c < utf8.RuneSelf:
			out = append(out, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			out = append(out, '\\', 'u', 'd', 'c', hex[c>>4], hex[c&15])
		}
		i++
		from = i
	}
	out = append(out, s[from:]...)
	return append(out, '"')
}
