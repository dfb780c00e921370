package postgres

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	cfg, err := ParseURL("postgres://me:secret@a:1,b:2/fleet?target_session_attrs=read-write&sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	conn := cfg.ConnConfig
	if conn.Host != "a" || conn.Port != 1 || len(conn.Fallbacks) != 1 || conn.Fallbacks[0].Host != "b" || conn.ValidateConnect == nil {
		t.Errorf("hosts are %s:%d and %+v", conn.Host, conn.Port, conn.Fallbacks)
	}
	if cfg.MaxConns != 0 || conn.ConnectTimeout != connectTimeout || cfg.PingTimeout != pingTimeout {
		t.Errorf("without parameters: %d connections, %v to connect, %v to ping", cfg.MaxConns, conn.ConnectTimeout, cfg.PingTimeout)
	}
	if conn.DefaultQueryExecMode != pgx.QueryExecModeCacheDescribe {
		t.Errorf("statements are prepared (mode %v): a pooler in transaction mode does not know them", conn.DefaultQueryExecMode)
	}
	if cfg, err = ParseURL("postgres://me@a/fleet?pool_max_conns=3&connect_timeout=1"); err != nil || cfg.MaxConns != 3 ||
		cfg.ConnConfig.ConnectTimeout.Seconds() != 1 {
		t.Errorf("with parameters: %+v, %v", cfg, err)
	}
}

func FuzzParseURLTellsNoPassword(f *testing.F) {
	for _, rest := range []string{
		"@127.0.0.1:x/sluice", "@127.0.0.1/sluice?sslmode=unknown", "@127.0.0.1/sluice?pool_max_conns=some", "@[::1/sluice", "",
		"@a,b:c/", "@127.0.0.1/sluice?sslrootcert=nowhere&sslmode=verify-full", "@h/d?target_session_attrs=any-thing", " @h", "@h/%zz",
	} {
		f.Add(rest)
	}
	const password = "hunter2hunter2"
	f.Fuzz(func(t *testing.T, rest string) {
		for _, text := range []string{"postgres://me:" + password + rest, "postgres://h/d?password=" + password + rest, "password=" + password + " " + rest} {
			if _, err := ParseURL(text); err != nil && strings.Contains(err.Error(), password) {
				t.Fatalf("ParseURL with %q = %v", rest, err)
			}
		}
	})
}
