package e2e

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// config is a configuration file. It is written as JSON, which is YAML.
type config map[string]any

// newConfig returns a configuration for `sluice serve` with data under dir, on free ports of the loopback interface.
func newConfig(t *testing.T, dir string) config {
	t.Helper()
	addrs := freeAddrs(t, 3)
	return config{
		"data_dir":  filepath.Join(dir, "data"),
		"ingress":   map[string]any{"listen": addrs[0]},
		"control":   map[string]any{"listen": addrs[1], "auth": "none"},
		"ops":       map[string]any{"listen": addrs[2]},
		"network":   map[string]any{"allow": []string{"127.0.0.0/8"}, "allow_http": true},
		"sources":   []source{},
		"endpoints": []endpoint{},
	}
}

type source struct {
	Name     string            `json:"name"`
	Provider string            `json:"provider"`
	Secrets  []string          `json:"secrets"`
	Params   map[string]string `json:"params,omitempty"`
}

type endpoint struct {
	Name          string         `json:"name"`
	URL           string         `json:"url"`
	Secrets       []string       `json:"secrets"`
	Subscriptions []subscription `json:"subscriptions"`
	Retry         map[string]any `json:"retry,omitempty"`
	MaxInFlight   int            `json:"max_in_flight,omitempty"`
	Timeout       string         `json:"timeout,omitempty"`
}

type subscription struct {
	Types   []string `json:"types,omitempty"`
	Sources []string `json:"sources,omitempty"`
}

func (c config) sources(s ...source) config {
	c["sources"] = append(c["sources"].([]source), s...)
	return c
}

func (c config) endpoints(e ...endpoint) config {
	c["endpoints"] = append(c["endpoints"].([]endpoint), e...)
	return c
}

func (c config) listen(section string) string {
	return c[section].(map[string]any)["listen"].(string)
}

// write writes the file and returns where.
func (c config) write(t *testing.T, dir string) string {
	t.Helper()
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sluice.yaml")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// freeAddrs returns addresses on which nobody listens. They stay free between two lives of a process unless something else
// asks for just that port.
func freeAddrs(t *testing.T, n int) []string {
	t.Helper()
	var addrs []string
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		addrs = append(addrs, ln.Addr().String())
	}
	return addrs
}
