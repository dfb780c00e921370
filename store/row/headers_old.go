package sqlite

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
)

// encodeHeaders writes headers as name, value, name, value, each with its length, by name. Not JSON: values are
// outside bytes, which JSON would have to be UTF-8. Nil and empty give nil.
func encodeHeaders(headers map[string]string) []byte {
	if len(headers) == 0 {
		return nil
	}
	var out []byte
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		for _, text := range [2]string{name, headers[name]} {
			out = binary.AppendUvarint(out, uint64(len(text)))
			out = append(out, text...)
		}
	}
	return out
}

var errHeaders = errors.New("headers of a row are damaged")

// decodeHeaders reads what encodeHeaders wrote; nil for nothing.
func decodeHeaders(b []byte) (map[string]string, error) {
	if len(b) == 0 {
		return nil, nil
	}
	headers := map[string]string{}
	for len(b) > 0 {
		var pair [2]string
		for i := range pair {
			n, width := binary.Uvarint(b)
			if width <= 0 || n > uint64(len(b)-width) {
				return nil, errHeaders
			}
			pair[i] = string(b[width : width+int(n)])
			b = b[width+int(n):]
		}
		headers[pair[0]] = pair[1]
	}
	return headers, nil
}
