package provider

import (
	"bytes"
	"testing"
)

// BenchmarkVerify is part of ingress' budget of 25 µs per event. Measured with 1 KiB on a 2-core cloud machine:
// 0.9 µs and no allocation by HMAC, 0.3 µs by token.
func BenchmarkVerify(b *testing.B) {
	for _, s := range subjects {
		b.Run(s.name(), func(b *testing.B) {
			scheme := s.scheme(b)
			req := s.request(seconds(testNow))
			req.Body = bytes.Repeat([]byte("x"), 1024)
			s.sign(req.Header, seconds(testNow), s.secret, req.Body)
			b.ReportAllocs()
			for b.Loop() {
				if err := scheme.Verify(req, testNow); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
