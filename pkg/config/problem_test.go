package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestProblemsShowWhereTheyAre(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"an unknown key", "egress:\n  # more\n  in_fligth: 1\n", `
sluice.yaml:3:3: egress.in_fligth: unknown key, did you mean in_flight?
   3 | in_fligth:
     | ^`},
		{"an unknown section", "brokers: {url: x}\n", `
sluice.yaml:1:1: brokers: unknown key, did you mean broker?
   1 | brokers:
     | ^`},
		{"an unknown key that resembles none", "ops: {address: \":1\"}\n", `
sluice.yaml:1:7: ops.address: unknown key, want one of listen
   1 | address:
     | ^`},
		{"a value out of range", "egress:\n  in_flight: 0\n", `
sluice.yaml:2:14: egress.in_flight: 0 is too small, want 1 or more
   2 | in_flight: 0
     |            ^`},
		{"a text where a number is wanted", "egress: {in_flight: many}\n", `
sluice.yaml:1:21: egress.in_flight: many: want a whole number
   1 | in_flight: many
     |            ^`},
		{"a fraction where a whole number is wanted", "egress: {in_flight: 1.5}\n", `
sluice.yaml:1:21: egress.in_flight: 1.5: want a whole number
   1 | in_flight: 1.5
     |            ^`},
		{"a number too large", "egress: {in_flight: 99999999999999999999}\n", `
sluice.yaml:1:21: egress.in_flight: 99999999999999999999: want a whole number
   1 | in_flight: 99999999999999999999
     |            ^`},
		{"a duration without unit", "egress: {max_hold: 5}\n", `
sluice.yaml:1:20: egress.max_hold: 5: not a duration, write a number and a unit: 500ms, 15s, 5m, 12h, 14d
   1 | max_hold: 5
     |           ^`},
		{"a size that is none", "ingress: {max_body: 1 megabyte}\n", `
sluice.yaml:1:21: ingress.max_body: 1 megabyte: not a size, write a number and a unit: 512KiB, 1MiB, 2GiB
   1 | max_body: 1 megabyte
     |           ^`},
		{"yes for true", "network: {allow_http: yes}\n", `
sluice.yaml:1:23: network.allow_http: yes: want true or false
   1 | allow_http: yes
     |             ^`},
		{"a text where a list is wanted", "network: {allow: 10.0.0.0/8}\n", `
sluice.yaml:1:18: network.allow: want a list, such as [a, b]
   1 | allow: 10.0.0.0/8
     |        ^`},
		{"a wrong element of a list", "network:\n  allow:\n    - 10.0.0.0/8\n    - 10.0.0.1\n", `
sluice.yaml:4:7: network.allow[1]: "10.0.0.1": an address, not a range, write 10.0.0.1/32
   4 | 10.0.0.1
     | ^`},
		{"a mapping where a text is wanted", "broker: {topic: {a: b}}\n", `
sluice.yaml:1:10: broker.topic: want a text, not a list or mapping; if it has a colon, write it in quotes
   1 | topic:
     | ^`},
		{"a list where a mapping is wanted", "egress: [1]\n", `
sluice.yaml:1:1: egress: want a mapping (key: value)
   1 | egress:
     | ^`},
		{"a key twice", "ops: {}\negress: {}\nops: {}\n", `
sluice.yaml:3:1: ops: the key stands here twice
   3 | ops:
     | ^`},
		{"a character of another alphabet before it", "network: {allow: [\"ключ\", 10.0.0.1]}\n", `
sluice.yaml:1:19: network.allow[0]: "ключ": not a CIDR, want one such as 10.0.0.0/8
   1 | ключ
     | ^
sluice.yaml:1:27: network.allow[1]: "10.0.0.1": an address, not a range, write 10.0.0.1/32
   1 | 10.0.0.1
     | ^`},
		{"several at once, in the order of the file", "egress:\n  max_hold: 1h\n  commit: delivered\nbroker:\n  url: kafka://h:9092\nstore:\n  url: \"mysql://me:hunter2@h/db\"\n", `
sluice.yaml:2:13: egress.max_hold: 1h0m0s is out of range, want 100ms to 1m0s
   2 | max_hold: 1h
     |           ^
sluice.yaml:3:11: egress.commit: delivered: not supported by this version, write settled
   3 | commit: delivered
     |         ^
sluice.yaml:5:3: broker.url: kafka: is not supported by this version, want sqlite:
   5 | url:
     | ^
sluice.yaml:7:3: store.url: not a known scheme, want sqlite: or postgres://…
   7 | url:
     | ^`},
		{"a path behind sqlite:", "broker: {url: \"sqlite:/tmp/x\"}\n", `
sluice.yaml:1:10: broker.url: want sqlite: alone: the file is in data_dir
   1 | url:
     | ^`},
		{"an unknown scheme", "broker: {url: \"nats://hunter2@h\"}\n", `
sluice.yaml:1:10: broker.url: not a known scheme, want sqlite:
   1 | url:
     | ^`},
		{"what a later version has", "sources:\n  - name: orders\n    provider: github\n    secrets: [a-secret-for-github]\n    topic: orders\nendpoints:\n  - name: e\n    url: https://e.example.com\n    secrets: [\"" + signingSecret + "\"]\n    ordering: key\n    subscriptions:\n      - filter: event.amount > 1\n", `
sluice.yaml:5:5: sources[0].topic: not supported by this version
   5 | topic:
     | ^
sluice.yaml:10:5: endpoints[0].ordering: not supported by this version
  10 | ordering:
     | ^
sluice.yaml:12:9: endpoints[0].subscriptions[0].filter: not supported by this version
  12 | filter:
     | ^`},
		{"two sources of one name, and one of another tenant", "sources:\n  - {name: a, provider: github, secrets: [a-secret-for-github]}\n  - {name: a, provider: github, secrets: [a-secret-for-github]}\n  - {name: a, tenant: b, provider: github, secrets: [a-secret-for-github]}\n", `
sluice.yaml:3:12: sources[1].name: a: sources[0] has that name already
   3 | name: a
     |       ^`},
		{"two listeners on one address", "control: {listen: \":8080\"}\n", `
sluice.yaml:1:19: control.listen: :8080: ingress.listen listens there already, choose another port
   1 | listen: :8080
     |         ^`},
		{"an endpoint at a denied address", "endpoints:\n  - {name: e, url: \"https://10.1.2.3/hooks?hunter2\", secrets: [" + signingSecret + "]}\n", `
sluice.yaml:2:15: endpoints[0].url: not allowed: 10.1.2.3 lies in 10.0.0.0/8 (see network.allow)
   2 | url:
     | ^`},
		{"an endpoint outside what is allowed, said further down", "endpoints:\n  - {name: e, url: \"https://10.2.0.1\", secrets: [" + signingSecret + "]}\nnetwork: {allow: [10.1.0.0/16]}\n", `
sluice.yaml:2:15: endpoints[0].url: not allowed: 10.2.0.1 lies in 10.0.0.0/8 (see network.allow)
   2 | url:
     | ^`},
		{"an endpoint at a port no web server has", "endpoints:\n  - {name: e, url: \"https://example.com:25\", secrets: [" + signingSecret + "]}\n", `
sluice.yaml:2:15: endpoints[0].url: not allowed: port 25 is not one of a web server
   2 | url:
     | ^`},
		{"a range that is none, which says nothing about endpoints", "network: {allow: [10.1.2.3]}\nendpoints:\n  - {name: e, url: \"https://10.1.2.3\", secrets: [" + signingSecret + "]}\n", `
sluice.yaml:1:19: network.allow[0]: "10.1.2.3": an address, not a range, write 10.1.2.3/32
   1 | 10.1.2.3
     | ^`},
		{"a reference to nothing", "encryption_key:\n  - env:NOT_SET\n  - file:not-there\n", `
sluice.yaml:2:5: encryption_key[0]: variable NOT_SET of the environment is not set
sluice.yaml:3:5: encryption_key[1]: open not-there: no such file or directory`},
		{"a key of the wrong length", "encryption_key: [\"aGVsbG8=\"]\n", `
sluice.yaml:1:18: encryption_key[0]: encryption key 1: has 5 bytes, want 32 (openssl rand -base64 32)`},
		{"tabs", "egress:\n\tin_flight: 1\n", `
sluice.yaml:2:1: a tab in the indentation: YAML wants spaces`},
		{"an anchor", "egress: &a {}\n", `
sluice.yaml:1:9: anchors, aliases and merge keys are not supported: write the value out`},
		{"an alias", "egress: *a\n", `
sluice.yaml:1:9: anchors, aliases and merge keys are not supported: write the value out`},
		{"a tag", "egress: !!map {}\n", `
sluice.yaml:1:9: tags are not supported: leave it out`},
		{"a complex key", "? a\n: b\n", `
sluice.yaml:1:1: a key after a question mark is not supported: write key: value`},
		{"two documents", "ops: {}\n---\nops: {}\n", `
sluice.yaml:3:4: a second document: a configuration file has one`},
		{"a text for a file", "hello\n", `
sluice.yaml: want a mapping (key: value)`},
		{"bytes that are no text", "a: \xff\n", `
sluice.yaml: not UTF-8 text`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got, want := loadError(t, tt.text), strings.TrimPrefix(tt.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestSyntaxErrorsShowNothingOfValues(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"endpoints:\n  - auth: {password: \"hunter2\n",
		"endpoints:\n  - auth: {password: hunter2\n    x: ]\n",
		"a: hunter2: b\n",
		"a: hunter2\n b: c\n",
		"a: [hunter2\n",
		"a: {hunter2]\n",
		"hunter2x: 'hunter2\n",
		"a: @hunter2\n",
		"a: `hunter2\n",
		"a: %hunter2\n",
		"a: \"hunter2\" x\n",
		"a: {b: hunter2, ]}\n",
		"a: [hunter2]]\n",
		"a: |hunter2\n",
		"a: > hunter2\n",
	} {
		got := loadError(t, text)
		if !strings.Contains(got, "sluice.yaml:") {
			t.Errorf("%q: %s, want a position", text, got)
		}
		if strings.Contains(got, "hunter2") && !strings.Contains(text, "hunter2x") {
			t.Errorf("%q: the value is shown:\n%s", text, got)
		}
	}
}

// TestNoProblemContainsASecret plants a secret wherever the file may hold one, each time beside a mistake.
func TestNoProblemContainsASecret(t *testing.T) {
	t.Parallel()
	const canary = "CANARY"
	for _, text := range []string{
		"encryption_key: [%s]",
		"encryption_key: %s",
		"encryption_key: {a: %s}",
		"broker: {url: \"kafka://me:%s@h\"}",
		"broker: {url: \"%s\"}",
		"store: {url: \"postgres:me:%s@h\"}",
		"store: {url: \"mysql://me:%s@h\"}",
		"store: {url: \"sqlite:%s\"}",
		"telemetry: {otlp_endpoint: \"ftp://%s@h\"}",
		"sources: [{name: a, secrets: [%s], secret: %s}]",
		"sources: [{name: a, secrets: %s}]",
		"sources: [{name: a, secrets: [{a: %s}]}]",
		"sources: [{name: a, params: {a: [%s]}}]",
		"sources: [{name: a, params: {a: %s, a: %s}}]",
		"endpoints: [{name: e, secrets: [%s]}]",
		"endpoints: [{name: e, secrets: [whsec_%s]}]",
		"endpoints: [{name: e, url: \"https://u:%s@h/%s?%s\", secrets: [whsec_%s]}]",
		"endpoints: [{name: e, url: \"ftp://h/%s\"}]",
		"endpoints: [{name: e, auth: {kind: basic, password: %s, pasword: %s}}]",
		"endpoints: [{name: e, auth: {kind: bearer, password: %s}}]",
		"endpoints: [{name: e, auth: {kind: header, header: \"a b\", value: %s}}]",
		"endpoints: [{name: e, auth: %s}]",
		"endpoints: [{name: e, headers: {\"a b\": %s}}]",
		"endpoints: [{name: e, headers: {authorization: \"%s\\n\"}}]",
		"endpoints: [{name: e, headers: [%s]}]",
		"endpoints: [{name: e, hedaers: {authorization: %s}}]",
	} {
		got := loadError(t, strings.ReplaceAll(text, "%s", canary))
		if strings.Contains(got, canary) {
			t.Errorf("%s:\n%s", text, got)
		}
	}
}

func TestBoundsOfAFile(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, text, want string }{
		{"brackets", strings.Repeat("[", 100_000), "nested deeper than 32"},
		{"braces", strings.Repeat("{a: ", 50_000), "nested deeper than 32"},
		{"dashes", strings.Repeat("- ", 100_000), "nested deeper than 32"},
		{"keys in lines", strings.Repeat("a: 1\n", 20_000), "more than 1000 keys in one mapping"},
		{"keys in one line", "a: {" + strings.Repeat("a: 1, ", 20_000) + "}", "more than 1000 keys in one mapping"},
		{"anchors", strings.Repeat("&a ", 50_000), "anchors, aliases"},
		{"a bomb", "a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n", "anchors, aliases"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := loadError(t, tt.text); !strings.Contains(got, tt.want) {
				t.Errorf("%s, want %q", got, tt.want)
			}
		})
	}
}

