package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/test/pgtest"
)

// The canary is part of every secret in these files.
const (
	canary = "c2x1aWNlY2FuYXJ5"

	fileOne = `
sources:
  - {name: github, provider: github, secrets: ["` + canary + `-source"]}
  - {name: crm, tenant: acme, provider: hmac, secrets: ["` + canary + `-crm-0001"], params: {header: x-sig}}
endpoints:
  - name: billing
    url: https://billing.example.com/` + canary + `/one
    secrets: ["whsec_` + canary + canary + canary + `"]
    headers: {x-team: billing, x-key: ` + canary + `}
    auth: {kind: bearer, token: ` + canary + `}
    subscriptions: [{types: ["order.**"], sources: [github]}]
    retry: {base: 5s}
  - name: stays
    url: https://stays.example.com/
    secrets: ["whsec_` + canary + canary + canary + `"]
  - name: legacy
    tenant: acme
    url: https://legacy.example.com/
    secrets: ["whsec_` + canary + canary + canary + `"]
`
	fileTwo = `
sources:
  - {name: github, provider: github, secrets: ["` + canary + `-source", "` + canary + `-second"], dedupe: false}
endpoints:
  - name: stays
    url: https://stays.example.com/
    secrets: ["whsec_` + canary + canary + canary + `"]
  - name: billing
    url: https://billing.example.com/` + canary + `/two
    secrets: ["whsec_` + canary + canary + canary + canary + `"]
    headers: {x-team: other, x-new: ` + canary + `}
    auth: {kind: basic, username: sluice, password: ` + canary + `}
    subscriptions: [{types: ["order.**", "invoice.paid"], sources: [github]}]
    rate_limit: {per_second: 50, burst: 100}
    max_in_flight: 4
    timeout: 30s
    forward: {query: true}
  - name: audit
    url: https://audit.example.com/
    secrets: ["whsec_` + canary + canary + canary + `"]
`
)

// transcript runs command lines and returns what they printed, as a terminal would show it.
func transcript(t *testing.T, lines ...string) string {
	t.Helper()
	var all strings.Builder
	for _, line := range lines {
		r := sluice(t, strings.Fields(line)...)
		if r.code != exitOK {
			t.Fatalf("%s: %+v", line, r)
		}
		all.WriteString("$ sluice " + line + "\n" + r.err + r.out + "\n")
	}
	return all.String()
}

func applyFiles(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	writeFile(t, "one.yaml", fileOne)
	writeFile(t, "two.yaml", fileTwo)
	writeFile(t, "none.yaml", "sources: []\n")
}

func TestApply(t *testing.T) {
	var got string
	t.Run("commands", func(t *testing.T) { // in a directory that the golden file is not in
		applyFiles(t)
		writeFile(t, "sluice.yaml", "data_dir: data\n")
		got = transcript(t,
			"apply -f one.yaml",
			"apply -f one.yaml",
			"apply -f two.yaml --dry-run",
			"apply -f two.yaml --dry-run --prune -o yaml",
			"apply -f two.yaml",
			"apply -f one.yaml",
			"apply -f two.yaml --prune",
			"apply -f none.yaml --prune -o json",
			"apply -f none.yaml --dry-run -o json",
		)
	})
	if strings.Contains(got, canary) {
		t.Error("a secret is printed")
	}
	wantGolden(t, "apply.txt", got)
}

func TestApplyChangesNothingInADryRun(t *testing.T) {
	applyFiles(t)
	writeFile(t, "sluice.yaml", "data_dir: data\n")
	if r := sluice(t, "apply", "-f", "one.yaml", "--dry-run"); r.code != exitFailed || !strings.Contains(r.err, "there is no database at data/store.db yet") {
		t.Errorf("without a database: %+v", r)
	}
	if _, err := os.Stat("data"); err == nil {
		t.Error("a dry run made the data directory")
	}
	transcript(t, "apply -f one.yaml")
	before := appliedChanges(t, "apply -f two.yaml --prune --dry-run -o json")
	again := appliedChanges(t, "apply -f two.yaml --prune --dry-run -o json")
	made := appliedChanges(t, "apply -f two.yaml --prune -o json")
	if len(before.Changes) != 5 || len(again.Changes) != 5 || len(made.Changes) != 5 || !before.DryRun || made.DryRun {
		t.Errorf("changes:\n dry  %+v\nagain %+v\n real %+v", before, again, made)
	}
}

