package event

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"time"
)

// ID names an event: 48 bits of its Time in Unix milliseconds, then 80 bits that are random (ingress) or a digest of
// the message's position (broker sources). It sorts by time, as bytes and as text.
type ID [16]byte

// idPrefix starts every written event id.
const idPrefix = "evt_"

// NewID returns an id for an event accepted at t, with 80 random bits.
func NewID(t time.Time) ID {
	var id ID
	putMillis(&id, t)
	rand.Read(id[6:]) // crypto/rand.Read never fails since Go 1.24
	return id
}

func putMillis(id *ID, t time.Time) {
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(t.UnixMilli(), 0)))
	copy(id[:6], ms[2:])
}

// Time returns the millisecond the id was made for.
func (id ID) Time() time.Time {
	var ms [8]byte
	copy(ms[2:], id[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(ms[:]))).UTC()
}

// IsZero reports whether the id is unset.
func (id ID) IsZero() bool { return id == ID{} }

// String writes the id as "evt_" and 26 lower-case characters of Crockford's base32.
func (id ID) String() string {
	var buf [30]byte
	text, _ := id.AppendText(buf[:0]) // never fails
	return string(text)
}

// AppendText appends what String writes; the error is always nil.
func (id ID) AppendText(b []byte) ([]byte, error) {
	return AppendBase32(append(b, idPrefix...), id[:]), nil
}

// ParseID reads what String writes; letters may be of either case.
func ParseID(s string) (ID, error) {
	var id ID
	rest, ok := cutPrefixFold(s, idPrefix)
	if !ok {
		return id, fmt.Errorf("event id %s: want %s and 26 characters", quote(s), idPrefix)
	}
	if err := DecodeBase32(id[:], rest); err != nil {
		return ID{}, fmt.Errorf("event id %s: %w", quote(s), err)
	}
	return id, nil
}

// MarshalText writes what String writes.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads what ParseID reads.
func (id *ID) UnmarshalText(text []byte) (err error) {
	*id, err = ParseID(string(text))
	return err
}
