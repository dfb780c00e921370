package main

import (
	"bytes"
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/pkg/control"
)

// running is a command that runs beside the test.
type running struct {
	t      *testing.T
	out    *screen
	err    bytes.Buffer
	cancel context.CancelFunc
	ended  chan int
}

func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r := &running{t: t, out: newScreen(), cancel: cancel, ended: make(chan int, 1)}
	go func() { r.ended <- run(ctx, args, nil, r.out, &r.err) }()
	t.Cleanup(func() { // whatever happened, nothing is left
		cancel()
		if r.ended != nil {
			<-r.ended
		}
	})
	return r
}

// stop ends the command as Ctrl-C does and returns its exit code.
func (r *running) stop() int {
	r.t.Helper()
	r.cancel()
	code := <-r.ended
	r.ended = nil
	return code
}

// startDev runs dev on free ports, and points the test's other commands at it.
func startDev(t *testing.T) *running {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, section := range []string{"INGRESS", "CONTROL", "OPS"} {
		t.Setenv("SLUICE_"+section+"_LISTEN", "127.0.0.1:0")
	}
	dev := start(t, "dev")
	dev.out.await(t, "What is delivered is printed here")
	t.Setenv("SLUICE_INGRESS_LISTEN", find(t, dev.out.String(), `ingress   http://(\S+)/in/`))
	t.Setenv("SLUICE_CONTROL_LISTEN", find(t, dev.out.String(), `control   http://(\S+)/v1/`))
	return dev
}

// find returns what the parentheses of pattern hold.
func find(t *testing.T, text, pattern string) string {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("no %s in\n%s", pattern, text)
	}
	return found[1]
}

// ok runs a command that must succeed and returns its output.
func ok(t *testing.T, args ...string) string {
	t.Helper()
	r := sluice(t, args...)
	if r.code != exitOK {
		t.Fatalf("sluice %s: %+v", strings.Join(args, " "), r)
	}
	return r.out
}

// eventually repeats a command until its output has what pattern finds, and returns that. History is written after an
// attempt, so what has arrived may not be listed yet.
func eventually(t *testing.T, pattern string, args ...string) string {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		if found := regexp.MustCompile(pattern).FindStringSubmatch(ok(t, args...)); found != nil {
			return found[1]
		}
	}
	t.Fatalf("sluice %s: no %s after 10 s", strings.Join(args, " "), pattern)
	return ""
}

func TestDevToTheLastCommand(t *testing.T) {
	dev := startDev(t)

	// What comes in is printed, listed and shown.
	ok(t, "trigger", "github", "push")
	ok(t, "send", "--type", "order.paid", "--data", `{"amount": 12}`, "--id", "order-1")
	dev.out.await(t, "  push  evt_", "  order.paid  evt_")
	if strings.Count(dev.out.String(), "signature ok → 200") != 2 {
		t.Errorf("the receiver printed\n%s", dev.out)
	}
	id := eventually(t, `id: (evt_\w+)`, "events", "--q", "order-1", "-o", "yaml")
	eventually(t, `github  (push)`, "events", "--source", "github", "--since", "5m")
	if out := ok(t, "events", "--source", "github"); strings.Contains(out, "order.paid") {
		t.Errorf("events --source github:\n%s", out)
	}
	if body := ok(t, "events", "body", id); body != `{"amount":12}` {
		t.Errorf("body %q", body)
	}
	if out := ok(t, "events", "get", id); !strings.Contains(out, "dev-receiver") || !strings.Contains(out, "delivered") {
		t.Errorf("events get:\n%s", out)
	}

	// Another receiver fails at first; its delivery is queued, retried by hand, and arrives. It leaves no endpoint behind.
	listen := start(t, "listen", "--name", "mine", "--type", "order.*", "--fail-first", "1", "--status", "201")
	listen.out.await(t, "mine (ep_")
	ok(t, "send", "--type", "order.refused")
	listen.out.await(t, "signature ok → 500")
	ok(t, "deliveries", "retry", eventually(t, `"id": "(dlv_\w+)"`, "deliveries", "--endpoint", "mine", "--state", "queued", "-o", "json"))
	listen.out.await(t, "attempt 2", "signature ok → 201")
	if r := sluice(t, "listen", "--name", "mine"); r.code != exitFailed || !strings.Contains(r.err, "choose another --name") {
		t.Errorf("a second listen of that name: %+v", r)
	}
	if code := listen.stop(); code != exitOK || listen.err.Len() > 0 {
		t.Errorf("listen ended with %d and %q", code, listen.err.String())
	}
	if out := ok(t, "endpoints"); strings.Contains(out, "mine") || !strings.Contains(out, "dev-receiver") {
		t.Errorf("endpoints after listen:\n%s", out)
	}

	if code := dev.stop(); code != exitOK {
		t.Errorf("dev ended with %d: %s", code, dev.err.String())
	}
	if r := sluice(t, "events"); r.code != exitFailed || !strings.Contains(r.err, "nothing listens at http://127.0.0.1:") {
		t.Errorf("events after dev: %+v", r)
	}
}

