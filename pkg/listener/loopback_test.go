package listener

import (
	"strings"
	"testing"
)

func TestAddressesToListenOn(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, addr string
		want       string // part of the error; empty: fine
		loopback   bool
	}{
		{"all addresses", ":8080", "", false},
		{"IPv4 loopback", "127.0.0.1:8081", "", true},
		{"the whole of 127/8 is loopback", "127.8.9.10:1", "", true},
		{"IPv6 loopback", "[::1]:8081", "", true},
		{"IPv4 loopback mapped into IPv6", "[::ffff:127.0.0.1]:8081", "", true},
		{"localhost", "LocalHost:0", "", true},
		{"any address is not loopback", "0.0.0.0:8081", "", false},
		{"a name may resolve to anything", "localhost.example.com:8081", "", false},
		{"no port", "127.0.0.1", "want HOST:PORT", false},
		{"nothing", "", "want HOST:PORT", false},
		{"IPv6 without brackets", "::1:8081", "want HOST:PORT", false},
		{"port by name", "127.0.0.1:http", `port "http" is not a number`, true},
		{"port too large", "127.0.0.1:65536", "is not a number from 0 to 65535", true},
		{"leading zero", "127.0.0.1:0080", "write the port as 80", true},
		{"a URL", "http://localhost:80", "want HOST:PORT", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := CheckAddress(tt.addr)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("CheckAddress(%q) = %v, want %q", tt.addr, err, tt.want)
			}
			if got := Loopback(tt.addr); got != tt.loopback {
				t.Errorf("Loopback(%q) = %v, want %v", tt.addr, got, tt.loopback)
			}
		})
	}
}

func TestHostHeadersMeantForLoopback(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{
		"127.0.0.1:8081":       true,
		"127.0.0.1":            true,
		"localhost":            true,
		"localhost:8081":       true,
		"[::1]:8081":           true,
		"[::1]":                true,
		"::1":                  true,
		"":                     false,
		"evil.example":         false,
		"evil.example:8081":    false,
		"127.0.0.1.nip.io":     false,
		"localhost.evil.com":   false,
		"0.0.0.0:8081":         false,
		"10.0.0.1":             false,
		"127.0.0.1@evil.com":   false,
		"127.0.0.1:8081:80":    false,
		"localhost.":           false,
		"[::ffff:127.0.0.1]:1": true,
	}
	for header, want := range tests {
		if got := LoopbackHost(header); got != want {
			t.Errorf("LoopbackHost(%q) = %v, want %v", header, got, want)
		}
	}
}

func FuzzLoopbackHost(f *testing.F) {
	f.Add("localhost:8081")
	f.Add("[::1]")
	f.Fuzz(func(t *testing.T, header string) {
		if LoopbackHost(header) && !strings.ContainsAny(header, "1tT") {
			t.Fatalf("LoopbackHost(%q) is true, but it names no loopback address", header)
		}
	})
}
