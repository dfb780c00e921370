package config

import (
	"encoding"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/sluicehq/sluice/pkg/control"
)

var update = flag.Bool("update", false, "write docs/config.md and testdata/example.yaml anew")

// resources is the part of the example that has no defaults.
const resources = `
# Ways in: providers call /in/NAME.
sources:
  - name: github
    provider: github
    secrets: ["env:GITHUB_WEBHOOK_SECRET"] # all are tried, so that one can be rotated
    dedupe: true                           # the same id and body again within 72 h is dropped

# Receivers.
endpoints:
  - name: billing
    url: https://billing.example.com/hooks
    secrets: ["file:billing.secret"] # deliveries are signed with each
    subscriptions:
      - types: ["order.**", "invoice.paid"]
        sources: [github]
    auth: {kind: bearer, token: "env:BILLING_TOKEN"}
    headers: {x-team: billing}
    forward: {headers: true}
    rate_limit: {per_second: 50, burst: 100}
    max_in_flight: 16
    max_queued: 1000000
    timeout: 15s
    retry: {base: 10s, factor: 3, cap: 12h, max_age: 3d}
`

// TestPage keeps docs/config.md and the annotated example as the structs say; -update writes them.
func TestPage(t *testing.T) {
	example := exampleFile(t)
	page := referencePage(t, example)
	for path, want := range map[string]string{"testdata/example.yaml": example, "../../docs/config.md": page} {
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is not what the structs say: go test ./pkg/config -update", path)
		}
	}
}

func TestTheExampleIsTheDefaults(t *testing.T) {
	t.Parallel()
	path := write(t, "sluice.yaml", exampleFile(t), "billing.secret", signingSecret+"\n")
	c, _, err := Load(Input{Path: path, Base: Defaults(), Resources: true, Environ: []string{"GITHUB_WEBHOOK_SECRET=provider-secret-01", "BILLING_TOKEN=t"}})
	if err != nil {
		t.Fatal(err)
	}
	c.Sources, c.Endpoints, c.Resources = nil, nil, Resources{}
	want := Defaults()
	want.EncryptionKey, want.Network.Allow = []control.Secret{}, []string{}
	if !reflect.DeepEqual(*c, want) {
		t.Errorf("got  %+v\nwant %+v", *c, want)
	}
}

// exampleFile returns a configuration file with every setting at its default, and what it means above it.
func exampleFile(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("# Every setting of Sluice, at its default. Leave out what you do not change.\n\n")
	writeExample(t, &b, "", reflect.ValueOf(Defaults()))
	b.WriteString(resources)
	return b.String()
}

func writeExample(t *testing.T, b *strings.Builder, indent string, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		f, field := v.Type().Field(i), v.Field(i)
		name := yamlName(f)
		switch {
		case name == "-" || name == "sources" || name == "endpoints":
			continue
		case field.Kind() == reflect.Struct && !isScalar(field.Type()):
			if indent == "" {
				b.WriteByte('\n')
			}
			fmt.Fprintf(b, "%s%s:\n", indent, name)
			writeExample(t, b, indent+"  ", field)
			continue
		}
		if f.Tag.Get("doc") == "" {
			t.Errorf("%s.%s has no doc tag", v.Type(), f.Name)
		}
		for _, line := range wrap(f.Tag.Get("doc"), 110-len(indent)) {
			fmt.Fprintf(b, "%s# %s\n", indent, line)
		}
		fmt.Fprintf(b, "%s%s: %s\n", indent, name, yamlValue(field))
	}
}

func referencePage(t *testing.T, example string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString(`# Configuration

<!-- Generated from pkg/config: go test ./pkg/config -update -->

One YAML file: ` + "`--config FILE`, or `./sluice.yaml`" + ` if it is there. It is strict: unknown keys, keys that stand twice, anchors, tags and
tabs are errors. All problems are reported at once, with line and column.

- Every setting can also be set by a variable of the environment, which wins over the file. Lists are separated by commas; an empty
  variable counts as not set.
- A secret may be ` + "`env:NAME`" + `, a variable of the environment, or ` + "`file:PATH`" + `, a file without its last line break; relative paths are
  relative to the configuration file. ` + "`broker.url` and `store.url`" + ` may be references as well.
- Durations are written ` + "`500ms`, `15s`, `5m`, `12h`, `14d`; sizes `512KiB`, `1MiB`, `2GiB`" + `.

## Settings

| setting | default | variable | meaning |
| --- | --- | --- | --- |
`)
	writeSettings(&b, "", reflect.ValueOf(Defaults()))
	b.WriteString("\n## Sources\n\nEntries of `sources:`, and the body of `POST /v1/sources`.\n\n| key | meaning |\n| --- | --- |\n")
	writeKeys(t, &b, "", reflect.TypeFor[control.SourceSpec]())
	b.WriteString("\n## Endpoints\n\nEntries of `endpoints:`, and the body of `POST /v1/endpoints`.\n\n| key | meaning |\n| --- | --- |\n")
	writeKeys(t, &b, "", reflect.TypeFor[control.EndpointSpec]())
	b.WriteString("\n## Example\n\n```yaml\n" + example + "```\n")
	return b.String()
}

func writeSettings(b *strings.Builder, path string, v reflect.Value) {
	for i := range v.NumField() {
		f, field := v.Type().Field(i), v.Field(i)
		at := join(path, yamlName(f))
		switch {
		case yamlName(f) == "-":
		case field.Kind() == reflect.Struct && !isScalar(field.Type()):
			writeSettings(b, at, field)
		case at == "sources" || at == "endpoints":
			fmt.Fprintf(b, "| `%s` | | | %s |\n", at, f.Tag.Get("doc"))
		default:
			fmt.Fprintf(b, "| `%s` | `%s` | `%s` | %s |\n", at, yamlValue(field), variableOf(at), f.Tag.Get("doc"))
		}
	}
}

func writeKeys(t *testing.T, b *strings.Builder, path string, typ reflect.Type) {
	t.Helper()
	for i := range typ.NumField() {
		f := typ.Field(i)
		at, doc := join(path, yamlName(f)), f.Tag.Get("doc")
		if doc == "" {
			t.Errorf("%s.%s has no doc tag", typ, f.Name)
		}
		fmt.Fprintf(b, "| `%s` | %s |\n", at, doc)
		inner := f.Type
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			if inner.Kind() == reflect.Slice {
				at += "[]"
			}
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && !isScalar(inner) {
			writeKeys(t, b, at, inner)
		}
	}
}

// textOf returns the text that setText reads as v; of a list, with commas.
func textOf(v reflect.Value) string {
	if v.Kind() == reflect.Slice {
		var parts []string
		for i := range v.Len() {
			parts = append(parts, textOf(v.Index(i)))
		}
		return strings.Join(parts, ",")
	}
	if m, ok := v.Interface().(encoding.TextMarshaler); ok {
		text, _ := m.MarshalText() // none of these fails
		return string(text)
	}
	if v.Kind() == reflect.String {
		return v.String() // secrets too: String would redact them
	}
	return fmt.Sprint(v.Interface())
}

func yamlValue(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Slice:
		return "[" + textOf(v) + "]"
	case v.Kind() == reflect.String && (v.Len() == 0 || strings.Contains(v.String(), ":")):
		return `"` + v.String() + `"`
	}
	return textOf(v)
}

func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
