package store

import (
	"strings"
	"testing"
)

func TestNumberedIDsReadBackAndSortAsTheirNumbers(t *testing.T) {
	t.Parallel()
	previous := ""
	for _, n := range []uint32{1, 31, 32, 1 << 20, 1<<32 - 1} {
		text := EndpointID(n).String()
		if got, err := ParseEndpointID(text); err != nil || got != EndpointID(n) {
			t.Errorf("ParseEndpointID(%q) = %d, %v, want %d", text, got, err, n)
		}
		if got, err := ParseSourceID(SourceID(n).String()); err != nil || got != SourceID(n) {
			t.Errorf("ParseSourceID(%s) = %d, %v, want %d", SourceID(n), got, err, n)
		}
		if got, err := ParseKeyID(KeyID(n).String()); err != nil || got != KeyID(n) {
			t.Errorf("ParseKeyID(%s) = %d, %v, want %d", KeyID(n), got, err, n)
		}
		if text <= previous {
			t.Errorf("%q sorts before %q", text, previous)
		}
		previous = text
	}
	if got, want := EndpointID(33).String(), "ep_0000011"; got != want {
		t.Errorf("EndpointID(33) = %q, want %q", got, want)
	}
}

func TestWrongNumberedIDsAreRefusedWithWhatIsWanted(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, id, want string }{
		{"nothing", "", "want ep_ and 7 characters"},
		{"another kind", "src_0000001", "want ep_ and 7 characters"},
		{"too short", "ep_1", "want 7 characters"},
		{"too long", "ep_00000001", "want 7 characters"},
		{"a letter that base32 leaves out", "ep_000000u", "not base32"},
		{"above 32 bits", "ep_zzzzzzz", "number too large"},
		{"zero", "ep_0000000", "zero is no id"},
		{"the bare number", "1", "want ep_ and 7 characters"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := ParseEndpointID(tt.id); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ParseEndpointID(%q) = %v, want %q", tt.id, err, tt.want)
			}
		})
	}
}

func FuzzParseEndpointID(f *testing.F) {
	f.Add("ep_0000001")
	f.Add("ep_3ZZZZZZ")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseEndpointID(s)
		if err != nil {
			return
		}
		if id == 0 || !strings.EqualFold(id.String(), s) {
			t.Fatalf("ParseEndpointID(%q) = %v", s, id)
		}
	})
}
