package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
)

// toJSON returns v as the API writes it, indented for people. Characters that could play with a terminal are escaped,
// which JSON allows within strings, the only place where they can stand.
func toJSON(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return escapeInvisible(strings.TrimSuffix(b.String(), "\n"), func(r rune) string {
		high, low := utf16.EncodeRune(r)
		return fmt.Sprintf(`\u%04x\u%04x`, high, low)
	}), nil
}

// escapeInvisible escapes what does not print within strings; large escapes what has more than 16 bits.
func escapeInvisible(text string, large func(rune) string) string {
	if !strings.ContainsFunc(text, invisible) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case !invisible(r):
			b.WriteRune(r)
		case r > 0xffff:
			b.WriteString(large(r))
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

func invisible(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }

// toYAML returns v as the API writes it, as YAML: the same names in the same order. It is written here because
// github.com/goccy/go-yaml leaves control characters as they are, and texts such as 1e5 without quotes.
func toYAML(v any) (string, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	y := &yamlWriter{tokens: json.NewDecoder(bytes.NewReader(text))}
	y.tokens.UseNumber()
	if err := y.value(0, false); err != nil {
		return "", err
	}
	return strings.TrimPrefix(y.out.String(), "\n"), nil
}

// yamlWriter turns the tokens of one JSON value into YAML.
type yamlWriter struct {
	tokens *json.Decoder
	out    strings.Builder
}

// value writes the next value. What stands in a block begins on a line of its own, but for the first line in an entry
// of a list.
func (y *yamlWriter) value(indent int, inList bool) error {
	token, err := y.tokens.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('{'):
		return y.mapping(indent, inList)
	case json.Delim('['):
		return y.list(indent)
	}
	if !inList {
		y.out.WriteByte(' ')
	}
	y.out.WriteString(yamlScalar(token))
	return nil
}

func (y *yamlWriter) mapping(indent int, inList bool) error {
	if !y.tokens.More() {
		y.empty("{}", inList)
		return y.end()
	}
	for first := true; y.tokens.More(); first = false {
		if !first || !inList {
			y.line(indent)
		}
		key, err := y.tokens.Token()
		if err != nil {
			return err
		}
		y.out.WriteString(yamlScalar(key) + ":")
		if err := y.value(indent+2, false); err != nil {
			return err
		}
	}
	return y.end()
}

func (y *yamlWriter) list(indent int) error {
	if !y.tokens.More() {
		y.empty("[]", false)
		return y.end()
	}
	for y.tokens.More() {
		y.line(indent)
		y.out.WriteString("- ")
		if err := y.value(indent+2, true); err != nil {
			return err
		}
	}
	return y.end()
}

func (y *yamlWriter) empty(text string, inList bool) {
	if !inList {
		y.out.WriteByte(' ')
	}
	y.out.WriteString(text)
}

func (y *yamlWriter) line(indent int) { y.out.WriteString("\n" + strings.Repeat(" ", indent)) }

func (y *yamlWriter) end() error {
	_, err := y.tokens.Token()
	return err
}

// yamlPlain is text that means itself without quotes: it begins with a letter, and has nothing that YAML gives a meaning.
var yamlPlain = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_./-]*$`)

func yamlScalar(token json.Token) string {
	switch t := token.(type) {
	case nil:
		return "null"
	case string:
		switch strings.ToLower(t) {
		case "true", "false", "yes", "no", "on", "off", "y", "n", "null": // YAML 1.1 has all of them
		default:
			if yamlPlain.MatchString(t) {
				return t
			}
		}
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.Encode(t) //nolint:errcheck // a string always encodes, and a Buffer takes it
		return escapeInvisible(strings.TrimSuffix(b.String(), "\n"), func(r rune) string { return fmt.Sprintf(`\U%08x`, r) })
	}
	return fmt.Sprint(token)
}
