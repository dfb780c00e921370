package dialguard

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestCheckURL(t *testing.T) {
	t.Parallel()
	strict := newGuard(t, Defaults())
	open := newGuard(t, Config{Allow: []string{"127.0.0.0/8", "10.0.0.0/8"}, AllowHTTP: true})
	const (
		fine    = "fine"
		denied  = "denied"
		invalid = "invalid"
	)
	for _, c := range []struct {
		url          string
		strict, open string
	}{
		{"https://example.com", fine, fine},
		{"https://example.com/hooks?token=1", fine, fine},
		{"HTTPS://EXAMPLE.COM/Hooks", fine, fine},
		{"https://example.com.", fine, fine},
		{"https://example.com:8443/", fine, fine},
		{"https://example.com:/", fine, fine},
		{"https://xn--bcher-kva.example/", fine, fine},
		{"https://a_b.example/", fine, fine},
		{"https://1.1.1.1/", fine, fine},
		{"https://[2606:4700::1111]/", fine, fine},
		{"http://example.com", denied, fine},
		{"HTTP://example.com", denied, fine},
		{"https://localhost/", denied, fine},
		{"https://LOCALHOST./", denied, fine},
		{"https://x.localhost/", denied, fine},
		{"https://127.0.0.1/", denied, fine},
		{"https://10.0.0.1/", denied, fine},
		{"https://[::ffff:10.0.0.1]/", denied, fine},
		{"https://[::1]/", denied, denied},
		{"https://169.254.169.254/latest", denied, denied},
		{"https://[fe80::1%25eth0]/", denied, denied},
		{"https://example.com:22/", denied, denied},
		{"https://example.com:0/", denied, denied},
		{"https://example.com:65536/", invalid, invalid},
		{"https://example.com:x/", invalid, invalid},
		{"", invalid, invalid},
		{"example.com/hooks", invalid, invalid},
		{"//example.com/hooks", invalid, invalid},
		{"https:example.com", invalid, invalid},
		{"https:///hooks", invalid, invalid},
		{"https://:443/", invalid, invalid},
		{"ftp://example.com", invalid, invalid},
		{"file:///etc/passwd", invalid, invalid},
		{"gopher://example.com", invalid, invalid},
		{"javascript:alert(1)", invalid, invalid},
		{"https://user:pass@example.com/", invalid, invalid},
		{"https://user@example.com/", invalid, invalid},
		{"https://@example.com/", invalid, invalid},
		{"https://example.com/#part", invalid, invalid},
		{"https://example.com/a b", invalid, invalid},
		{"https://example.com/\r\nx: y", invalid, invalid},
		{"https://example.com/\x00", invalid, invalid},
		{"https://bücher.example/", invalid, invalid},
		{"https://①②⑦.⓪.⓪.①/", invalid, invalid},
		{"https://127。0。0。1/", invalid, invalid},
		{"https://0/", invalid, invalid},
		{"https://127.1/", invalid, invalid},
		{"https://2130706433/", invalid, invalid},
		{"https://0x7f000001/", invalid, invalid},
		{"https://0x7f.1/", invalid, invalid},
		{"https://017700000001/", invalid, invalid},
		{"https://0177.0.0.1/", invalid, invalid},
		{"https://127.0.0.1./", invalid, invalid},
		{"https://1.2.3.4.5/", invalid, invalid},
		{"https://example..com/", invalid, invalid},
		{"https://.example.com/", invalid, invalid},
		{"https://exa%6dple.com/", invalid, invalid},
		{"https://exa%00mple.com/", invalid, invalid},
		{"https://example.com%2f@evil/", invalid, invalid},
		{"https://example.com\\@evil/", invalid, invalid},
		{"https://[example.com]/", invalid, invalid},
		{"https://[1.1.1.1]/", invalid, invalid},
		{"https://[::1/", invalid, invalid},
		{"https://" + strings.Repeat("a", 64) + ".example/", invalid, invalid},
		{"https://" + strings.Repeat("a.", 127) + "aa/", invalid, invalid},
		{"https://example.com/" + strings.Repeat("a", 2048), invalid, invalid},
	} {
		for guard, want := range map[*Guard]string{strict: c.strict, open: c.open} {
			got := fine
			if err := guard.CheckURL(c.url); errors.Is(err, ErrDenied) {
				got = denied
			} else if err != nil {
				got = invalid
			}
			if got != want {
				t.Errorf("CheckURL(%q) with http %v: %s (%v), want %s", c.url, guard.allowHTTP, got, guard.CheckURL(c.url), want)
			}
		}
	}
}

func TestURLErrorsKeepPathQueryAndPasswordToThemselves(t *testing.T) {
	t.Parallel()
	g := newGuard(t, Defaults())
	const canary = "c4n4ry"
	for _, u := range []string{
		"http://example.com/" + canary, "ftp://example.com/?k=" + canary, "https://u:" + canary + "@example.com/", "https://127.0.0.1/" + canary,
		"https://example.com:99999/" + canary, "https://exa mple.com/" + canary, "https://example.com/%zz" + canary, "https://e:22/" + canary, "https://1.2/" + canary,
		"https://example.com/#" + canary, canary + "://x", "https://[::1/" + canary, "https://" + canary + "..com", strings.Repeat(canary, 1000),
	} {
		if err := g.CheckURL(u); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("CheckURL(%q) = %v, want an error without %s", u, err, canary)
		}
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, u := range []string{"https://example.com/hooks", "http://127.0.0.1:8080/", "https://[::1]:443/", "https://0x7f.1/", "https://u:p@h/", "https://a%2fb/"} {
		f.Add(u)
	}
	g := newGuard(f, Defaults())
	f.Fuzz(func(t *testing.T, rawURL string) {
		u, err := g.ParseURL(rawURL)
		if err != nil {
			return
		}
		if u.Scheme != "https" || u.User != nil || u.Host != strings.ToLower(u.Host) {
			t.Fatalf("ParseURL(%q) = %s", rawURL, u)
		}
		if strings.ContainsAny(u.Host+u.RequestURI(), " \r\n\x00") {
			t.Fatalf("ParseURL(%q) lets a request be split: %q %q", rawURL, u.Host, u.RequestURI())
		}
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil && (addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast() || addr.IsUnspecified()) {
			t.Fatalf("ParseURL(%q) allows %s", rawURL, addr)
		}
		again, err := url.Parse(u.String())
		if err != nil || again.Host != u.Host {
			t.Fatalf("ParseURL(%q) = %s, which reads back as %v, %v", rawURL, u, again, err)
		}
	})
}
