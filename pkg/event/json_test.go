package event

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

var jsonSeeds = []string{
	`null`, ` true `, `false`, `0`, `-0.5e+10`, `01`, `1.`, `.5`, `1e`, `-`, `"a"`, `"\u00e9\ud83d\ude00\/\b"`, `"\ud800"`, `"\udcff"`,
	`"\x"`, "\"\n\"", `"`, `[]`, `[1,]`, `[1 2]`, `{}`, `{"a":1,"a":2}`, `{"a":[{"b":null}]}`, `{"a"}`, `{a:1}`, `{"a":1,}`, "\ufeff{}",
	"\"\xff\"", `tru`, `nul`, `[[[[[[]]]]]]`, ``, ` `,
}

// FuzzJSONSkip holds the reader against encoding/json: it takes what that takes, and nothing else.
func FuzzJSONSkip(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Count(s, "[")+strings.Count(s, "{") > MaxDepth {
			return
		}
		r := jsonReader[string]{in: s}
		raw, err := r.raw()
		if err == nil {
			err = r.end()
		}
		if want := json.Valid([]byte(s)); (err == nil) != want {
			t.Fatalf("%q: %v, want valid %v", s, err, want)
		}
		if err == nil && raw != strings.Trim(s, " \t\r\n") {
			t.Fatalf("raw of %q = %q", s, raw)
		}
	})
}

// FuzzJSONString holds the strings against encoding/json, which cannot tell a lone surrogate from U+FFFD.
func FuzzJSONString(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var want string
		wantErr := json.Unmarshal([]byte(s), &want)
		r := jsonReader[[]byte]{in: []byte(s)}
		r.skipSpace()
		got, err := r.str()
		if err == nil {
			err = r.end()
		}
		switch {
		case err == nil && wantErr != nil:
			t.Fatalf("%q = %q, want an error", s, got)
		case err == nil && utf8.ValidString(s) && got != want:
			t.Fatalf("%q = %q, want %q", s, got, want)
		case err != nil && wantErr == nil && strings.HasPrefix(strings.TrimLeft(s, " \t\r\n"), `"`) && !strings.Contains(want, "\ufffd"):
			t.Fatalf("%q: %v, want %q", s, err, want)
		}
	})
}

// FuzzRequestString checks that any bytes survive, and that others read the same where they can.
func FuzzRequestString(f *testing.F) {
	for _, s := range append(jsonSeeds, "\xed\xb3\xbf", "\xf0\x9f\x98", "\x00\x7f\u2028") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		text := appendJSONString(nil, s)
		r := jsonReader[string]{in: string(text), surrogateBytes: true}
		got, err := r.str()
		if err != nil || got != s || r.end() != nil {
			t.Fatalf("%q written as %s reads %q, %v", s, text, got, err)
		}
		var other string
		if err := json.Unmarshal(text, &other); err != nil {
			t.Fatalf("%q written as %s: encoding/json: %v", s, text, err)
		}
		if utf8.ValidString(s) && other != s {
			t.Fatalf("%q written as %s reads %q in encoding/json", s, text, other)
		}
		if !utf8.Valid(text) {
			t.Fatalf("%q written as %q is not UTF-8", s, text)
		}
	})
}

func TestNestingIsBounded(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		depth int
		want  bool
	}{{MaxDepth, true}, {MaxDepth + 1, false}, {1_000_000, false}} {
		doc := bytes.Repeat([]byte("["), tt.depth)
		doc = append(doc, bytes.Repeat([]byte("]"), tt.depth)...)
		r := jsonReader[[]byte]{in: doc}
		_, err := r.raw()
		if (err == nil) != tt.want {
			t.Errorf("depth %d: %v, want it taken: %v", tt.depth, err, tt.want)
		}
	}
}

func TestMembersAreBounded(t *testing.T) {
	t.Parallel()
	doc := "{"
	for i := range maxMembers + 1 {
		doc += `"` + strings.Repeat("a", i) + `":1,`
	}
	doc = doc[:len(doc)-1] + "}"
	r := jsonReader[string]{in: doc}
	err := r.object(func(string) error { _, err := r.raw(); return err })
	wantErrorWith(t, err, "more than 64 members")
}
