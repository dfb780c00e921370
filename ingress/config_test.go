package ingress

import (
	"fmt"
	"strings"
	"testing"
)

func TestConfig(t *testing.T) {
	if problems := Defaults().Validate(); len(problems) > 0 {
		t.Errorf("defaults: %v", problems)
	}
	tests := []struct {
		name   string
		change func(*Config)
		want   string // empty: fine
	}{
		{"a public URL", func(c *Config) { c.PublicURL = "https://hooks.example.com" }, ""},
		{"a public URL below a path", func(c *Config) { c.PublicURL = "https://example.com/hooks" }, ""},
		{"a public URL with a slash", func(c *Config) { c.PublicURL = "https://hooks.example.com/" }, "ingress.public_url: https://hooks.example.com/: want no slash"},
		{"a public URL with a query", func(c *Config) { c.PublicURL = "https://hooks.example.com?a" }, "ingress.public_url: https://hooks.example.com?a: want no user, query"},
		{"a public URL without a scheme", func(c *Config) { c.PublicURL = "hooks.example.com" }, "ingress.public_url: hooks.example.com: want a URL such as"},
		{"no address", func(c *Config) { c.Listen = "8080" }, "ingress.listen: 8080: want HOST:PORT"},
		{"no body at all", func(c *Config) { c.MaxBody = 0 }, "ingress.max_body: 0: want 1 to 26214400 bytes (25 MiB)"},
		{"25 MiB", func(c *Config) { c.MaxBody = MaxMaxBody }, ""},
		{"more", func(c *Config) { c.MaxBody = MaxMaxBody + 1 }, "ingress.max_body: 26214401: want 1"},
		{"no connections", func(c *Config) { c.MaxConns = 0 }, "ingress.max_conns: 0: want 1 or more"},
		{"none from one address", func(c *Config) { c.MaxConnsPerIP = -1 }, "ingress.max_conns_per_ip: -1: want 1 or more"},
		{"everything", func(c *Config) { *c = Config{} }, "ingress.listen: : want HOST:PORT"},
	}
	for _, tt := range tests {
		c := Defaults()
		tt.change(&c)
		problems := c.Validate()
		if got := fmt.Sprint(problems); (tt.want == "") != (len(problems) == 0) || tt.want != "" && !strings.Contains(got, tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, got, tt.want)
		}
	}
	if problems := (Config{}).Validate(); len(problems) != 4 {
		t.Errorf("an empty section has %d problems, want all 4: %v", len(problems), problems)
	}
	if _, err := New(Config{}, Deps{}); err == nil {
		t.Error("New takes a configuration that is wrong")
	}
}
