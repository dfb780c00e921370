package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

func workingDir(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestHumanTime(t *testing.T) {
	now := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	for ago, want := range map[time.Duration]string{
		0: "now", 999 * time.Millisecond: "now", time.Second: "1s ago", 59 * time.Second: "59s ago", time.Minute: "1m ago", time.Hour: "1h ago",
		47 * time.Hour: "47h ago", 48 * time.Hour: "2026-09-29 12:00", -9 * time.Second: "in 9s", -72 * time.Hour: "2026-10-04 12:00",
	} {
		if got := humanTime(now.Add(-ago), now); got != want {
			t.Errorf("%v ago: %q, want %q", ago, got, want)
		}
	}
	if got := humanTime(time.Time{}, now); got != "" {
		t.Errorf("never: %q", got)
	}
}

func TestHumanAmounts(t *testing.T) {
	for ms, want := range map[float64]string{0: "", 0.4394: "440µs", 12.345: "12ms", 15000: "15s", 1234.5: "1.23s"} {
		if got := humanMS(ms); got != want {
			t.Errorf("humanMS(%v) = %q, want %q", ms, got, want)
		}
	}
	for n, want := range map[int]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 1 << 20: "1.0 MiB"} {
		if got := humanBytes(n); got != want {
			t.Errorf("humanBytes(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestTableKeepsItsColumns(t *testing.T) {
	var b strings.Builder
	w := table{out: &b, style: style{colours: true}}
	rows := [][]cell{heading([]string{"A", "B"}), {{"grün", green}, {"x", plain}}, {{"", plain}, {"a\tb\nc", red}}}
	if err := w.write(rows...); err != nil {
		t.Fatal(err)
	}
	want := "\x1b[1mA\x1b[0m     \x1b[1mB\x1b[0m\n\x1b[32mgrün\x1b[0m  x\n-     \x1b[31ma·b·c\x1b[0m\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

func TestURLsAreShownWithoutWhatMayBeSecret(t *testing.T) {
	for url, want := range map[string]string{
		"http://127.0.0.1:8081":                    "http://127.0.0.1:8081",
		"https://user:pw@example.com/a/?token=x#y": "https://example.com/a",
		"not a url":               "the given URL",
		"http://[::1]:80/\x1b[2J": "the given URL",
		"http://example.com/in/github?secret=12345": "http://example.com/in/github",
	} {
		if got := shownURL(url); got != want {
			t.Errorf("shownURL(%q) = %q, want %q", url, got, want)
		}
	}
}

func TestLocalURL(t *testing.T) {
	for listen, want := range map[string]string{
		":8080": "http://127.0.0.1:8080", "0.0.0.0:1": "http://127.0.0.1:1", "[::]:1": "http://127.0.0.1:1", "[::1]:1": "http://[::1]:1",
		"localhost:1": "http://localhost:1", "10.0.0.1:1": "http://10.0.0.1:1",
	} {
		if got := localURL(listen); got != want {
			t.Errorf("localURL(%q) = %q, want %q", listen, got, want)
		}
	}
}
