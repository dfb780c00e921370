package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxLength is the longest body the benchmark's own HTTP code reads.
const maxLength = 8 << 20

var (
	errChunked = errors.New("chunked body: the benchmark reads only those with a length")
	errHead    = errors.New("malformed HTTP head")
)

// head is what the benchmark needs of a request's or response's head.
type head struct {
	status  int // of a response; 0 in a request
	length  int // of the body
	closing bool
}

// readHead reads the head of an HTTP/1.1 request or response. It hands each header line to visit, when there is one, with
// its name as sent; both slices are good only during the call.
func readHead(r *bufio.Reader, visit func(name, value []byte)) (head, error) {
	var h head
	line, err := r.ReadSlice('\n')
	if err != nil {
		return h, err // io.EOF here is a connection that ended between messages
	}
	if bytes.HasPrefix(line, []byte("HTTP/1.1 ")) && len(line) >= 12 {
		status, ok := parsePadded(line[9:12])
		if !ok {
			return h, errHead
		}
		h.status = int(status)
	}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return h, noEOF(err)
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return h, nil
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return h, errHead
		}
		value = bytes.TrimSpace(value)
		if err := h.header(name, value); err != nil {
			return h, err
		}
		if visit != nil {
			visit(name, value)
		}
	}
}

func (h *head) header(name, value []byte) error {
	switch len(name) {
	case len("Content-Length"):
		if bytes.EqualFold(name, []byte("Content-Length")) {
			n, ok := parsePadded(value)
			if !ok || len(value) > 8 || n > maxLength {
				return errHead
			}
			h.length = int(n)
		}
	case len("Transfer-Encoding"):
		if bytes.EqualFold(name, []byte("Transfer-Encoding")) {
			return errChunked
		}
	case len("Connection"):
		if bytes.EqualFold(name, []byte("Connection")) {
			h.closing = bytes.EqualFold(value, []byte("close"))
		}
	}
	return nil
}

// readBody reads n bytes into buf, grown as needed, and returns it.
func readBody(r *bufio.Reader, n int, buf []byte) ([]byte, error) {
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	_, err := io.ReadFull(r, buf)
	return buf, noEOF(err)
}

// noEOF makes an end in the middle of a message an error of its own.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
