package egress

import (
	"testing"
	"time"
)

var retryNow = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	const unread = -1
	for value, want := range map[string]time.Duration{
		"1": time.Second, "120": 2 * time.Minute, " 5\t": 5 * time.Second, "007": 7 * time.Second,
		"0": time.Second, "-1": time.Second, "-99999999999999999999": time.Second,
		"3600": time.Hour, "3601": time.Hour, "86400": time.Hour, "99999999999999999999999": time.Hour,
		"Tue, 24 Nov 2026 12:01:00 GMT":   time.Minute,
		"Tuesday, 24-Nov-26 12:01:00 GMT": time.Minute,
		"Tue Nov 24 12:01:00 2026":        time.Minute,
		"Tue, 24 Nov 2026 11:59:00 GMT":   time.Second,
		"Wed, 21 Oct 2015 07:28:00 GMT":   time.Second,
		"Fri, 31 Dec 9999 23:59:59 GMT":   time.Hour,
		"Mon, 01 Jan 0001 00:00:00 GMT":   time.Second,
		"":                                unread, "soon": unread, "1.5": unread, "1e3": unread, "+5": unread, "--5": unread, "-": unread, "5 s": unread, "0x10": unread, "٣": unread,
		"2026-11-24T12:01:00Z": unread, "1, 2": unread, "Tue, 24 Nov 2026 12:01:00 CET": unread,
	} {
		got, ok := parseRetryAfter(value, retryNow)
		if !ok {
			got = unread
		}
		if got != want {
			t.Errorf("parseRetryAfter(%q) = %v, want %v", value, got, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"120", "-1", "Tue, 24 Nov 2026 12:01:00 GMT", "Tuesday, 24-Nov-26 12:01:00 GMT", "99999999999999999999", "soon", ""} {
		f.Add(s, int64(0))
	}
	f.Fuzz(func(t *testing.T, value string, later int64) {
		now := retryNow.Add(time.Duration(later))
		d, ok := parseRetryAfter(value, now)
		if ok && (d < minRetryAfter || d > maxRetryAfter) || !ok && d != 0 {
			t.Fatalf("parseRetryAfter(%q) = %v, %v, want 1 s to 1 h", value, d, ok)
		}
		if again, ok2 := parseRetryAfter(" "+value+" ", now); len(value) <= 62 && (again != d || ok2 != ok) {
			t.Fatalf("with spaces around it %q is %v, %v, without %v, %v", value, again, ok2, d, ok)
		}
	})
}
