package store

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/sluicehq/sluice/pkg/event"
)

// Prefixes of the ids of numbered things, as the API, the command line and logs write them.
const (
	sourcePrefix   = "src_"
	endpointPrefix = "ep_"
	keyPrefix      = "key_"
)

// String writes the id as "src_" and seven characters of Crockford's base32.
func (id SourceID) String() string { return sourcePrefix + encodeNumber(uint32(id)) }

// String writes the id as "ep_" and seven characters of Crockford's base32.
func (id EndpointID) String() string { return endpointPrefix + encodeNumber(uint32(id)) }

// String writes the id as "key_" and seven characters of Crockford's base32.
func (id KeyID) String() string { return keyPrefix + encodeNumber(uint32(id)) }

// ParseSourceID reads what SourceID.String writes. Zero is no source.
func ParseSourceID(s string) (SourceID, error) {
	n, err := parseNumber("source", sourcePrefix, s)
	return SourceID(n), err
}

// ParseEndpointID reads what EndpointID.String writes. Zero is no endpoint.
func ParseEndpointID(s string) (EndpointID, error) {
	n, err := parseNumber("endpoint", endpointPrefix, s)
	return EndpointID(n), err
}

// ParseKeyID reads what KeyID.String writes. Zero is no key.
func ParseKeyID(s string) (KeyID, error) {
	n, err := parseNumber("key", keyPrefix, s)
	return KeyID(n), err
}

func encodeNumber(n uint32) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return event.EncodeBase32(b[:])
}

func parseNumber(noun, prefix, s string) (uint32, error) {
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return 0, fmt.Errorf("%s id %.64q: want %s and 7 characters", noun, s, prefix)
	}
	var b [4]byte
	if err := event.DecodeBase32(b[:], rest); err != nil {
		return 0, fmt.Errorf("%s id %.64q: %w", noun, s, err)
	}
	n := binary.BigEndian.Uint32(b[:])
	if n == 0 {
		return 0, fmt.Errorf("%s id %.64q: zero is no id", noun, s)
	}
	return n, nil
}
