package event

import (
	"errors"
	"fmt"
)

// MaxDepth is how deep JSON may nest in what publishers send.
const MaxDepth = 256

// maxMembers bounds the members of the objects read here, so that finding duplicates stays cheap.
const maxMembers = 64

// jsonReader reads JSON (RFC 8259) left to right without making values of it, so that parts can be taken out as they
// were written. Strings without escapes are slices of the input where that is a string.
type jsonReader[T string | []byte] struct {
	in T
	at int
	// surrogateBytes makes \udc80 … \udcff, when no high surrogate stands before them, the bytes 0x80 … 0xff: what
	// appendJSONString makes of bytes that are not UTF-8. Otherwise a lone surrogate is an error.
	surrogateBytes bool
}

var errEndOfJSON = errors.New("JSON ends too early")

func (r *jsonReader[T]) unexpected() error {
	if r.at >= len(r.in) {
		return errEndOfJSON
	}
	return fmt.Errorf("not JSON at byte %d", r.at+1)
}

func (r *jsonReader[T]) skipSpace() {
	for r.at < len(r.in) {
		switch r.in[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return
		}
	}
}

// peek returns the next byte that is not space, or 0.
func (r *jsonReader[T]) peek() byte {
	r.skipSpace()
	if r.at >= len(r.in) {
		return 0
	}
	return r.in[r.at]
}

func (r *jsonReader[T]) expect(c byte) error {
	if r.peek() != c {
		return r.unexpected()
	}
	r.at++
	return nil
}

// end checks that nothing but space is left.
func (r *jsonReader[T]) end() error {
	if r.skipSpace(); r.at < len(r.in) {
		return r.unexpected()
	}
	return nil
}

// object calls member for each member of an object, which must read its value. No name comes twice.
func (r *jsonReader[T]) object(member func(name string) error) error {
	if err := r.expect('{'); err != nil {
		return err
	}
	if r.peek() == '}' {
		r.at++
		return nil
	}
	var buf [16]string
	seen := buf[:0]
	for {
		r.skipSpace()
		name, err := r.str()
		if err != nil {
			return err
		}
		for _, s := range seen {
			if s == name {
				return fmt.Errorf("member %s is there twice", quote(name))
			}
		}
		if seen = append(seen, name); len(seen) > maxMembers {
			return fmt.Errorf("object has more than %d members", maxMembers)
		}
		if err := r.expect(':'); err != nil {
			return err
		}
		if err := member(name); err != nil {
			return err
		}
		more, err := r.comma('}')
		if !more {
			return err
		}
	}
}

// array calls element for each element of an array, which must read it.
func (r *jsonReader[T]) array(element func(i int) error) error {
	if err := r.expect('['); err != nil {
		return err
	}
	if r.peek() == ']' {
		r.at++
		return nil
	}
	for i := 0; ; i++ {
		if err := element(i); err != nil {
			return err
		}
		more, err := r.comma(']')
		if !more {
			return err
		}
	}
}

// comma reads the comma before a further member or element, or the closing bracket.
func (r *jsonReader[T]) comma(closing byte) (more bool, err error) {
	switch c := r.peek(); c {
	case ',':
		r.at++
		return true, nil
	case closing:
		r.at++
		return false, nil
	}
	return false, r.unexpected()
}

// raw reads one value and returns it as it was written, without space around it.
func (r *jsonReader[T]) raw() (T, error) {
	r.skipSpace()
	start := r.at
	if err := r.skip(0); err != nil {
		var none T
		return none, err
	}
	return r.in[start:r.at], nil
}

// skip reads one value at the given depth.
func (r *jsonReader[T]) skip(depth int) error {
	switch c := r.peek(); {
	case c == '"':
		return r.skipString()
	case c == '-' || c >= '0' && c <= '9':
		return r.skipNumber()
	case c == 't':
		return r.skipWord("true")
	case c == 'f':
		return r.skipWord("false")
	case c == 'n':
		return r.skipWord("null")
	case c == '{' || c == '[':
		if depth >= MaxDepth {
			return fmt.Errorf("JSON nests deeper than %d", MaxDepth)
		}
		return r.skipContainer(c, depth)
	}
	return r.unexpected()
}

func (r *jsonReader[T]) skipContainer(opening byte, depth int) error {
	closing := opening + 2 // '[' and ']', '{' and '}' are two apart
	r.at++
	if r.peek() == closing {
		r.at++
		return nil
	}
	for {
		if opening == '{' {
			if r.peek() != '"' {
				return r.unexpected()
			}
			if err := r.skipString(); err != nil {
				return err
			}
			if err := r.expect(':'); err != nil {
				return err
			}
		}
		if err := r.skip(depth + 1); err != nil {
			return err
		}
		more, err := r.comma(closing)
		if !more {
			return err
		}
	}
}

func (r *jsonReader[T]) skipWord(word string) error {
	if len(r.in)-r.at < len(word) || string(r.in[r.at:r.at+len(word)]) != word {
		return r.unexpected()
	}
	r.at += len(word)
	return nil
}

func (r *jsonReader[T]) skipNumber() error {
	if r.in[r.at] == '-' {
		r.at++
	}
	switch {
	case r.at < len(r.in) && r.in[r.at] == '0':
		r.at++
	case r.skipDigits() == 0:
		return r.unexpected()
	}
	if r.at < len(r.in) && r.in[r.at] == '.' {
		if r.at++; r.skipDigits() == 0 {
			return r.unexpected()
		}
	}
	if r.at < len(r.in) && (r.in[r.at] == 'e' || r.in[r.at] == 'E') {
		if r.at++; r.at < len(r.in) && (r.in[r.at] == '+' || r.in[r.at] == '-') {
			r.at++
		}
		if r.skipDigits() == 0 {
			return r.unexpected()
		}
	}
	return nil
}

func (r *jsonReader[T]) skipDigits() (n int) {
	for r.at < len(r.in) && r.in[r.at] >= '0' && r.in[r.at] <= '9' {
		r.at++
		n++
	}
	return n
}
