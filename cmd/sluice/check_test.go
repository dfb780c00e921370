package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/store"
)

func TestProblemsAndWarningsOfACheckAreToldApart(t *testing.T) {
	t.Parallel()
	a, b := errors.New("a"), errors.New("b")
	w := store.Warning("w")
	for _, tt := range []struct {
		name               string
		err                error
		problems, warnings string
	}{
		{"nothing", nil, "[]", "[]"},
		{"one", a, "[a]", "[]"},
		{"a warning", w, "[]", "[w]"},
		{"a warning with words around it", fmt.Errorf("x: %w", w), "[]", "[x: w]"},
		{"several, joined and joined again", errors.Join(a, errors.Join(w, b), nil), "[a b]", "[w]"},
		{"two in one sentence", fmt.Errorf("%w and %w", a, b), "[a and b]", "[]"},
	} {
		problems, warnings := sortProblems(tt.err)
		if got := fmt.Sprint(problems); got != tt.problems {
			t.Errorf("%s: problems %s, want %s", tt.name, got, tt.problems)
		}
		if got := fmt.Sprint(warnings); got != tt.warnings {
			t.Errorf("%s: warnings %s, want %s", tt.name, got, tt.warnings)
		}
	}
}

func TestCheckWarnsOfAnEndpointThatGetsNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("HOOK_SECRET", "whsec_"+store.GenerateKey().Reveal())
	writeFile(t, "sluice.yaml", `network: {allow: ["127.0.0.0/8"], allow_http: true}
endpoints:
  - name: a
    url: http://127.0.0.1:1/
    secrets: ["env:HOOK_SECRET"]
  - name: b
    url: http://127.0.0.1:1/
    secrets: ["env:HOOK_SECRET"]
    subscriptions: [{types: ["*"]}]
`)
	r := sluice(t, "check")
	if out := r.out + r.err; !strings.Contains(out, "endpoints[0].subscriptions: none") || strings.Contains(out, "endpoints[1].subscriptions") {
		t.Errorf("check:\n%s", out)
	}
}
