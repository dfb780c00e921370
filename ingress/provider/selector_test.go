package provider

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestSelectors(t *testing.T) {
	form := http.Header{"Content-Type": {"Application/X-WWW-Form-Urlencoded; charset=utf-8"}}
	tests := []struct {
		name, selector string
		req            Request
		want           string
		n              int
	}{
		{"a header in any case", "header:x-id", Request{Header: http.Header{"X-Id": {"1"}}}, "1", 1},
		{"the first of two headers", "header:X-Id", Request{Header: http.Header{"X-Id": {"1", "2"}}}, "1", 2},
		{"no header", "header:X-Id", Request{}, "", 0},
		{"a query parameter", "query:a", Request{Query: "b=1&a=x%20y+z"}, "x y z", 1},
		{"a query parameter with an escaped name", "query:a b", Request{Query: "a+b=1"}, "1", 1},
		{"a query parameter twice", "query:a", Request{Query: "a=1&a=2&a=3"}, "1", 2},
		{"a query parameter without value", "query:a", Request{Query: "a"}, "", 1},
		{"a query parameter that does not decode", "query:a", Request{Query: "a=%zz&a=2"}, "2", 1},
		{"a form field", "form:a", Request{Header: form, Body: []byte("x=1&a=%7B%7D")}, "{}", 1},
		{"a form field of what is no form", "form:a", Request{Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte("a=1")}, "", 0},
		{"JSON in a form field", "form:p#a.b", Request{Header: form, Body: []byte("p=%7B%22a%22%3A%7B%22b%22%3A%22c%22%7D%7D")}, "c", 1},
		{"JSON in a form field that is not there", "form:p#a", Request{Header: form, Body: []byte("x=1")}, "", 0},
		{"a nested JSON string", "json:a.b", Request{Body: []byte(` {"a":{"b":"x\u0041\n"}}`)}, "xA\n", 1},
		{"a JSON number as written", "json:n", Request{Body: []byte(`{"n":1.50e3}`)}, "1.50e3", 1},
		{"a JSON boolean", "json:n", Request{Body: []byte(`{"n":true}`)}, "true", 1},
		{"JSON null", "json:n", Request{Body: []byte(`{"n":null}`)}, "", 0},
		{"a JSON object", "json:n", Request{Body: []byte(`{"n":{}}`)}, "", 0},
		{"an item of a JSON array", "json:0.id", Request{Body: []byte(`[{"id":"x"}]`)}, "x", 1},
		{"no JSON", "json:a", Request{Body: []byte(`hello {"a":"b"}`)}, "", 0},
		{"an empty body", "json:a", Request{}, "", 0},
		{"a key with gjson's own syntax", "json:@reverse", Request{Body: []byte(`{"@reverse":"x","a":"b"}`)}, "x", 1},
		{"a wildcard is a literal key", "json:*", Request{Body: []byte(`{"a":"b"}`)}, "", 0},
		{"a query is a literal key", `json:#(a="b")`, Request{Body: []byte(`[{"a":"b"}]`)}, "", 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sel, err := parseSelector(tt.selector)
			if err != nil {
				t.Fatal(err)
			}
			if text, n := sel.lookup(&tt.req); text != tt.want || n != tt.n {
				t.Errorf("%s finds %q, %d, want %q, %d", tt.selector, text, n, tt.want, tt.n)
			}
		})
	}
}

func TestHostileJSONIsCheapToLookInto(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 100_000)
	for name, body := range map[string]string{
		"deep objects": deep, "deep arrays": strings.Repeat("[", 1<<20), "unclosed string": `{"type":"` + strings.Repeat("x", 1<<20),
		"escapes": `{"type":"` + strings.Repeat(`\u0000`, 1<<17) + `"}`, "many keys": "{" + strings.Repeat(`"k":1,`, 1<<17) + `"type":"x"}`,
		"backslashes": `{"` + strings.Repeat(`\`, 1<<20), "a lone surrogate": `{"type":"\ud800"}`, "a huge number": `{"type":1` + strings.Repeat("0", 1<<20) + `}`,
	} {
		start := time.Now()
		d := bind(t, "token", map[string]string{"id": "json:id"}, testSecret).Describe(&Request{Body: []byte(body)})
		if took := time.Since(start); took > time.Second {
			t.Errorf("%s: took %v", name, took)
		}
		if d.Type == "" || len(d.Type) > maxType || len(d.GivenID) > maxGivenID {
			t.Errorf("%s: type of %d bytes, id of %d", name, len(d.Type), len(d.GivenID))
		}
	}
}

func TestTypesAreCleaned(t *testing.T) {
	tests := []struct{ name, in, dots, want string }{
		{"as it should be", "invoice.paid", "", "invoice.paid"},
		{"slashes for dots", "orders/create", "/", "orders.create"},
		{"runs of dots are one", "a./.b//c", "/", "a.b.c"},
		{"no dots at the ends", "/a/", "/", "a"},
		{"white space and control characters", "Push Hook\x00\r\n", "", "Push_Hook___"},
		{"bytes that are no text", "a\xffb", "", "a_b"},
		{"other scripts stay", "注文.作成", "", "注文.作成"},
		{"nothing", "", "", FallbackType},
		{"only dots", "...", "", FallbackType},
		{"too long", strings.Repeat("é", 100), "", strings.Repeat("é", maxType/2)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Scheme{dotsFor: tt.dots, typeFrom: [][]selector{{{kind: fromHeader, name: "X"}}}}
			if got := s.Describe(&Request{Header: http.Header{"X": {tt.in}}}).Type; got != tt.want {
				t.Errorf("type of %q is %q, want %q", tt.in, got, tt.want)
			}
		})
	}
}

func TestIDs(t *testing.T) {
	alternatives, err := parseAlternatives([]string{"header:A+header:B", "header:B", "const:c+header:A"})
	if err != nil {
		t.Fatal(err)
	}
	s := &Scheme{dedupe: alternatives}
	long := strings.Repeat("x", maxGivenID+1)
	tests := []struct {
		name string
		h    http.Header
		want string
	}{
		{"both parts", http.Header{"A": {"1"}, "B": {"2"}}, "1:2"},
		{"the second alternative", http.Header{"B": {"2"}}, "2"},
		{"a constant part", http.Header{"A": {"1"}}, "c:1"},
		{"none", http.Header{}, ""},
		{"other scripts", http.Header{"B": {"注文-1"}}, "注文-1"},
		{"as long as allowed", http.Header{"B": {long[1:]}}, long[1:]},
		{"longer", http.Header{"B": {long}}, digest(long)},
		{"no text", http.Header{"B": {"\xff"}}, digest("\xff")},
		{"a control character", http.Header{"B": {"a\x00"}}, digest("a\x00")},
	}
	for _, tt := range tests {
		if got := s.Describe(&Request{Header: tt.h}).GivenID; got != tt.want {
			t.Errorf("%s: id %q, want %q", tt.name, got, tt.want)
		}
	}
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "sha256:" + hex.EncodeToString(sum[:])
}
