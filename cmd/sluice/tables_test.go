package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/sluicehq/sluice/pkg/control"
)

func TestTables(t *testing.T) {
	golden := goldenFrom(t)
	startAPI(t)
	var all strings.Builder
	for _, line := range []string{
		"events", "events --limit 2", "events get " + eventID(1).String(), "deliveries", "deliveries --endpoint billing --state dead",
		"deliveries get " + someDeliveries[1].ID, "sources", "sources get crm", "endpoints list", "endpoints get billing",
		"events -o json --limit 1", "events -o yaml --limit 2", "deliveries get " + someDeliveries[1].ID + " -o yaml", "sources get crm -o json",
		"endpoints get twin", "endpoints get nobody", "sources get src_0000009", "deliveries --endpoint nobody",
	} {
		r := sluice(t, strings.Fields(line)...)
		fmt.Fprintf(&all, "$ sluice %s\n%s", line, r.out)
		if r.err != "" {
			fmt.Fprintf(&all, "[stderr]\n%s", r.err)
		}
		fmt.Fprintf(&all, "[exit %d]\n\n", r.code)
	}
	if strings.ContainsFunc(all.String(), invisible) {
		t.Errorf("characters that play with a terminal in\n%q", all.String())
	}
	golden("tables.txt", all.String())
}

// goldenFrom returns wantGolden for after the test has changed its directory.
func goldenFrom(t *testing.T) func(name, got string) {
	t.Helper()
	home := workingDir(t)
	return func(name, got string) {
		t.Helper()
		t.Chdir(home)
		wantGolden(t, name, got)
	}
}

func TestFiltersReachTheAPI(t *testing.T) {
	api := startAPI(t)
	for line, want := range map[string]string{
		"events --type a.b --source github --q x --until 2020-01-02T03:04:05Z --tenant acme --limit 7": "GET /v1/events?limit=8&q=x&source=github&tenant=acme&type=a.b&until=2020-01-02T03%3A04%3A05Z",
		"deliveries --endpoint billing --state dead --event " + eventID(1).String() + " --all":         "GET /v1/deliveries?endpoint=ep_0000001&event=" + eventID(1).String() + "&limit=250&state=dead",
		"sources --tenant acme": "GET /v1/sources?tenant=acme",
	} {
		if r := sluice(t, strings.Fields(line)...); r.code != exitOK {
			t.Errorf("%s: %+v", line, r)
		}
		if !slices.Contains(api.requests(), want) {
			t.Errorf("%s: asked %q, want %s", line, api.requests(), want)
		}
	}
}

func TestKeyGoesToTheAPIFromTheEnvironmentOrTheFlag(t *testing.T) {
	api := startAPI(t)
	t.Setenv(envKey, "slk_env")
	for _, tc := range []struct{ line, want string }{{"sources", "Bearer slk_env"}, {"sources --api-key slk_flag", "Bearer slk_flag"}, {"events list", "Bearer slk_env"}} {
		ok(t, strings.Fields(tc.line)...)
		if api.auth != tc.want {
			t.Errorf("%s: sent %q, want %q", tc.line, api.auth, tc.want)
		}
	}
}

func TestLimitsCutAndAllPages(t *testing.T) {
	api := startAPI(t)
	api.mux = http.NewServeMux()
	serveList(api, "/v1/events", someEvents(120))
	for line, want := range map[string]int{"events --limit 7": 7, "events": 50, "events --all": 120, "events --limit 200": 120} {
		r := sluice(t, strings.Fields(line+" -o json")...)
		var page control.Page[control.Event]
		if err := json.Unmarshal([]byte(r.out), &page); err != nil || len(page.Data) != want {
			t.Errorf("%s: %d events, %v, want %d", line, len(page.Data), err, want)
		}
		if more := strings.Contains(r.err, "there are more"); more != (want < 120) {
			t.Errorf("%s: stderr %q", line, r.err)
		}
	}
}

func TestListThatBreaksOffFailsAndIsNoWholeDocument(t *testing.T) {
	api := startAPI(t)
	api.mux = http.NewServeMux()
	api.mux.HandleFunc("GET /v1/events", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("cursor") != "" {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusServiceUnavailable)
			w.Write([]byte(`{"status": 503, "detail": "the store does not answer, try again"}`)) //nolint:errcheck // the test sees it
			return
		}
		json.NewEncoder(w).Encode(control.Page[control.Event]{Data: someEvents(2), NextCursor: "2"}) //nolint:errcheck // the test sees it
	})
	for _, format := range []string{"json", "table"} {
		r := sluice(t, "events", "--all", "-o", format)
		if r.code != exitFailed || !strings.Contains(r.err, "the store does not answer") || !strings.Contains(r.out, someEvents(2)[1].ID) {
			t.Errorf("%s: %+v", format, r)
		}
		if json.Valid([]byte(r.out)) {
			t.Errorf("%s: a whole document:\n%s", format, r.out)
		}
	}
}

func TestDocumentsSayWhatTheAPISays(t *testing.T) {
	for name, text := range map[string]string{
		"nested":                              `{"z":1,"a":{"b":[{"c":[1,2]},{"d":null}],"e":[],"f":{}},"l":[[1],["x"]],"t":true}`,
		"numbers":                             `{"a":12345678901,"b":1.5,"c":-1}`,
		"texts that look like something else": `{"a":"1e5","b":".inf","c":"true","d":"NULL","e":"yes","f":"0o7","g":"~","h":"2026-01-01","i":"- a","j":"a: b #c","k":"","l":" a ","m":"*x","n":"@a","o":"12:30"}`,
		"control characters":                  `{"a":"x\u009b31m","b":"\u001b[2J","c":"a\nb\r\n","d":"\u202e","e":"\udb40\udc01","f":"\u0085\u2028"}`,
		"keys that need quotes":               `{"a b":1,"y":2,"":3,"x:":4}`,
		"a list":                              `["a",{"b":1},[]]`,
		"empty":                               `{}`,
	} {
		t.Run(name, func(t *testing.T) {
			for format, parse := range map[string]func([]byte, any) error{asJSON: json.Unmarshal, asYAML: yaml.Unmarshal} {
				got, err := encodeAs(format, json.RawMessage(text))
				if err != nil {
					t.Fatal(err)
				}
				if strings.ContainsFunc(got, invisible) {
					t.Errorf("%s has characters that do not print: %q", format, got)
				}
				var back, want any
				if err := parse([]byte(got), &back); err != nil {
					t.Fatalf("%s: %v in\n%s", format, err, got)
				}
				if err := json.Unmarshal([]byte(text), &want); err != nil {
					t.Fatal(err)
				}
				if a, b := canonical(t, back), canonical(t, want); a != b {
					t.Errorf("%s: says\n%s\nwant\n%s\nin\n%s", format, a, b, got)
				}
			}
		})
	}
}

func canonical(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var again any
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	text, err = json.Marshal(again)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
