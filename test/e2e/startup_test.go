package e2e

import (
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What keeps sluice from starting is said in words that name the thing, at once, with an exit code that scripts can use.
func TestStartupProblemIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	running := tempDir(t)
	inUse := newConfig(t, running)
	serve(t, running, inUse)

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	with := func(section string, value any) config {
		c := maps.Clone(newConfig(t, t.TempDir()))
		c[section] = value
		return c
	}
	for name, tc := range map[string]struct {
		config config
		want   []string
	}{
		"a port in use":                    {with("ingress", map[string]any{"listen": taken.Addr().String()}), []string{taken.Addr().String(), "in use"}},
		"a data directory in use":          {with("data_dir", inUse["data_dir"]), []string{inUse["data_dir"].(string)}},
		"a data directory that is a file":  {with("data_dir", file), []string{file}},
		"a data directory nobody may make": {with("data_dir", "/proc/sluice"), []string{"/proc/sluice"}},
		"a key that does not exist":        {with("igress", map[string]any{}), []string{"sluice.yaml", "igress", "^"}},
		"a provider that does not exist":   {with("sources", []source{{Name: "a", Provider: "gitbuh", Secrets: []string{"0123456789abcdef"}}}), []string{"gitbuh"}},
		"an empty secret":                  {with("sources", []source{{Name: "a", Provider: "github", Secrets: []string{""}}}), []string{"secret"}},
		"a secret from nowhere":            {with("sources", []source{{Name: "a", Provider: "github", Secrets: []string{"env:SLUICE_E2E_UNSET"}}}), []string{"SLUICE_E2E_UNSET"}},
		"no authentication for the world":  {with("control", map[string]any{"listen": "0.0.0.0:0", "auth": "none"}), []string{"control.auth", "127.0.0.1"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := run(t, nil, "serve", "--config", tc.config.write(t, t.TempDir()))
			if r.code == 0 || r.code > 2 {
				t.Errorf("got %v, want exit code 1 or 2", r)
			}
			for _, want := range tc.want {
				if !strings.Contains(r.stderr, want) {
					t.Errorf("got %v, want %q in it", r, want)
				}
			}
			if lines := strings.Count(r.stderr, "\n"); lines > 15 || strings.Contains(r.stderr, "goroutine ") {
				t.Errorf("got %d lines, want a message: %v", lines, r)
			}
		})
	}
	t.Run("YAML that is none", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sluice.yaml")
		if err := os.WriteFile(path, []byte("ingress:\n  listen: [\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := run(t, nil, "serve", "--config", path); r.code == 0 || !strings.Contains(r.stderr, "sluice.yaml") {
			t.Errorf("got %v", r)
		}
	})
	t.Run("a file that is not there", func(t *testing.T) {
		if r := run(t, nil, "serve", "--config", "/nowhere/sluice.yaml"); r.code == 0 || !strings.Contains(r.stderr, "/nowhere/sluice.yaml") {
			t.Errorf("got %v", r)
		}
	})
}

func TestUsageErrorsExitWith2(t *testing.T) {
	for name, args := range map[string][]string{
		"an unknown flag":     {"serve", "--no-such-flag"},
		"an unknown command":  {"sevre"},
		"an unknown provider": {"trigger", "nobody", "push"},
	} {
		if r := run(t, nil, args...); r.code != 2 || r.stderr == "" || r.stdout != "" {
			t.Errorf("%s: got %v, want exit code 2 and a message on stderr alone", name, r)
		}
	}
}

func TestSeparateProcessesRefuseTheEmbeddedBrokerAndStore(t *testing.T) {
	for _, role := range []string{"ingress", "egress", "control"} {
		r := run(t, nil, role, "--config", newConfig(t, t.TempDir()).write(t, t.TempDir()))
		if r.code == 0 || !strings.Contains(r.stderr, "sqlite") || !strings.Contains(r.stderr, "sluice serve") {
			t.Errorf("sluice %s: got %v, want a message that names sqlite and sluice serve", role, r)
		}
	}
}