func TestJSONIsAConfigurationToo(t *testing.T) {
	t.Parallel()
	var list []string
	for i := range 500 {
		list = append(list, fmt.Sprintf(`{"name":"e%d","url":"https://e.example.com","secrets":["%s"]}`, i, signingSecret))
	}
	c := loadText(t, `{"egress":{"in_flight":7},"endpoints":[`+strings.Join(list, ",")+`]}`)
	if c.Egress.InFlight != 7 || len(c.Resources.Endpoints) != 500 {
		t.Errorf("in_flight %d, %d endpoints", c.Egress.InFlight, len(c.Resources.Endpoints))
	}
}

func TestManyProblemsAreCutShort(t *testing.T) {
	t.Parallel()
	got := loadError(t, "network:\n  allow:\n"+strings.Repeat("    - x\n", 60))
	if !strings.HasSuffix(got, "\nand 10 more") || strings.Count(got, "not a CIDR") != 50 {
		t.Errorf("got\n%s", got)
	}
	if got := loadError(t, "endpoints:\n"+strings.Repeat("  - {}\n", 100_000)); !strings.HasSuffix(got, "and 950 more") {
		t.Errorf("got\n%s", got)
	}
}

// FuzzConfig checks that any file is refused with places that exist, or read the same twice.
func FuzzConfig(f *testing.F) {
	for _, s := range []string{
		"egress: {in_flight: 0}\n", "endpoints:\n  - name: e\n    url: https://h\n    secrets: [\"env:S\"]\n", "a: [b\n", "- - a\n", "\tx: y", "{\"a\": \"b\"}",
		"broker:\n  url: |\n    sqlite:\n", "network: {allow: [10.0.0.0/8]}\n---\n", "ops: {listen: 'a''b'}\nops:\n", "sources: [{params: {a: 0x1f, b: ~}}]\n", "x: \"\\u00e9\"\n# c\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		in := Input{Path: "f", Base: Defaults(), Environ: []string{"S=" + signingSecret}, Resources: true}
		first, _, err := load(in, []byte(text))
		again, _, againErr := load(in, []byte(text))
		if fmt.Sprint(first, err) != fmt.Sprint(again, againErr) {
			t.Fatalf("%q reads %v, %v, then %v, %v", text, first, err, again, againErr)
		}
		var e *Error
		if err == nil {
			return
		} else if !errors.As(err, &e) {
			t.Fatalf("%q: %v is no *Error", text, err)
		}
		lines := strings.Split(lineBreaks.Replace(text), "\n")
		for _, p := range e.Problems {
			if p.Line < 0 || p.Line > len(lines)+1 || p.Text == "" || strings.ContainsAny(p.String(), "\n\x00\x1b") {
				t.Fatalf("%q: problem %+v", text, p)
			}
		}
	})
}
