package atrest

import (
	"maps"
	"testing"
)

func FuzzDecodeHeaders(f *testing.F) {
	f.Add(EncodeHeaders(map[string]string{"a": "1", "x-odd": "\xff\x00"}))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f})
	f.Fuzz(func(t *testing.T, b []byte) {
		headers, err := DecodeHeaders(b)
		if err != nil {
			return
		}
		if again, err := DecodeHeaders(EncodeHeaders(headers)); err != nil || !maps.Equal(again, headers) {
			t.Fatalf("DecodeHeaders(%x) = %v, which comes back as %v, %v", b, headers, again, err)
		}
	})
}
