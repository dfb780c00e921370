package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
)

// A body starts with the event's number and the moment it was due, at fixed places, so that the receiver need not parse:
//
//	{"seq":"0000000000000042","due":"1700000000000000000","pad":"…"}
const (
	seqPrefix = `{"seq":"`
	duePrefix = `","due":"`
	padPrefix = `","pad":"`
	bodyEnd   = `"}`

	seqDigits = 16
	dueDigits = 19

	seqAt = len(seqPrefix)
	dueAt = seqAt + seqDigits + len(duePrefix)

	minBody = dueAt + dueDigits + len(padPrefix) + len(bodyEnd)
)

// appendBody appends the JSON body of event seq, due at that Unix time in ns, of size bytes (at least minBody).
func appendBody(dst []byte, seq, due int64, size int) []byte {
	dst = append(dst, seqPrefix...)
	dst = appendPadded(dst, seq, seqDigits)
	dst = append(dst, duePrefix...)
	dst = appendPadded(dst, due, dueDigits)
	dst = append(dst, padPrefix...)
	for range size - minBody {
		dst = append(dst, 'x')
	}
	return append(dst, bodyEnd...)
}

// parseBody reads what appendBody wrote; ok is false for any other body.
func parseBody(body []byte) (seq, due int64, ok bool) {
	if len(body) < minBody || string(body[:seqAt]) != seqPrefix {
		return 0, 0, false
	}
	seq, ok1 := parsePadded(body[seqAt : seqAt+seqDigits])
	due, ok2 := parsePadded(body[dueAt : dueAt+dueDigits])
	return seq, due, ok1 && ok2
}

func appendPadded(dst []byte, n int64, width int) []byte {
	var b [20]byte
	digits := strconv.AppendInt(b[:0], n, 10)
	for range width - len(digits) {
		dst = append(dst, '0')
	}
	return append(dst, digits...)
}

func parsePadded(b []byte) (n int64, ok bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

// signer writes requests as GitHub sends them. It keeps its buffers; one goroutine uses it at a time.
type signer struct {
	host, path string
	size       int
	run        uint32 // tells the deliveries of one run of the benchmark from those of another
	mac        hash.Hash
	body, req  []byte
	sum        []byte
}

func newSigner(host, path, secret string, size int, run uint32) *signer {
	return &signer{host: host, path: path, size: max(size, minBody), run: run, mac: hmac.New(sha256.New, []byte(secret))}
}

// request returns the bytes of the signed request for event seq of the given type; they are good until the next call.
func (s *signer) request(seq, due int64, eventType string) []byte {
	s.body = appendBody(s.body[:0], seq, due, s.size)
	s.mac.Reset()
	s.mac.Write(s.body)
	s.sum = s.mac.Sum(s.sum[:0])

	b := append(s.req[:0], "POST "...)
	b = append(b, s.path...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, s.host...)
	b = append(b, "\r\nUser-Agent: GitHub-Hookshot/bench\r\nContent-Type: application/json\r\nX-GitHub-Event: "...)
	b = append(b, eventType...)
	b = append(b, "\r\nX-GitHub-Delivery: "...)
	b = fmt.Appendf(b, "%08x-0000-4000-8000-%012x", s.run, seq)
	b = append(b, "\r\nX-Hub-Signature-256: sha256="...)
	b = hex.AppendEncode(b, s.sum)
	b = append(b, "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(s.body)), 10)
	b = append(b, "\r\n\r\n"...)
	s.req = append(b, s.body...)
	return s.req
}
