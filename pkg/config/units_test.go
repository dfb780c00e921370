package config

import (
	"math"
	"testing"
)

func TestParseBytes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Bytes{
		"0": 0, "1": 1, "1B": 1, "512KiB": 512 << 10, "1MiB": 1 << 20, "1 MiB": 1 << 20, "2GiB": 2 << 30, "1TiB": 1 << 40,
		"1kB": 1000, "1KB": 1000, "1MB": 1e6, "1.5GB": 1.5e9, "1.5KiB": 1536, "9223372036854775807": math.MaxInt64,
	} {
		if got, err := ParseBytes(text); err != nil || got != want {
			t.Errorf("ParseBytes(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "B", "MiB", "-1", "+1", "1e3", "0x10", "1 megabyte", "1.5B", "1.0000001KiB", "9223372036854775808", "8388608TiB", "9999999999999.5TiB", "1  MiB", "1mib", "1.2.3MiB", "NaN", "1_000",
	} {
		if got, err := ParseBytes(text); err == nil {
			t.Errorf("ParseBytes(%q) = %d, want an error", text, got)
		}
	}
}

func FuzzBytes(f *testing.F) {
	f.Add("1MiB")
	f.Add("1500")
	f.Add("1.5GB")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := ParseBytes(text)
		if err != nil {
			return
		}
		if again, err := ParseBytes(b.String()); err != nil || again != b || b < 0 {
			t.Fatalf("ParseBytes(%q) = %d, written %s, read %d, %v", text, b, b, again, err)
		}
	})
}