func TestSourcesAndEndpointsAreMadeFromFlagsAndFiles(t *testing.T) {
	startDev(t)

	made := sluice(t, "sources", "create", "ci", "--provider", "github", "--generate-secret")
	secret := find(t, made.err, `shown this once: (\S+)`)
	if out := ok(t, "trigger", "github", "push", "--source", "ci", "--secret", secret); !strings.Contains(out, "accepted") {
		t.Errorf("trigger with the secret that was shown: %q", out)
	}
	t.Setenv("CRM_SECRET", "0123456789abcdef0123")
	writeFile(t, "source.json", `{"name": "crm", "provider": "hmac", "params": {"header": "X-Sig"}, "secrets": ["env:CRM_SECRET"], "dedupe": false}`)
	ok(t, "sources", "create", "-f", "source.json")
	if out := ok(t, "sources", "get", "crm"); !strings.Contains(out, "header: X-Sig") || !strings.Contains(out, "go through") {
		t.Errorf("sources get crm:\n%s", out)
	}
	if r := sluice(t, "sources", "create", "crm", "--provider", "github", "--generate-secret"); r.code != exitFailed || !strings.Contains(r.err, "source crm: ") {
		t.Errorf("a second source of that name: %+v", r)
	}
	ok(t, "sources", "delete", "crm")
	if r := sluice(t, "sources", "get", "crm"); r.code != exitFailed || !strings.Contains(r.err, "there is no source crm") {
		t.Errorf("a deleted source: %+v", r)
	}

	made = sluice(t, "endpoints", "create", "one", "--url", "http://127.0.0.1:1/x", "--type", "a.*", "--source", "ci", "--header", "x-team: a", "--rate", "5", "--timeout", "3s")
	find(t, made.err, `shown this once: (whsec_\S+)`)
	if out := ok(t, "endpoints", "get", "one"); !strings.Contains(out, "a.* from ci") || !strings.Contains(out, "5 per second") || !strings.Contains(out, "x-team: a") || !strings.Contains(out, "3s") {
		t.Errorf("endpoints get one:\n%s", out)
	}
	r := sluiceIn(t, "name: two\nurl: http://127.0.0.1:1/\nsubscriptions: [{types: [b]}]\nretry: {max_age: 1h}\n", "endpoints", "create", "-f", "-", "-o", "json")
	var two control.CreatedEndpoint
	if err := json.Unmarshal([]byte(r.out), &two); err != nil || len(two.Secrets) != 1 || two.Retry.MaxAge.String() != "1h" {
		t.Errorf("endpoints create -f -: %+v, %v", r, err)
	}
	for _, step := range [][2]string{{"pause", "is paused"}, {"pause", "is paused"}, {"resume", "is active"}, {"enable", "is active"}} {
		if out := ok(t, "endpoints", step[0], "two"); !strings.Contains(out, step[1]) {
			t.Errorf("endpoints %s: %q", step[0], out)
		}
	}
	ok(t, "endpoints", "delete", two.ID)
	if out := ok(t, "endpoints"); strings.Contains(out, "two") {
		t.Errorf("endpoints:\n%s", out)
	}
	r = sluice(t, "endpoints", "create", "bad", "--url", "http://10.0.0.1/", "--type", "*")
	if r.code != exitFailed || !strings.Contains(r.err, "url: ") {
		t.Errorf("an endpoint in a denied range: %+v", r)
	}
	r = sluice(t, "endpoints", "delete", "dev-receiver")
	if r.code != exitFailed || !strings.Contains(r.err, "configuration file") {
		t.Errorf("deleting an endpoint of the file: %+v", r)
	}
}

func TestCompletionKnowsNamesAndValues(t *testing.T) {
	startAPI(t)
	for line, want := range map[string]string{
		"endpoints get |":             "billing\tactive\ntwin\tpaused",
		"endpoints pause x |":         "",
		"sources delete |":            "github\tgithub\ncrm\thmac",
		"events --source |":           "github\tgithub\ncrm\thmac",
		"deliveries --state |":        "queued\ndelivered\ndead\ncanceled",
		"events -o |":                 "table\njson\nyaml",
		"trigger github |":            "push\n",
		"trigger |":                   "basic\ngithub\n",
		"help endpoints |":            "list\nget\ncreate",
		"events get |":                someEvents(1)[0].ID + "\tpush, 2020-02-03 04:05",
		"deliveries retry |":          someDeliveries[0].ID + "\tdelivered, 2020-02-03 04:05",
		"sources create --provider |": "basic\ngithub",
	} {
		words := strings.Split(strings.TrimSuffix(line, " |"), " ")
		r := sluice(t, append(append([]string{"__complete"}, words...), "")...)
		if r.code != exitOK || !strings.Contains(r.out, want) || want == "" && !strings.HasPrefix(r.out, ":") {
			t.Errorf("%s offers %q, want %q", line, r.out, want)
		}
	}
	t.Setenv(envControlURL, "http://127.0.0.1:1")
	if r := sluice(t, "__complete", "endpoints", "get", ""); strings.Contains(r.out, "refused") {
		t.Errorf("without an API it offers %q", r.out)
	}
}
