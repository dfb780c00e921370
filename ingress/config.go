package ingress

import (
	"fmt"
	"net/url"

	"github.com/sluicehq/sluice/pkg/listener"
)

// Config is the section `ingress:` of the configuration file.
type Config struct {
	Listen        string `yaml:"listen"`           // HOST:PORT that providers and publishers call
	PublicURL     string `yaml:"public_url"`       // what providers call it, without a path of ours; empty: not known
	MaxBody       int64  `yaml:"max_body"`         // bytes of a request's body, 1 to MaxMaxBody
	MaxConns      int    `yaml:"max_conns"`        // connections at once; further ones wait
	MaxConnsPerIP int    `yaml:"max_conns_per_ip"` // of them from one address, or one /64 of IPv6; loopback has no limit
}

// MaxMaxBody is the most that max_body may be set to, in bytes.
const MaxMaxBody = 25 << 20

// Defaults returns the section as it is when left out.
func Defaults() Config {
	return Config{Listen: ":8080", MaxBody: 1 << 20, MaxConns: 10_000, MaxConnsPerIP: 256}
}

// Validate returns everything that is wrong with the section, each as "path: value: what is wrong, what to do".
func (c Config) Validate() []error {
	var problems []error
	add := func(path string, value any, what string) {
		problems = append(problems, fmt.Errorf("ingress.%s: %v: %s", path, value, what))
	}
	if err := listener.CheckAddress(c.Listen); err != nil {
		add("listen", c.Listen, err.Error())
	}
	if err := checkPublicURL(c.PublicURL); err != nil {
		add("public_url", c.PublicURL, err.Error())
	}
	if c.MaxBody < 1 || c.MaxBody > MaxMaxBody {
		add("max_body", c.MaxBody, fmt.Sprintf("want 1 to %d bytes (%d MiB)", MaxMaxBody, MaxMaxBody>>20))
	}
	if c.MaxConns < 1 {
		add("max_conns", c.MaxConns, "want 1 or more")
	}
	if c.MaxConnsPerIP < 1 {
		add("max_conns_per_ip", c.MaxConnsPerIP, "want 1 or more; behind a proxy, as many as it opens")
	}
	return problems
}

func checkPublicURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return fmt.Errorf("want a URL such as https://hooks.example.com")
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil || u.ForceQuery:
		return fmt.Errorf("want no user, query or fragment in it")
	case len(text) > 0 && text[len(text)-1] == '/':
		return fmt.Errorf("want no slash at its end")
	}
	return nil
}
