package sqlite

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/sluicehq/sluice/broker"
)

// A row's data, little endian:
//
//	sum of what follows up to the messages, its id and time   4 bytes
//	number of messages                                        4
//	length of each message                                    4 each
//	messages: sum of the rest, its position and time          4
//	          length of the key, key                          varint, bytes
//	          number of headers                               varint
//	          each: length, name, length, value               varint, bytes, varint, bytes
//	          body                                            what is left
//
// Sums are CRC-32C. A flipped bit in a message damages that message, one in the head damages the row.
const (
	maxRowBytes    = 256 << 10        // a larger message has a row of its own
	maxRowMessages = maxRowBytes / 10 // the smallest takes 10 bytes
	rowHead        = 8
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// rowID is the key of the row whose first message is at position of stream; also what the sum of a message covers. Both
// fit for decades of 60,000 messages a second.
func rowID(stream, position int64) int64 { return stream<<positionBits | position }

const (
	positionBits = 46
	maxPosition  = 1<<positionBits - 1
	maxStreamID  = 1<<(63-positionBits) - 1
)

// sum covers data, where it is and when it was accepted.
func sum(id, ms int64, data []byte) uint32 {
	var at [16]byte
	binary.LittleEndian.PutUint64(at[:8], uint64(id))
	binary.LittleEndian.PutUint64(at[8:], uint64(ms))
	return crc32.Update(crc32.Update(0, castagnoli, at[:]), castagnoli, data)
}

// recordSize returns how many bytes a message adds to a row.
func recordSize(m *broker.Message) int {
	n := 4 + 4 + uvarintLen(len(m.Key)) + len(m.Key) + uvarintLen(len(m.Headers)) + len(m.Body)
	for i := range m.Headers {
		h := &m.Headers[i]
		n += uvarintLen(len(h.Name)) + len(h.Name) + uvarintLen(len(h.Value)) + len(h.Value)
	}
	return n
}

func uvarintLen(n int) int {
	size := 1
	for ; n >= 0x80; n >>= 7 {
		size++
	}
	return size
}

// appendRow appends the data of the row id, accepted at ms, with ms' messages.
func appendRow(dst []byte, id, ms int64, msgs []*broker.Message) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, rowHead+4*len(msgs))...)
	head := start + rowHead
	for i, m := range msgs {
		at := len(dst)
		dst = appendRecord(dst, id+int64(i), ms, m)
		binary.LittleEndian.PutUint32(dst[head+4*i:], uint32(len(dst)-at))
	}
	binary.LittleEndian.PutUint32(dst[start+4:], uint32(len(msgs)))
	binary.LittleEndian.PutUint32(dst[start:], sum(id, ms, dst[start+4:head+4*len(msgs)]))
	return dst
}

func appendRecord(dst []byte, id, ms int64, m *broker.Message) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = appendBytes(dst, m.Key)
	dst = binary.AppendUvarint(dst, uint64(len(m.Headers)))
	for i := range m.Headers {
		dst = appendBytes(dst, m.Headers[i].Name)
		dst = appendBytes(dst, m.Headers[i].Value)
	}
	dst = append(dst, m.Body...)
	binary.LittleEndian.PutUint32(dst[start:], sum(id, ms, dst[start+4:]))
	return dst
}

func appendBytes[T string | []byte](dst []byte, b T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// rowCount returns how many messages the row has.
func rowCount(id, ms int64, data []byte) (int, error) {
	if len(data) < rowHead {
		return 0, &damageError{fmt.Sprintf("row of %d bytes", len(data))}
	}
	n := int64(binary.LittleEndian.Uint32(data[4:]))
	if n < 1 || n > maxRowMessages || rowHead+4*n > int64(len(data)) || sum(id, ms, data[4:rowHead+4*n]) != binary.LittleEndian.Uint32(data) {
		return 0, &damageError{"head of a row"}
	}
	return int(n), nil
}

// decodeRow calls each for every message of the row from number skip on, with the message or why it cannot be had. The
// message is a copy that shares nothing with data. An error means that the head is damaged: nothing of the row can be had.
func decodeRow(id, ms int64, data []byte, skip int, names names, each func(i int, m *broker.Message, err error)) error {
	n, err := rowCount(id, ms, data)
	if err != nil {
		return err
	}
	at := rowHead + 4*n
	for i := range n {
		size := int(binary.LittleEndian.Uint32(data[rowHead+4*i:]))
		var m *broker.Message
		var err error
		if size < 4 || size > len(data)-at { // the lengths are right, so the row was cut
			size, err = 0, &damageError{"row is too short"}
		} else if i >= skip {
			m, err = decodeRecord(id+int64(i), ms, data[at:at+size], names)
		}
		if i >= skip {
			each(i, m, err)
		}
		at += size
	}
	return nil
}

func decodeRecord(id, ms int64, data []byte, names names) (*broker.Message, error) {
	if sum(id, ms, data[4:]) != binary.LittleEndian.Uint32(data) {
		return nil, &damageError{"message does not match its checksum"}
	}
	// A copy of its own: one unsettled message must not keep its neighbours of the row in memory.
	r := reader{rest: append(make([]byte, 0, len(data)-4), data[4:]...)}
	m := &broker.Message{Key: r.bytes(), Time: time.UnixMilli(ms).UTC()}
	if n := r.uvarint(); n > uint64(len(r.rest)/2) {
		r.bad = true // each header has at least two bytes
	} else if n > 0 {
		m.Headers = make([]broker.Header, 0, n)
		for range n {
			m.Headers = append(m.Headers, broker.Header{Name: names.get(r.bytes()), Value: r.bytes()})
		}
	}
	if m.Body = r.rest; r.bad {
		return nil, &damageError{"message does not decode"}
	}
	return m, nil
}

// reader takes bytes off a message; after the first that is not there it is bad and yields nothing.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// names keeps one copy of each header name: there are few, and each message repeats them.
type names map[string]string

func (ns names) get(b []byte) string {
	if s, ok := ns[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(ns) < 256 && len(s) <= 64 {
		ns[s] = s
	}
	return s
}
