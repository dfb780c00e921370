package egress

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// readBody reads the body that h announces, at most 64 KiB of it as it comes, and hands what it holds to keep. It
// reports whether it came to the end; a body that is longer is no error.
func readBody(r *lineReader, h *head, keep func([]byte)) (whole bool, err error) {
	r.allow(maxBody)
	switch {
	case h.bodiless():
		return true, nil
	case h.chunked:
		err = readChunks(r, keep)
	case h.hasLength:
		err = readLength(r, h.length, keep)
	default:
		err = readToEnd(r, keep)
	}
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, errCut):
		return false, nil
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	return false, err
}

func readLength(r *lineReader, n int64, keep func([]byte)) error {
	for n > 0 {
		b, err := r.block(int(min(n, maxBody)))
		if err != nil {
			return err
		}
		keep(b)
		n -= int64(len(b))
	}
	return nil
}

func readToEnd(r *lineReader, keep func([]byte)) error {
	for {
		b, err := r.block(maxBody)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		keep(b)
	}
}

// readChunks reads a chunked body with its trailer (RFC 9112 §7.1). Its framing is read strictly: where parsers differ
// about it, answers are smuggled.
func readChunks(r *lineReader, keep func([]byte)) error {
	for {
		size, err := readChunkSize(r)
		if err != nil {
			return err
		}
		if size == 0 {
			return readTrailer(r)
		}
		if err := readLength(r, size, keep); err != nil {
			return err
		}
		if err := readChunkEnd(r); err != nil {
			return err
		}
	}
}

// maxChunkLine bounds the line before a chunk, in bytes: a size and extensions nobody uses.
const maxChunkLine = 4 << 10

func readChunkSize(r *lineReader) (int64, error) {
	raw, err := r.rawLine(maxChunkLine)
	if err != nil {
		return 0, err
	}
	line, ok := bytes.CutSuffix(raw, []byte("\r\n"))
	if !ok || bytes.IndexByte(line, '\r') >= 0 {
		return 0, fmt.Errorf("%w: end of a chunk's line", errMalformed)
	}
	digits, _, _ := bytes.Cut(line, []byte{';'}) // extensions mean nothing to us
	digits = bytes.TrimRight(digits, " \t")
	if len(digits) == 0 || len(digits) > 15 { // 60 bits
		return 0, fmt.Errorf("%w: size of a chunk", errMalformed)
	}
	var n int64
	for _, c := range digits {
		switch {
		case isDigit(c):
			n = n<<4 | int64(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			n = n<<4 | int64(c|0x20-'a'+10)
		default:
			return 0, fmt.Errorf("%w: size of a chunk", errMalformed)
		}
	}
	return n, nil
}

func readChunkEnd(r *lineReader) error {
	for _, want := range []byte("\r\n") {
		b, err := r.block(1)
		if err != nil {
			return err
		}
		if b[0] != want {
			return fmt.Errorf("%w: chunk longer than it says", errMalformed)
		}
	}
	return nil
}

func readTrailer(r *lineReader) error {
	for {
		line, err := r.line()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return nil
		}
		if bytes.IndexByte(line, ':') < 1 && line[0] != ' ' && line[0] != '\t' {
			return fmt.Errorf("%w: trailer", errMalformed)
		}
	}
}
