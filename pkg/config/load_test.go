package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/pkg/control"
	"github.com/sluicehq/sluice/store"
)

// write puts files into a directory of their own and returns the path of the first.
func write(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, files[0])
}

func loadText(t *testing.T, text string, environ ...string) *Config {
	t.Helper()
	c, _, err := load(Input{Path: "sluice.yaml", Base: Defaults(), Environ: environ, Resources: true}, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// loadError returns what Load says against a file, as it is printed.
func loadError(t *testing.T, text string, environ ...string) string {
	t.Helper()
	_, _, err := load(Input{Path: "sluice.yaml", Base: Defaults(), Environ: environ, Resources: true}, []byte(text))
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error = %v, want an *Error", err)
	}
	return e.Error()
}

const (
	signingSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	sealKey       = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
)

func TestAnEmptyFileMeansTheDefaults(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"nothing": "", "comments": "# nothing\n", "a document marker": "---\n", "empty sections": "broker:\negress:\n  in_flight:\nsources:\n",
		"a byte order mark": "\ufeff", "braces": "{}", "windows": "broker:\r\n  topic: sluice.events\r\n",
	} {
		if got, want := *loadText(t, text), Defaults(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if _, _, err := Load(Input{Base: Defaults()}); err != nil {
		t.Errorf("no file: %v", err)
	}
}

// TestDefaultsAreThoseOfTheDesign holds the numbers of docs/design.md §9.
func TestDefaultsAreThoseOfTheDesign(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	c := Defaults()
	c.Telemetry, c.Ingress.MaxConns, c.Ingress.MaxConnsPerIP, c.Egress.IdleConnections, c.Egress.Drain = Config{}.Telemetry, 0, 0, 0, 0
	want := Config{
		DataDir: "./sluice-data",
		Broker:  Broker{URL: "sqlite:", Topic: "sluice.events", Group: "sluice-egress"},
		Store:   Store{URL: "sqlite:", Retention: Retention{Bodies: Duration(14 * day), History: Duration(30 * day)}},
		Ingress: Ingress{Listen: ":8080", MaxBody: 1 << 20},
		Egress: Egress{
			InFlight: 1024, SlowInFlight: 1024, Bodies: 128 << 20, OpenDeliveries: 65536, Commit: "settled",
			MaxHold: Duration(5 * time.Second),
		},
		Control: Control{Listen: "127.0.0.1:8081", Auth: "keys"},
		Ops:     Ops{Listen: "127.0.0.1:8082"},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
}

func TestEverySettingCanBeSetInTheFile(t *testing.T) {
	t.Parallel()
	c := loadText(t, `
data_dir: /var/lib/sluice
encryption_key: ["`+sealKey+`"]
broker: {url: "sqlite:", topic: t, group: g}
store:
  url: "sqlite:"
  retention: {bodies: 1d12h, history: 60d}
ingress: {listen: "127.0.0.1:1", public_url: https://hooks.example.com, max_body: 512KiB, max_conns: 7, max_conns_per_ip: 3}
egress:
  in_flight: 1
  slow_in_flight: 2
  bodies: 64MiB
  open_deliveries: 3
  commit: settled
  max_hold: 500ms
  drain: 10s
  idle_connections: 0
control:
  listen: localhost:2
  auth: none
ops: {listen: ":3"}
network: {allow: [10.0.0.0/8, "fd00::/8"], allow_http: true}
telemetry: {log_level: debug, log_format: json, otlp_endpoint: http://localhost:4318, trace_sample: 0.5}
`)
	in, work, send, api, guard := c.ForIngress(), c.ForDispatcher(), c.ForEgress(), c.ForControl(), c.ForDialGuard()
	for what, pair := range map[string][2]any{
		"data_dir":         {c.DataDir, "/var/lib/sluice"},
		"broker":           {c.Broker, Broker{"sqlite:", "t", "g"}},
		"bodies":           {work.Bodies, 36 * time.Hour},
		"history":          {work.History, 60 * 24 * time.Hour},
		"ingress.listen":   {in.Listen, "127.0.0.1:1"},
		"public_url":       {in.PublicURL, "https://hooks.example.com"},
		"max_body":         {in.MaxBody, int64(512 << 10)},
		"max_conns":        {in.MaxConns, 7},
		"max_conns_per_ip": {in.MaxConnsPerIP, 3},
		"in_flight":        {work.InFlight, 1},
		"slow_in_flight":   {work.SlowInFlight, 2},
		"egress.bodies":    {work.BodyBytes, int64(64 << 20)},
		"open_deliveries":  {work.OpenLimit, 3},
		"max_hold":         {work.MaxHold, 500 * time.Millisecond},
		"drain":            {work.Drain, 10 * time.Second},
		"idle_connections": {send.IdleConnections, 0},
		"control":          {[2]string{api.Listen, api.Auth}, [2]string{"localhost:2", "none"}},
		"ops.listen":       {c.Ops.Listen, ":3"},
		"allow":            {guard.Allow, []string{"10.0.0.0/8", "fd00::/8"}},
		"allow_http":       {guard.AllowHTTP, true},
		"log_level":        {c.Telemetry.LogLevel, "debug"},
		"trace_sample":     {c.Telemetry.TraceSample, 0.5},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s = %v, want %v", what, pair[0], pair[1])
		}
	}
	if sealer, err := c.Sealer(); err != nil || sealer == nil {
		t.Errorf("Sealer = %v, %v", sealer, err)
	}
}

func TestSourcesAndEndpoints(t *testing.T) {
	t.Parallel()
	c := loadText(t, `
sources:
  - name: github
    provider: github
    dedupe: false
    secrets: ["env:GITHUB"]
endpoints:
  - name: billing
    url: https://billing.example.com/hooks
    secrets:
      - env:BILLING
    auth: {kind: basic, username: me, password: "env:PASSWORD"}
    subscriptions:
      - types: ["order.**", invoice.paid]
        sources: [github]
    rate_limit: {per_second: 50, burst: 100}
    retry: {base: 5s, factor: 2, cap: 1h, max_age: 1d}
    forward: {headers: true}
    max_queued: 10
    timeout: 20s
    headers: {x-team: "01"}
`, "GITHUB=provider-secret-01", "BILLING="+signingSecret, "PASSWORD=hunter2")
	if len(c.Resources.Sources) != 1 || len(c.Resources.Endpoints) != 1 {
		t.Fatalf("resources %+v", c.Resources)
	}
	src, e := c.Resources.Sources[0], c.Resources.Endpoints[0]
	for what, pair := range map[string][2]any{
		"source name":     {src.Name, "github"},
		"source tenant":   {src.Tenant, "default"},
		"source secret":   {src.Secrets, []store.Secret{"provider-secret-01"}},
		"dedupe":          {src.Dedupe, false},
		"managed by":      {[2]store.ManagedBy{src.ManagedBy, e.ManagedBy}, [2]store.ManagedBy{store.ManagedByFile, store.ManagedByFile}},
		"url":             {e.URL, "https://billing.example.com/hooks"},
		"endpoint secret": {e.Secrets, []store.SigningSecret{{Secret: signingSecret}}},
		"auth":            {e.Auth, store.Auth{Kind: "basic", Username: "me", Secret: "hunter2"}},
		"subscriptions":   {e.Subscriptions, []store.Subscription{{Types: []string{"order.**", "invoice.paid"}, Sources: []string{"github"}}}},
		"rate limit":      {e.RateLimit, store.RateLimit{PerSecond: 50, Burst: 100}},
		"retry":           {e.Retry, store.RetryPolicy{Base: 5 * time.Second, Factor: 2, Cap: time.Hour, MaxAge: 24 * time.Hour}},
		"forward":         {e.Forward, store.Forward{Headers: true}},
		"max_queued":      {e.MaxQueued, int64(10)},
		"timeout":         {e.Timeout, 20 * time.Second},
		"headers":         {e.Headers, map[string]string{"x-team": "01"}},
	} {
		if !reflect.DeepEqual(pair[0], pair[1]) {
			t.Errorf("%s = %v, want %v", what, pair[0], pair[1])
		}
	}
}

func TestEndpointsAtAddressesThatAreAllowed(t *testing.T) {
	t.Parallel()
	endpoint := "endpoints: [{name: e, url: %s, secrets: [" + signingSecret + "]}]\n"
	dev := Defaults()
	dev.Network.Allow, dev.Network.AllowHTTP = []string{"127.0.0.0/8"}, true
	for _, tt := range []struct {
		name, url, network string
		environ            []string
		base               Config
	}{
		{name: "by the file", url: "https://10.1.2.3/hooks", network: "network: {allow: [10.0.0.0/8]}\n", base: Defaults()},
		{name: "by the environment", url: "https://10.1.2.3/hooks", environ: []string{"SLUICE_NETWORK_ALLOW=10.0.0.0/8"}, base: Defaults()},
		{name: "by what dev allows", url: "http://localhost:3000/hooks", base: dev},
		{name: "by its range, which is public", url: "https://93.184.216.34/hooks", base: Defaults()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			text := fmt.Sprintf(endpoint, tt.url) + tt.network
			c, _, err := load(Input{Path: "sluice.yaml", Base: tt.base, Environ: tt.environ, Resources: true}, []byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Resources.Endpoints; len(got) != 1 || got[0].URL != tt.url {
				t.Errorf("endpoints %+v, want one at %s", got, tt.url)
			}
		})
	}
}

func TestWithoutResourcesTheirSecretsAreNotAskedFor(t *testing.T) {
	t.Parallel()
	text := "sources: [{name: github, provider: github, secrets: [\"env:NOT_SET\"]}]\n"
	c, _, err := load(Input{Base: Defaults()}, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Sources[0].Secrets; len(got) != 1 || got[0] != "env:NOT_SET" || c.Resources.Sources != nil {
		t.Errorf("secrets %q, resources %v", string(got[0]), c.Resources)
	}
}

func TestReferences(t *testing.T) {
	t.Parallel()
	path := write(t, "sluice.yaml", `
encryption_key: ["file:key", "env:KEY"]
broker: {url: "env:BROKER"}
sources: [{name: s, provider: github, secrets: ["file:sub/../crlf", plain-secret-0001]}]
`, "key", sealKey+"\n", "crlf", " secret with space \r\n")
	if err := os.Mkdir(filepath.Join(filepath.Dir(path), "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	c, _, err := Load(Input{Path: path, Base: Defaults(), Environ: []string{"KEY=" + sealKey, "BROKER=sqlite:"}, Resources: true})
	if err != nil {
		t.Fatal(err)
	}
	if want := []control.Secret{sealKey, sealKey}; !reflect.DeepEqual(c.EncryptionKey, want) {
		t.Error("keys are not those of file and environment")
	}
	if got := c.Resources.Sources[0].Secrets; !reflect.DeepEqual(got, []store.Secret{" secret with space ", "plain-secret-0001"}) {
		t.Errorf("secrets %q", got[0].Reveal())
	}
	if c.Broker.URL != SQLite {
		t.Errorf("broker.url = %q", c.Broker.URL)
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, _, err := Load(Input{Path: filepath.Join(dir, "none.yaml"), Base: Defaults()}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v, want os.ErrNotExist", err)
	}
	if _, _, err := Load(Input{Path: dir, Base: Defaults()}); err == nil || !strings.HasPrefix(err.Error(), "read configuration: ") {
		t.Errorf("a directory: %v", err)
	}
	path := write(t, "big.yaml", strings.Repeat("# comment\n", MaxFile/10+1))
	if _, _, err := Load(Input{Path: path, Base: Defaults()}); err == nil || err.Error() != path+": more than 1048576 bytes, the most that is read" {
		t.Errorf("a large file: %v", err)
	}
}

func TestLargeFilesAreReadQuickly(t *testing.T) {
	t.Parallel()
	one := "  - name: NAME\n    url: https://a.example.com/hooks\n    secrets: [\"env:S\"]\n    subscriptions: [{types: [\"order.**\"], sources: [a]}]\n    timeout: 15s\n"
	var b strings.Builder
	b.WriteString("endpoints:\n")
	for i := range 5000 {
		b.WriteString(strings.Replace(one, "NAME", "e"+strconv.Itoa(i), 1))
	}
	start := time.Now()
	c := loadText(t, b.String(), "S="+signingSecret)
	if n := len(c.Resources.Endpoints); n != 5000 {
		t.Errorf("%d endpoints, want 5000", n)
	}
	if took := time.Since(start); took > 20*time.Second { // 0.3 s where this was written
		t.Errorf("took %v", took)
	}
}
