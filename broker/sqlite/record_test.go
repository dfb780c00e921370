package sqlite

import (
	"bytes"
	"slices"
	"testing"

	"github.com/sluicehq/sluice/broker"
)

func someMessages() []*broker.Message {
	return []*broker.Message{
		{Topic: "t", Key: []byte("k"), Headers: []broker.Header{{Name: "a", Value: []byte{0xff}}, {Name: "", Value: nil}}, Body: []byte("first")},
		{Topic: "t"},
		{Topic: "t", Body: bytes.Repeat([]byte{0, 1, 2}, 1000), Headers: []broker.Header{{Name: "a", Value: bytes.Repeat([]byte("v"), 200)}}},
	}
}

func sameStored(a, b *broker.Message) bool {
	return string(a.Key) == string(b.Key) && string(a.Body) == string(b.Body) && slices.EqualFunc(a.Headers, b.Headers,
		func(x, y broker.Header) bool { return x.Name == y.Name && string(x.Value) == string(y.Value) })
}

func TestRowDecodesToWhatWasEncoded(t *testing.T) {
	t.Parallel()
	msgs := someMessages()
	row := appendRow(nil, 77, 1234, msgs)
	size := rowHead
	for _, m := range msgs {
		size += recordSize(m)
	}
	if len(row) != size {
		t.Errorf("the row has %d bytes, recordSize says %d", len(row), size)
	}
	for skip := range len(msgs) + 1 {
		next := skip
		err := decodeRow(77, 1234, row, skip, names{}, func(i int, m *broker.Message, err error) {
			if i != next || err != nil || !sameStored(m, msgs[i]) || m.Time.UnixMilli() != 1234 {
				t.Errorf("message %d (wanted %d): %v, %v", i, next, m, err)
			}
			next++
		})
		if err != nil || next != len(msgs) {
			t.Errorf("skipping %d: decoded up to %d, %v", skip, next, err)
		}
	}
}

// TestEveryFlippedBitIsDetected flips each bit of a row, and puts it somewhere else: what decodes is what was written.
func TestEveryFlippedBitIsDetected(t *testing.T) {
	t.Parallel()
	msgs := someMessages()
	row := appendRow(nil, 77, 1234, msgs)
	check := func(what string, id, ms int64, data []byte, most int) {
		t.Helper()
		good := 0
		err := decodeRow(id, ms, data, 0, names{}, func(i int, m *broker.Message, err error) {
			if err != nil {
				return
			}
			good++
			if !sameStored(m, msgs[i]) {
				t.Errorf("%s: message %d decodes to something else", what, i)
			}
		})
		if err == nil && good > most {
			t.Errorf("%s: %d messages decode, want at most %d", what, good, most)
		}
	}
	for bit := range 8 * len(row) {
		flipped := slices.Clone(row)
		flipped[bit/8] ^= 1 << (bit % 8)
		check("a flipped bit", 77, 1234, flipped, len(msgs)-1)
	}
	for n := range row {
		check("a row that was cut", 77, 1234, row[:n], len(msgs)-1)
	}
	check("another position", 78, 1234, row, 0)
	check("another time", 77, 1235, row, 0)
}

func FuzzDecodeRow(f *testing.F) {
	f.Add([]byte("garbage"), uint16(3), byte(1))
	f.Add([]byte{}, uint16(0), byte(0))
	f.Add([]byte{0, 0, 0, 0, 255, 255, 255, 255}, uint16(500), byte(128))
	msgs := someMessages()
	row := appendRow(nil, 77, 1234, msgs)
	f.Fuzz(func(t *testing.T, garbage []byte, at uint16, xor byte) {
		// Garbage decodes to nothing or to what encodes to itself.
		var decoded []*broker.Message
		bad := decodeRow(5, 6, garbage, 0, names{}, func(_ int, m *broker.Message, err error) {
			if err == nil {
				decoded = append(decoded, m)
			}
		})
		if n, err := rowCount(5, 6, garbage); bad == nil && err == nil && len(decoded) == n {
			size := rowHead
			for _, m := range decoded {
				size += recordSize(m)
			}
			if size > len(garbage) {
				t.Errorf("%d bytes decoded to messages of %d", len(garbage), size)
			}
		}
		// Garbage over a good row is noticed.
		damaged := slices.Clone(row)
		i := int(at) % len(row)
		n := copy(damaged[i:], garbage)
		if n == 0 {
			damaged[i] ^= xor
		}
		_ = decodeRow(77, 1234, damaged, 0, names{}, func(i int, m *broker.Message, err error) {
			if err == nil && !sameStored(m, msgs[i]) {
				t.Errorf("message %d of a damaged row decodes to something else", i)
			}
		})
	})
}

func TestRowsAreSplitBySizeAndNumber(t *testing.T) {
	t.Parallel()
	of := func(n, size int) []*broker.Message {
		return slices.Repeat([]*broker.Message{{Body: make([]byte, size)}}, n)
	}
	for name, c := range map[string]struct {
		msgs []*broker.Message
		want int
	}{
		"small ones share a row":             {of(100, 1000), 100},
		"a row has at most 256 KiB":          {of(100, 100<<10), 2},
		"a large message has its own row":    {of(3, 1<<20), 1},
		"small as they may be":               {of(70000, 0), maxRowMessages},
		"one message of no bytes is one row": {of(1, 0), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := rowMessages(c.msgs); got != c.want {
				t.Errorf("%d messages go into the first row, want %d", got, c.want)
			}
		})
	}
}
