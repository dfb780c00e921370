package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
)

// openOnly opens and closes the broker's file; it is what a child process does.
func openOnly(path string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	b, err := Open(ctx, Defaults(path), zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		return err
	}
	return b.Close(ctx)
}

// openInChild runs openOnly in a process of its own, and returns what it prints if it fails.
func openInChild(t *testing.T, path string) (output string, ok bool) {
	t.Helper()
	cmd := child(t, "opener", path)
	var out strings.Builder
	cmd.Stderr = &out
	err := cmd.Run()
	return out.String(), err == nil
}

func TestOneProcessHasTheFile(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	b := r.open(t)
	for _, wanted := range []string{r.cfg.Path, "in use by another process (pid ", ".lock", "another data_dir"} {
		if out, ok := openInChild(t, r.cfg.Path); ok || !strings.Contains(out, wanted) {
			t.Fatalf("a second process opened the file: %v, and said %q, want it to fail with %q", ok, out, wanted)
		}
	}
	if _, err := r.tryOpen(t); err == nil {
		t.Fatal("the same process opened the file twice")
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out, ok := openInChild(t, r.cfg.Path); !ok {
		t.Fatalf("after Close another process cannot open the file: %s", out)
	}
}

func TestOpenRefusesWhatIsNoBrokerFile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make func(t *testing.T, path string)
		want string
	}{
		"text": {func(t *testing.T, path string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(strings.Repeat("not a database\n", 1000)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is damaged"},
		"a directory": {func(t *testing.T, path string) {
			t.Helper()
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "unable to open"},
		"another application's database": {func(t *testing.T, path string) {
			t.Helper()
			alter(t, path, "CREATE TABLE theirs (x)")
		}, "not a broker file of Sluice"},
		"a newer version": {func(t *testing.T, path string) {
			t.Helper()
			if err := openOnly(path); err != nil {
				t.Fatal(err)
			}
			alter(t, path, "PRAGMA user_version = 99")
		}, "made by a newer Sluice"},
		"a truncated file": {func(t *testing.T, path string) {
			t.Helper()
			if err := openOnly(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(path, 2*pageSize); err != nil {
				t.Fatal(err)
			}
		}, "is damaged"},
		"a position that was changed": {func(t *testing.T, path string) {
			t.Helper()
			if err := openOnly(path); err != nil {
				t.Fatal(err)
			}
			alter(t, path, `INSERT INTO positions ("group", stream, position, sum) VALUES (1, 1, 5, 5)`)
		}, "does not match its checksum"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			c.make(t, r.cfg.Path)
			_, err := r.tryOpen(t)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), r.cfg.Path) {
				t.Errorf("open = %v, want an error that names the file and says %q", err, c.want)
			}
		})
	}
}

// alter runs a statement on a file that nobody has open.
func alter(t *testing.T, path, sql string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	c, err := connector(path)
	if err != nil {
		t.Fatal(err)
	}
	cn, err := connect(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(cn.query(ctx, sql, nil), cn.close()); err != nil {
		t.Fatal(err)
	}
}

func TestOpenTakesAnyFileName(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.cfg.Path = filepath.Join(filepath.Dir(r.cfg.Path), "a b?mode=memory&x=%41#ü.db")
	r.open(t)
	if _, err := os.Stat(r.cfg.Path); err != nil {
		t.Fatal(err)
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		url, path string
		streams   int
		err       string
	}{
		"alone means the default file": {url: "sqlite:", path: "/data/broker.db", streams: 4},
		"a relative path":              {url: "sqlite:queue/b.db", path: "/data/queue/b.db", streams: 4},
		"an absolute path":             {url: "sqlite:/var/lib/b.db", path: "/var/lib/b.db", streams: 4},
		"an absolute path as a URL":    {url: "sqlite:///var/lib/b.db", path: "/var/lib/b.db", streams: 4},
		"an escaped path":              {url: "sqlite:a%3fb.db", path: "/data/a?b.db", streams: 4},
		"streams":                      {url: "sqlite:?streams=8", path: "/data/broker.db", streams: 8},
		"too many streams":             {url: "sqlite:?streams=65", err: "1 to 64"},
		"streams that are no number":   {url: "sqlite:?streams=many", err: "not a number"},
		"an unknown parameter":         {url: "sqlite:?stream=4", err: "unknown parameter"},
		"a broken escape":              {url: "sqlite:%zz", err: "not a file name"},
		"another scheme":               {url: "kafka://h:9092", err: "want sqlite:"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := Parse(c.url, "/data")
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("Parse(%q) = %v, want an error with %q", c.url, err, c.err)
				}
				return
			}
			if err != nil || cfg.Path != c.path || cfg.Streams != c.streams {
				t.Errorf("Parse(%q) = %q, %d streams, %v; want %q, %d", c.url, cfg.Path, cfg.Streams, err, c.path, c.streams)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, url := range []string{"sqlite:", "sqlite:a.db?streams=3", "sqlite:///x?streams=0", "sqlite:%00", "sqlite:?streams=1;streams=2"} {
		f.Add(url)
	}
	f.Fuzz(func(t *testing.T, url string) {
		cfg, err := Parse(url, "/data")
		if err == nil && (len(cfg.Validate()) > 0 || !filepath.IsAbs(cfg.Path) || strings.ContainsRune(cfg.Path, 0)) {
			t.Errorf("Parse(%q) = %+v, which is not a usable configuration", url, cfg)
		}
	})
}

func TestValidateNamesEveryProblem(t *testing.T) {
	t.Parallel()
	problems := Config{TailBytes: -1, MinFree: -1, Drain: -1}.Validate()
	if len(problems) != 10 {
		t.Errorf("%d problems: %v, want one per field", len(problems), problems)
	}
}
