package provider

import (
	"bytes"
	"errors"
	"fmt"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/tidwall/gjson"
	"golang.org/x/net/http/httpguts"
)

type selectorKind uint8

const (
	fromHeader selectorKind = iota + 1
	fromQuery
	fromForm
	fromJSON
	fromConst
)

// selector names one text of a request.
type selector struct {
	kind selectorKind
	name string // canonical header, query or form key, constant
	path string // gjson path into the body, or into the form value; empty: none
}

// parseSelector reads header:NAME, query:NAME, form:NAME, form:NAME#PATH, json:PATH and const:TEXT.
func parseSelector(s string) (selector, error) {
	kind, name, ok := strings.Cut(s, ":")
	if !ok || name == "" {
		return selector{}, fmt.Errorf("%q: want header:NAME, query:NAME, form:NAME or json:PATH", s)
	}
	switch kind {
	case "header":
		if !httpguts.ValidHeaderFieldName(name) {
			return selector{}, fmt.Errorf("%q is not a header name", name)
		}
		return selector{kind: fromHeader, name: textproto.CanonicalMIMEHeaderKey(name)}, nil
	case "query":
		return selector{kind: fromQuery, name: name}, nil
	case "form":
		field, path, nested := strings.Cut(name, "#")
		if !nested {
			return selector{kind: fromForm, name: field}, nil
		}
		compiled, err := jsonPath(path)
		return selector{kind: fromForm, name: field, path: compiled}, err
	case "json":
		path, err := jsonPath(name)
		return selector{kind: fromJSON, name: name, path: path}, err
	case "const":
		return selector{kind: fromConst, name: name}, nil
	}
	return selector{}, fmt.Errorf("%q: %q is not one of header, query, form, json", s, kind)
}

// jsonPath escapes all of gjson's syntax but the dots between keys: paths come from people, and modifiers or queries
// would let them run more than a look-up.
func jsonPath(path string) (string, error) {
	keys := strings.Split(path, ".")
	for i, key := range keys {
		if key == "" {
			return "", fmt.Errorf("json path %q has an empty key", path)
		}
		keys[i] = gjson.Escape(key)
	}
	return strings.Join(keys, "."), nil
}

// lookup returns the text, the first if there are several, and how many there are; more than two count as two.
func (s selector) lookup(req *Request) (text string, n int) {
	switch s.kind {
	case fromHeader:
		values := req.Header[s.name]
		if len(values) == 0 {
			return "", 0
		}
		return values[0], len(values)
	case fromQuery:
		return lookupPair([]byte(req.Query), s.name)
	case fromForm:
		if !isForm(req.Header) {
			return "", 0
		}
		text, n = lookupPair(req.Body, s.name)
		if s.path == "" || n == 0 {
			return text, n
		}
		return lookupJSON([]byte(text), s.path)
	case fromJSON:
		return lookupJSON(req.Body, s.path)
	default:
		return s.name, 1
	}
}

// one returns the text, which must be there exactly once and not be empty.
func (s selector) one(req *Request) (string, error) {
	text, n := s.lookup(req)
	switch {
	case n > 1:
		return "", invalid(ReasonRepeated, s.String()+" is there more than once")
	case text == "":
		return "", invalid(ReasonMissing, s.String()+" is missing or empty")
	}
	return text, nil
}

// String names the text for people.
func (s selector) String() string {
	switch s.kind {
	case fromHeader:
		return "header " + s.name
	case fromQuery:
		return "query parameter " + s.name
	case fromForm:
		return "form field " + s.name
	case fromJSON:
		return "JSON field " + s.name
	default:
		return "constant"
	}
}

// parseAlternatives reads texts of selectors joined by "+".
func parseAlternatives(texts []string) ([][]selector, error) {
	var out [][]selector
	for _, text := range texts {
		var joined []selector
		for _, part := range strings.Split(text, "+") {
			s, err := parseSelector(part)
			if err != nil {
				return nil, err
			}
			joined = append(joined, s)
		}
		out = append(out, joined)
	}
	return out, nil
}

// firstPresent returns the first alternative of which every part is there, its parts joined by sep.
func firstPresent(alternatives [][]selector, req *Request, sep string) string {
next:
	for _, parts := range alternatives {
		if len(parts) == 1 {
			if text, _ := parts[0].lookup(req); text != "" {
				return text
			}
			continue
		}
		texts := make([]string, len(parts))
		for i, part := range parts {
			if texts[i], _ = part.lookup(req); texts[i] == "" {
				continue next
			}
		}
		return strings.Join(texts, sep)
	}
	return ""
}

// lookupJSON returns a string, number or boolean; anything else counts as absent. It does not check the rest of the body.
func lookupJSON(body []byte, path string) (string, int) {
	if text := bytes.TrimLeft(body, " \t\r\n"); len(text) == 0 || text[0] != '{' && text[0] != '[' {
		return "", 0 // gjson would look for an object further on
	}
	switch r := gjson.GetBytes(body, path); r.Type {
	case gjson.String:
		return r.Str, 1
	case gjson.Number, gjson.True, gjson.False:
		return r.Raw, 1
	default:
		return "", 0
	}
}

// lookupPair finds name among application/x-www-form-urlencoded pairs. Pairs that do not decode are skipped.
func lookupPair(pairs []byte, name string) (value string, n int) {
	for len(pairs) > 0 && n < 2 {
		var pair []byte
		pair, pairs, _ = bytes.Cut(pairs, []byte("&"))
		key, text, _ := bytes.Cut(pair, []byte("="))
		if !pairNamed(key, name) {
			continue
		}
		decoded, err := url.QueryUnescape(string(text))
		if err != nil {
			continue
		}
		if n++; n == 1 {
			value = decoded
		}
	}
	return value, n
}

func pairNamed(key []byte, name string) bool {
	if string(key) == name {
		return true
	}
	if bytes.IndexByte(key, '%') < 0 && bytes.IndexByte(key, '+') < 0 {
		return false
	}
	decoded, err := url.QueryUnescape(string(key))
	return err == nil && decoded == name
}

func isForm(h map[string][]string) bool {
	const form = "application/x-www-form-urlencoded"
	values := h["Content-Type"]
	if len(values) == 0 {
		return false
	}
	media, _, _ := strings.Cut(values[0], ";")
	return strings.EqualFold(strings.TrimSpace(media), form)
}

var errNotHere = errors.New("const: cannot be verified, name a part of the request")

// parseSource reads a selector of something that the provider sent.
func parseSource(s string) (selector, error) {
	sel, err := parseSelector(s)
	if err == nil && sel.kind == fromConst {
		err = errNotHere
	}
	return sel, err
}
