package event

import (
	"fmt"
	"slices"
)

// hasRequest reports whether appendRequest has anything to say.
func hasRequest(e *Event) bool {
	return e.Method != "" || e.Path != "" || e.Query != "" || e.Headers != nil
}

// appendRequest writes the value of header sluice-request: {"method":…,"path":…,"query":…,"headers":{…}}, members that
// are empty left out, names of headers in order.
func appendRequest(out []byte, e *Event) []byte {
	out = append(out, '{')
	first := true
	member := func(name, value string) {
		if value == "" {
			return
		}
		out = appendMember(out, name, first)
		out = appendJSONString(out, value)
		first = false
	}
	member("method", e.Method)
	member("path", e.Path)
	member("query", e.Query)
	if e.Headers != nil {
		out = appendMember(out, "headers", first)
		out = appendStrings(out, e.Headers)
	}
	return append(out, '}')
}

// appendMember writes the comma, if one is due, and name, which needs no escapes.
func appendMember(out []byte, name string, first bool) []byte {
	if !first {
		out = append(out, ',')
	}
	out = append(out, '"')
	out = append(out, name...)
	return append(out, '"', ':')
}

func appendStrings(out []byte, m map[string]string) []byte {
	var buf [16]string
	names := buf[:0]
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	out = append(out, '{')
	for i, name := range names {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendJSONString(out, name)
		out = append(out, ':')
		out = appendJSONString(out, m[name])
	}
	return append(out, '}')
}

// readRequest reads what appendRequest wrote. Members it does not know are skipped: a newer Sluice may have written it.
func readRequest(e *Event, text string) error {
	r := jsonReader[string]{in: text, surrogateBytes: true}
	err := r.object(func(name string) (err error) {
		r.skipSpace()
		switch name {
		case "method":
			e.Method, err = r.str()
		case "path":
			e.Path, err = r.str()
		case "query":
			e.Query, err = r.str()
		case "headers":
			e.Headers, err = readStrings(&r)
		default:
			_, err = r.raw()
		}
		return err
	})
	if err != nil {
		return err
	}
	return r.end()
}

func readStrings(r *jsonReader[string]) (map[string]string, error) {
	m := map[string]string{}
	err := r.object(func(name string) error {
		r.skipSpace()
		value, err := r.str()
		if err != nil {
			return fmt.Errorf("value of %s: %w", quote(name), err)
		}
		m[name] = value
		return nil
	})
	return m, err
}
