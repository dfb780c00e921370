package main

import (
	"bufio"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestReadHead(t *testing.T) {
	for name, tc := range map[string]struct {
		in   string
		want head
		err  error
	}{
		"a response":                      {"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n", head{status: 204}, nil},
		"a request with a length":         {"POST / HTTP/1.1\r\ncontent-LENGTH: 12\r\n\r\n", head{length: 12}, nil},
		"one that closes":                 {"HTTP/1.1 200 OK\r\nConnection: Close\r\n\r\n", head{status: 200, closing: true}, nil},
		"nothing":                         {"", head{}, io.EOF},
		"an end in the middle":            {"POST / HTTP/1.1\r\nHost: a\r\n", head{}, io.ErrUnexpectedEOF},
		"a status that is none":           {"HTTP/1.1 2x0 OK\r\n\r\n", head{}, errHead},
		"a header without a colon":        {"POST / HTTP/1.1\r\nHost\r\n\r\n", head{}, errHead},
		"a length beyond what is read":    {"POST / HTTP/1.1\r\nContent-Length: 10737418240\r\n\r\n", head{}, errHead},
		"a length that is none":           {"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", head{}, errHead},
		"a chunked body":                  {"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", head{}, errChunked},
		"a line longer than the buffer":   {"POST /" + strings.Repeat("x", 5000) + " HTTP/1.1\r\n\r\n", head{}, bufio.ErrBufferFull},
		"a header longer than the buffer": {"POST / HTTP/1.1\r\nA: " + strings.Repeat("x", 5000) + "\r\n\r\n", head{}, bufio.ErrBufferFull},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readHead(bufio.NewReaderSize(strings.NewReader(tc.in), 4096), nil)
			if !errors.Is(err, tc.err) || (tc.err == nil && got != tc.want) {
				t.Errorf("got %+v, %v, want %+v, %v", got, err, tc.want, tc.err)
			}
		})
	}
}

func FuzzReadHead(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")
	f.Add("POST / HTTP/1.1\nA:b\n\n")
	f.Fuzz(func(t *testing.T, in string) {
		seen := 0
		h, err := readHead(bufio.NewReaderSize(strings.NewReader(in), 64), func(name, value []byte) { seen += len(name) + len(value) })
		if seen > len(in) {
			t.Errorf("%q: %d bytes of headers from %d", in, seen, len(in))
		}
		if err == nil && (h.length < 0 || h.length > maxLength || h.status < 0 || h.status > 999) {
			t.Errorf("%q: got %+v", in, h)
		}
	})
}