func appliedChanges(t *testing.T, line string) (view appliedView) {
	t.Helper()
	r := sluice(t, strings.Fields(line)...)
	if r.code != exitOK {
		t.Fatalf("%s: %+v", line, r)
	}
	if err := json.Unmarshal([]byte(r.out), &view); err != nil {
		t.Fatal(err)
	}
	return view
}

func TestApplyReadsTheConfigurationFileWhenNoneIsNamed(t *testing.T) {
	applyFiles(t)
	if r := sluice(t, "apply", "--prune"); r.code != exitUsage || !strings.Contains(r.err, "want -f FILE") {
		t.Errorf("without any file: %+v", r)
	}
	writeFile(t, "sluice.yaml", "data_dir: data\n"+fileOne)
	if got := transcript(t, "apply"); !strings.Contains(got, "5 created") {
		t.Errorf("with sluice.yaml: %s", got)
	}
	if got := transcript(t, "apply --config sluice.yaml"); !strings.Contains(got, "nothing to change") {
		t.Errorf("with --config: %s", got)
	}
	// Sources and endpoints are those of FILE alone, settings those of both.
	if got := transcript(t, "apply -f two.yaml --prune"); !strings.Contains(got, "1 created, 2 updated, 2 deleted") {
		t.Errorf("with -f: %s", got)
	}
}

func TestApplyOfAFileWithMistakesChangesNothing(t *testing.T) {
	applyFiles(t)
	writeFile(t, "sluice.yaml", "data_dir: data\n")
	writeFile(t, "bad.yaml", fileTwo+"  - name: audit\n    url: ftp://example.com\n")
	transcript(t, "apply -f one.yaml")
	for file, want := range map[string]string{
		"bad.yaml": "endpoints[3]", "missing.yaml": "missing.yaml", "sluice.yaml": "names neither sources nor endpoints",
	} {
		if r := sluice(t, "apply", "--prune", "-f", file); r.code != exitFailed || !strings.Contains(r.err, want) || strings.Contains(r.err, canary) {
			t.Errorf("%s: %+v", file, r)
		}
	}
	if got := transcript(t, "apply -f one.yaml"); !strings.Contains(got, "nothing to change") {
		t.Errorf("after the mistakes: %s", got)
	}
}

func TestApplyBesideARunningSluice(t *testing.T) {
	startDev(t)
	writeFile(t, "one.yaml", fileOne)
	writeFile(t, "two.yaml", fileTwo)
	ok(t, "apply", "-f", "one.yaml")
	eventually(t, `(billing) .* order`, "endpoints")
	if r := sluice(t, "endpoints", "delete", "billing"); r.code != exitFailed || !strings.Contains(r.err, "configuration file") {
		t.Errorf("deleting what the file manages: %+v", r)
	}
	ok(t, "endpoints", "pause", "billing")
	ok(t, "apply", "-f", "two.yaml")
	if got := ok(t, "endpoints", "get", "billing"); !strings.Contains(got, "paused") || !strings.Contains(got, "30s") {
		t.Errorf("after another file:\n%s", got)
	}
	ok(t, "endpoints", "delete", "legacy", "--tenant", "acme") // released
}

func TestApplyOnPostgreSQL(t *testing.T) {
	url := pgtest.Shared(t).Database(t)
	applyFiles(t)
	t.Setenv("SLUICE_STORE_URL", url)
	if r := sluice(t, "apply", "-f", "one.yaml"); r.code != exitFailed || !strings.Contains(r.err, "encryption_key") {
		t.Errorf("without a key: %+v", r)
	}
	t.Setenv("SLUICE_ENCRYPTION_KEY", store.GenerateKey().Reveal())
	if r := sluice(t, "apply", "-f", "one.yaml"); r.code != exitFailed || !strings.Contains(r.err, "sluice migrate up") {
		t.Errorf("without a schema: %+v", r)
	}
	transcript(t, "migrate up", "apply -f one.yaml")
	if got := transcript(t, "apply -f two.yaml --prune --dry-run"); !strings.Contains(got, "would be: 1 created, 2 updated, 2 deleted") {
		t.Errorf("dry run: %s", got)
	}
	if got := transcript(t, "apply -f two.yaml"); !strings.Contains(got, "1 created, 2 updated, 2 released") {
		t.Errorf("apply: %s", got)
	}
	if got := transcript(t, "apply -f two.yaml"); !strings.Contains(got, "nothing to change") {
		t.Errorf("again: %s", got)
	}
	if _, err := os.Stat("sluice-data"); err == nil {
		t.Error("a data directory was made for a database that is elsewhere")
	}
}
