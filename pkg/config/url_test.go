package config

import "testing"

func TestStoreURLs(t *testing.T) {
	t.Parallel()
	const url = "postgres://sluice:hunter2@h1,h2:5433/db?target_session_attrs=read-write"
	path := write(t, "sluice.yaml", "store: {url: \"file:url\"}\n", "url", url+"\n")
	for _, tt := range []struct{ name, path, environ, want string }{
		{"from the file", write(t, "sluice.yaml", "store: {url: \""+url+"\"}\n"), "X=", url},
		{"by the other name of the scheme", "", "SLUICE_STORE_URL=postgresql://h/db", "postgresql://h/db"},
		{"from a variable that another one names", "", "SLUICE_STORE_URL=env:X", "sqlite:"},
		{"from a file of secrets", path, "X=", url},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, _, err := Load(Input{Path: tt.path, Base: Defaults(), Environ: []string{tt.environ, "X=sqlite:"}})
			if err != nil {
				t.Fatal(err)
			}
			if c.Store.URL != tt.want {
				t.Errorf("store.url = %q, want %q", c.Store.URL, tt.want)
			}
		})
	}
}
