package egress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// errMalformed is wrapped by all that is wrong with how an answer is written.
var errMalformed = errors.New("malformed answer")

// errCut: as much as may be read has been read.
var errCut = errors.New("answer larger than what is read of one")

// Sizes of the buffer that answers are read into: most fit the first, no line is longer than the second.
const (
	smallBuffer = 4 << 10
	largeBuffer = maxHead
)

// lineReader reads lines and blocks from a connection, never more than it was told. It keeps its buffer between
// answers.
type lineReader struct {
	src  io.Reader
	buf  []byte
	r, w int // buf[r:w] has been read from src and not been used
	left int // bytes that may still be used
}

// reset makes r read from src; what it had is forgotten.
func (r *lineReader) reset(src io.Reader) {
	if cap(r.buf) != smallBuffer { // a large one served a rare answer
		r.buf = make([]byte, smallBuffer)
	}
	r.src, r.r, r.w, r.left = src, 0, 0, 0
}

// allow sets how many bytes may be used from here on.
func (r *lineReader) allow(n int) { r.left = n }

// buffered reports whether src has given more than was used.
func (r *lineReader) buffered() bool { return r.r < r.w }

// line returns the next line without its end, LF or CRLF; it is valid until the next call.
func (r *lineReader) line() ([]byte, error) {
	raw, err := r.rawLine(maxHead)
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(raw[:len(raw)-1], []byte{'\r'}), nil
}

// rawLine returns the next line, of at most limit bytes, with its end.
func (r *lineReader) rawLine(limit int) ([]byte, error) {
	searched := 0
	for {
		have := r.buf[r.r:min(r.w, r.r+r.left)]
		if i := bytes.IndexByte(have[searched:], '\n'); i >= 0 {
			raw := have[:searched+i+1]
			r.use(len(raw))
			return raw, nil
		}
		switch {
		case len(have) == r.left:
			return nil, errCut
		case len(have) >= limit:
			return nil, fmt.Errorf("%w: line of more than %d bytes", errMalformed, limit)
		}
		searched = len(have)
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
}

// block returns between 1 and most of the next bytes, valid until the next call.
func (r *lineReader) block(most int) ([]byte, error) {
	if r.left == 0 {
		return nil, errCut
	}
	if !r.buffered() {
		if err := r.fill(); err != nil {
			return nil, err
		}
	}
	b := r.buf[r.r:min(r.w, r.r+most, r.r+r.left)]
	r.use(len(b))
	return b, nil
}

func (r *lineReader) use(n int) {
	r.r += n
	r.left -= n
}

// fill reads more from src, at least a byte, and makes room for it: by moving what is unused to the front, then by the
// one larger buffer.
func (r *lineReader) fill() error {
	if r.r == r.w {
		r.r, r.w = 0, 0
	}
	if r.w == len(r.buf) {
		to := r.buf
		if r.r == 0 {
			if len(r.buf) == largeBuffer {
				return errCut
			}
			to = make([]byte, largeBuffer)
		}
		r.w = copy(to, r.buf[r.r:r.w])
		r.r, r.buf = 0, to
	}
	for range 100 { // readers may return nothing, but not for ever
		n, err := r.src.Read(r.buf[r.w:])
		r.w += n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}
