package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/test/pgtest"
)

// password is in the URL of every database here, and in nothing that is printed.
const password = "hunter2-of-the-database"

// usePostgres has the test's commands work on an empty database of a server, and returns the database's name.
func usePostgres(t *testing.T, server *pgtest.Server) (database string) {
	t.Helper()
	url := server.Database(t)
	t.Chdir(t.TempDir())
	t.Setenv("SLUICE_STORE_URL", strings.Replace(url, "postgres@", "postgres:"+password+"@", 1))
	t.Setenv("SLUICE_ENCRYPTION_KEY", store.GenerateKey().Reveal())
	_, database, _ = strings.Cut(strings.Split(url, "?")[0], server.Addr()+"/")
	return database
}

// wantFailed runs a command that must fail and say some of why.
func wantFailed(t *testing.T, line string, whys ...string) {
	t.Helper()
	r := sluice(t, strings.Fields(line)...)
	for _, why := range whys {
		if r.code != exitFailed || !strings.Contains(r.out+r.err, why) {
			t.Errorf("sluice %s: got %+v, want code 1 and %q", line, r, why)
		}
	}
	if strings.Contains(r.out+r.err, password) {
		t.Errorf("sluice %s prints the password: %+v", line, r)
	}
}

// serving is a serve that runs.
type serving struct {
	log                   *screen
	ingress, control, ops string
	stop                  func() (code int)
}

// startServe runs serve on free ports.
func startServe(t *testing.T) *serving {
	t.Helper()
	for _, section := range []string{"INGRESS", "CONTROL", "OPS"} {
		t.Setenv("SLUICE_"+section+"_LISTEN", "127.0.0.1:0")
	}
	t.Setenv("SLUICE_TELEMETRY_LOG_FORMAT", "json")
	ctx, cancel := context.WithCancel(t.Context())
	s := &serving{log: newScreen()}
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, []string{"serve"}, nil, io.Discard, s.log) }()
	s.stop = func() int {
		cancel()
		code := <-ended
		ended <- code
		return code
	}
	t.Cleanup(func() { s.stop() })
	s.log.await(t, `"msg":"started"`)
	find := func(part string) string { return find(t, s.log.String(), `"`+part+`":"http://([^"]+)"`) }
	s.ingress, s.control, s.ops = find("ingress"), find("control"), find("ops")
	t.Setenv("SLUICE_INGRESS_LISTEN", s.ingress)
	t.Setenv("SLUICE_CONTROL_LISTEN", s.control)
	return s
}

