package config

import (
	"strings"
	"testing"

	"github.com/sluicehq/sluice/pkg/control"
)

func TestReadSpecTakesYAMLAndJSONInOneGrammar(t *testing.T) {
	in := Input{Path: "e.yaml", Environ: []string{"A=whsec_from_the_environment"}}
	for name, text := range map[string]string{
		"YAML": "name: a\nsecrets: [\"env:A\"]\ntimeout: 5s\nsubscriptions:\n  - types: [x]\n",
		"JSON": `{"name": "a", "secrets": ["env:A"], "timeout": "5s", "subscriptions": [{"types": ["x"]}]}`,
	} {
		spec, err := ReadSpec[control.EndpointSpec](in, []byte(text))
		if err != nil || spec.Name != "a" || spec.Secrets[0] != "whsec_from_the_environment" || spec.Timeout.String() != "5s" || spec.Subscriptions[0].Types[0] != "x" {
			t.Errorf("%s: got %+v, %v", name, spec, err)
		}
	}
}

func TestReadSpecSaysEverythingThatIsWrong(t *testing.T) {
	for name, tc := range map[string]struct {
		text string
		want []string
	}{
		"unknown keys and values of the wrong kind": {"nam: a\ndedupe: perhaps\n", []string{"s.yaml:1:1: nam: unknown key, did you mean name?", "s.yaml:2:1: dedupe: perhaps"}},
		"references to nothing":                     {"name: a\nsecrets: [env:NOWHERE]\n", []string{"s.yaml:2:11: secrets[0]: variable NOWHERE"}},
		"nothing":                                   {"# later\n", []string{"s.yaml: is empty"}},
		"a list":                                    {"- name: a\n", []string{"want a mapping"}},
	} {
		_, err := ReadSpec[control.SourceSpec](Input{Path: "s.yaml"}, []byte(tc.text))
		for _, want := range tc.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", name, err, want)
			}
		}
	}
}

func TestResolve(t *testing.T) {
	environ := []string{"A=x"}
	if got, err := Resolve("plain", environ); got != "plain" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if got, err := Resolve("env:A", environ); got != "x" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := Resolve("env:B", environ); err == nil {
		t.Error("a variable that is not set is taken")
	}
}
