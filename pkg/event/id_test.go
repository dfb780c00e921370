package event

import (
	"bytes"
	"testing"
	"time"
)

func TestIDTextRoundTripAndOrder(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_123)
	a, b := NewID(now), NewID(now.Add(time.Millisecond))
	if a.String() >= b.String() {
		t.Errorf("ids do not sort by time: %s, then %s", a, b)
	}
	got, err := ParseID(a.String())
	if err != nil || got != a {
		t.Errorf("ParseID(%s) = %v, %v", a, got, err)
	}
	if !a.Time().Equal(now) {
		t.Errorf("Time() = %v, want %v", a.Time(), now)
	}
	if len(a.String()) != 4+26 {
		t.Errorf("id %s has %d characters, want 30", a, len(a.String()))
	}
}

func FuzzBase32(f *testing.F) {
	f.Add([]byte{0xff, 0, 1})
	f.Add(make([]byte, 16))
	f.Fuzz(func(t *testing.T, b []byte) {
		text := EncodeBase32(b)
		got := make([]byte, len(b))
		if err := DecodeBase32(got, text); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("DecodeBase32(EncodeBase32(%x) = %q) = %x, %v", b, text, got, err)
		}
	})
}

func FuzzParseID(f *testing.F) {
	f.Add("evt_01kaz3nqg0000000000000000")
	f.Add("EVT_7ZZZZZZZZZZZZZZZZZZZZZZZZZ")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseID(s)
		if err != nil {
			return
		}
		if again, err := ParseID(id.String()); err != nil || again != id {
			t.Fatalf("ParseID(%q) = %v, which does not read back: %v, %v", s, id, again, err)
		}
	})
}