// readiness asks /readyz.
func (s *serving) readiness(t *testing.T) (ready bool, checks map[string]string) {
	t.Helper()
	res, err := http.Get("http://" + s.ops + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer res.Body.Close()
	var got struct {
		Ready  bool
		Checks map[string]string
	}
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	return got.Ready, got.Checks
}

func TestServeOnPostgresFromAnEmptyDatabase(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{})
	database := usePostgres(t, server)
	arrived := make(chan string, 8)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		arrived <- r.Header.Get("webhook-id") + " " + string(body)
	}))
	defer receiver.Close()
	t.Setenv("SLUICE_NETWORK_ALLOW", "127.0.0.0/8")
	t.Setenv("SLUICE_NETWORK_ALLOW_HTTP", "true")

	// Nothing migrates by itself, and everything says what to run.
	for _, line := range []string{"serve", "check", "keys create"} {
		wantFailed(t, line, "run `sluice migrate up`")
	}
	if out := ok(t, "migrate", "status"); strings.Count(out, "not yet") < 2 {
		t.Errorf("migrate status of an empty database:\n%s", out)
	}
	if out := ok(t, "migrate", "up"); !strings.Contains(out, "the schema of postgres://"+server.Addr()+"/"+database+" is up to date") {
		t.Errorf("migrate up: %q", out)
	}
	if out := ok(t, "migrate", "status"); strings.Contains(out, "not yet") {
		t.Errorf("migrate status after up:\n%s", out)
	}
	if out := ok(t, "check"); !strings.Contains(out, "there are no partitions yet") || !strings.HasSuffix(out, "ok\n") {
		t.Errorf("check of a new database:\n%s", out)
	}

	t.Setenv(envKey, strings.TrimSpace(ok(t, "keys", "create")))
	s := startServe(t)
	ok(t, "endpoints", "create", "billing", "--url", receiver.URL, "--type", "order.*")
	id := strings.TrimSpace(ok(t, "send", "--type", "order.paid", "--data", `{"amount":12}`))
	select {
	case got := <-arrived:
		if want := id + ` {"amount":12}`; got != want {
			t.Errorf("arrived %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("%s did not arrive:\n%s", id, s.log)
	}
	eventually(t, `billing +(delivered)`, "deliveries")
	if ready, checks := s.readiness(t); !ready || checks["store"] != "ok" || checks["partitions"] != "ok" {
		t.Errorf("ready %v, %v, want yes", ready, checks)
	}
	if out := ok(t, "check"); strings.Contains(out, "store: ") {
		t.Errorf("check beside serve:\n%s", out)
	}

	server.Exec(t, database, "DROP TABLE deliveries_"+time.Now().UTC().AddDate(0, 0, 1).Format("20060102"))
	if ready, checks := s.readiness(t); !ready || !strings.Contains(checks["partitions"], time.Now().UTC().AddDate(0, 0, 1).Format(time.DateOnly)) {
		t.Errorf("ready %v, %v, want yes, for webhooks are taken, and the day that has no partition", ready, checks)
	}
	if code := s.stop(); code != exitOK {
		t.Errorf("serve ended with %d:\n%s", code, s.log)
	}
	if strings.Contains(s.log.String(), password) {
		t.Errorf("serve logs the password:\n%s", s.log)
	}
}

func TestPostgresWantsAKeyThatEveryProcessHas(t *testing.T) {
	usePostgres(t, pgtest.Shared(t))
	ok(t, "migrate", "up")
	t.Setenv("SLUICE_ENCRYPTION_KEY", "")
	for _, line := range []string{"serve", "keys create", "check"} {
		wantFailed(t, line, "encryption_key: missing", "openssl rand -base64 32")
	}
}

func TestCheckNamesWhatIsSealedWithAnotherKey(t *testing.T) {
	usePostgres(t, pgtest.Start(t, pgtest.Options{}))
	ok(t, "migrate", "up")
	t.Setenv(envKey, strings.TrimSpace(ok(t, "keys", "create")))
	s := startServe(t)
	ok(t, "sources", "create", "github", "--provider", "github", "--generate-secret")
	s.stop()
	ok(t, "check")
	t.Setenv("SLUICE_ENCRYPTION_KEY", store.GenerateKey().Reveal())
	wantFailed(t, "check", "is not in SLUICE_ENCRYPTION_KEY")
}

func TestPostgresThatCannotBeReached(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("SLUICE_ENCRYPTION_KEY", store.GenerateKey().Reveal())
	for url, why := range map[string]string{
		"postgres://me:" + password + "@127.0.0.1:1/sluice":                     "127.0.0.1:1",
		"postgres://me:" + password + "@127.0.0.1:x/sluice":                     "store.url: store url: ",
		"postgres://me:" + password + "@127.0.0.1/sluice?sslmode=" + password:   "store.url: store url: ",
		"postgres://me:" + password + "@127.0.0.1/sluice?pool_max_conns=some":   "store.url: store url: ",
		"postgres://127.0.0.1/sluice?password=" + password + "&sslmode=unknown": "store.url: store url: ",
	} {
		t.Setenv("SLUICE_STORE_URL", url)
		for _, line := range []string{"serve", "check", "keys create", "migrate up", "migrate status"} {
			wantFailed(t, line, why)
		}
	}
}

func TestPartsOfAFleetSayWhatTheyLack(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("SLUICE_STORE_URL", "postgres://me:"+password+"@db.example.com/sluice")
	for _, role := range []string{"ingress", "egress", "control"} {
		wantFailed(t, role, "broker.url: sqlite:", "store: postgres://db.example.com:5432/sluice\n", "'sluice serve'")
	}
}

func TestServeStartsAndAcceptsWhileTheDatabaseIsDown(t *testing.T) {
	server := pgtest.Start(t, pgtest.Options{})
	usePostgres(t, server)
	arrived := make(chan string, 8)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- r.Header.Get("webhook-id")
	}))
	defer receiver.Close()
	t.Setenv("SLUICE_NETWORK_ALLOW", "127.0.0.0/8")
	t.Setenv("SLUICE_NETWORK_ALLOW_HTTP", "true")
	ok(t, "migrate", "up")
	t.Setenv(envKey, strings.TrimSpace(ok(t, "keys", "create")))
	first := startServe(t)
	ok(t, "endpoints", "create", "billing", "--url", receiver.URL, "--type", "order.*")
	wantArrival(t, arrived, strings.TrimSpace(ok(t, "send", "--type", "order.paid", "--data", `{}`)))
	if code := first.stop(); code != exitOK {
		t.Fatalf("serve ended with %d:\n%s", code, first.log)
	}

	server.Stop(t, pgtest.Immediate)
	s := startServe(t)
	id := strings.TrimSpace(ok(t, "send", "--type", "order.paid", "--data", `{}`))
	if ready, checks := s.readiness(t); !ready || checks["store"] == "ok" {
		t.Errorf("ready %v, %v, want yes, and that the store is down", ready, checks)
	}
	server.Start(t)
	wantArrival(t, arrived, id)
}

func wantArrival(t *testing.T, arrived <-chan string, id string) {
	t.Helper()
	select {
	case got := <-arrived:
		if got != id {
			t.Fatalf("%s arrived, want %s", got, id)
		}
	case <-time.After(30 * time.Second):
		t.Fatalf("%s did not arrive", id)
	}
}
