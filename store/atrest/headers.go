package atrest

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
)

// EncodeHeaders writes headers as name, value, name, value, each with its length, by name. Not JSON: values are
// outside bytes, which JSON would have to be UTF-8. Nil and empty give nil.
func EncodeHeaders(headers map[string]string) []byte {
	if len(headers) == 0 {
		return nil
	}
	var out []byte
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		out = AppendText(AppendText(out, name), headers[name])
	}
	return out
}

var errHeaders = errors.New("headers of a row are damaged")

// DecodeHeaders reads what EncodeHeaders wrote; nil for nothing.
func DecodeHeaders(b []byte) (map[string]string, error) {
	if len(b) == 0 {
		return nil, nil
	}
	headers := map[string]string{}
	for len(b) > 0 {
		name, rest, ok := CutText(b)
		value, rest, also := CutText(rest)
		if !ok || !also {
			return nil, errHeaders
		}
		headers[name], b = value, rest
	}
	return headers, nil
}

// AppendText appends text behind its length.
func AppendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// CutText cuts what AppendText wrote off the front of b; ok is false if b begins with no such thing.
func CutText(b []byte) (text string, rest []byte, ok bool) {
	n, width := binary.Uvarint(b)
	if width <= 0 || n > uint64(len(b)-width) {
		return "", nil, false
	}
	return string(b[width : width+int(n)]), b[width+int(n):], true
}
