package provider

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
)

// presetSpec is a preset as its file says it; doc.go explains the keys.
type presetSpec struct {
	Title     string               `yaml:"title"`
	Docs      string               `yaml:"docs"`
	Methods   string               `yaml:"methods"` // separated by commas
	Deadline  string               `yaml:"deadline"`
	Params    map[string]paramSpec `yaml:"params"`
	Secret    secretSpec           `yaml:"secret"`
	Verify    []stepSpec           `yaml:"verify"`
	Dedupe    []string             `yaml:"dedupe"`
	Type      typeSpec             `yaml:"type"`
	Headers   []string             `yaml:"headers"`
	Challenge []challengeSpec      `yaml:"challenge"`
	Respond   respondSpec          `yaml:"respond"`
	Samples   []sampleSpec         `yaml:"samples"`
}

type paramSpec struct {
	Default  string   `yaml:"default"`
	Values   []string `yaml:"values"` // allowed ones; none: any
	Required bool     `yaml:"required"`
	Doc      string   `yaml:"doc"`
}

type secretSpec struct {
	New string `yaml:"new"`
}

type stepSpec struct {
	AnyOf []stepSpec `yaml:"any_of"`

	Kind    string         `yaml:"kind"`
	Algo    string         `yaml:"algo"`
	Sig     signatureSpec  `yaml:"sig"`
	Content string         `yaml:"content"`
	TS      *timestampSpec `yaml:"ts"`
	Key     keySpec        `yaml:"key"`
	From    string         `yaml:"from"`   // token
	Prefix  string         `yaml:"prefix"` // token
}

type signatureSpec struct {
	From     string `yaml:"from"`
	Prefix   string `yaml:"prefix"`
	List     string `yaml:"list"`
	Pair     string `yaml:"pair"`
	Pick     string `yaml:"pick"`
	Encoding string `yaml:"encoding"`
}

type timestampSpec struct {
	From      string `yaml:"from"`
	Unit      string `yaml:"unit"`
	Tolerance string `yaml:"tolerance"`
	Future    string `yaml:"future"` // as tolerance, if empty
}

type keySpec struct {
	Encoding    string   `yaml:"encoding"` // utf8 if empty
	StripPrefix string   `yaml:"strip_prefix"`
	Claims      []string `yaml:"claims"`  // only secrets with one of these prefixes, which are stripped
	Private     string   `yaml:"private"` // the claimed prefix of private keys
}

type typeSpec struct {
	From    []string `yaml:"from"`
	DotsFor string   `yaml:"dots_for"`
}

type challengeSpec struct {
	Method   string    `yaml:"method"`
	When     []string  `yaml:"when"`
	Verified bool      `yaml:"verified"`
	Reply    replySpec `yaml:"reply"`
}

type replySpec struct {
	Status      int    `yaml:"status"`
	ContentType string `yaml:"content_type"`
	Body        string `yaml:"body"`
}

type respondSpec struct {
	OK      replySpec   `yaml:"ok"`
	Invalid invalidSpec `yaml:"invalid"`
}

type invalidSpec struct {
	Status int `yaml:"status"`
}

type sampleSpec struct {
	Event       string            `yaml:"event"`
	Headers     map[string]string `yaml:"headers"`
	ContentType string            `yaml:"content_type"`
	File        string            `yaml:"file"`
}

func parseSpec(text []byte) (*presetSpec, error) {
	spec := &presetSpec{}
	if err := yaml.UnmarshalWithOptions(text, spec, yaml.Strict()); err != nil {
		return nil, err
	}
	return spec, nil
}

// with returns a copy of the spec with {param:NAME} replaced in every text. In the lists of dedupe, type and headers one
// parameter may stand for several items: values are then split at commas, and empty ones left out.
func (s *presetSpec) with(params map[string]string) (*presetSpec, error) {
	e := expander{params: params}
	out := *s
	out.Params, out.Samples = nil, nil
	e.expandAll(reflect.ValueOf(&out).Elem())
	out.Dedupe, out.Type.From, out.Headers = splitList(out.Dedupe), splitList(out.Type.From), splitList(out.Headers)
	return &out, e.err
}

// expander replaces parameters, once: a value is never expanded again.
type expander struct {
	params map[string]string
	err    error // the first unknown name
}

func (e *expander) expand(s string) string {
	const open = "{param:"
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(s, open)
		name, after, closed := strings.Cut(rest, "}")
		if !found || !closed {
			out.WriteString(s)
			return out.String()
		}
		value, ok := e.params[name]
		if !ok && e.err == nil {
			e.err = fmt.Errorf("{param:%s}: the preset has no such parameter", name)
		}
		out.WriteString(before + value)
		s = after
	}
}

// expandAll expands every string below v, copying what is shared.
func (e *expander) expandAll(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(e.expand(v.String()))
	case reflect.Struct:
		for i := range v.NumField() {
			e.expandAll(v.Field(i))
		}
	case reflect.Slice:
		fresh := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(fresh, v)
		v.Set(fresh)
		for i := range v.Len() {
			e.expandAll(v.Index(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			fresh := reflect.New(v.Type().Elem())
			fresh.Elem().Set(v.Elem())
			v.Set(fresh)
			e.expandAll(v.Elem())
		}
	}
}

func splitList(in []string) []string {
	var out []string
	for _, list := range in {
		for item := range strings.SplitSeq(list, ",") {
			if item = strings.TrimSpace(item); item != "" {
				out = append(out, item)
			}
		}
	}
	return out
}
