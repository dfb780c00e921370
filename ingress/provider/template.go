package provider

import (
	"fmt"
	"strings"
)

type partKind uint8

const (
	literal partKind = iota
	wholeBody
	timestampText
	signatureField
	requestMethod
	requestURL
	requestText
)

// part is a literal or a variable of a template.
type part struct {
	kind partKind
	text string   // literal, or key of a signature field
	sel  selector // of requestText
	stop string   // requestText: the separator that follows, which the text must not contain
}

// template is what a provider signs or wants to read, as literals and variables.
type template []part

// parseTemplate reads a text with variables in braces. There is no way to write a literal brace.
func parseTemplate(s string) (template, error) {
	var t template
	for s != "" {
		text, rest, found := strings.Cut(s, "{")
		if strings.Contains(text, "}") {
			return nil, fmt.Errorf("template: } without {")
		}
		if text != "" {
			t = append(t, part{text: text})
		}
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, fmt.Errorf("template: { without }")
		}
		variable, err := parseVariable(name)
		if err != nil {
			return nil, fmt.Errorf("template: %w", err)
		}
		t = append(t, variable)
		s = after
	}
	for i := range t {
		if i+1 < len(t) && t[i].kind == requestText && t[i+1].kind == literal {
			t[i].stop = t[i+1].text
		}
	}
	return t, nil
}

func parseVariable(name string) (part, error) {
	switch name {
	case "body":
		return part{kind: wholeBody}, nil
	case "ts":
		return part{kind: timestampText}, nil
	case "method":
		return part{kind: requestMethod}, nil
	case "url":
		return part{kind: requestURL}, nil
	}
	if key, ok := strings.CutPrefix(name, "sig."); ok && key != "" {
		return part{kind: signatureField, text: key}, nil
	}
	sel, err := parseSource(name)
	if err != nil {
		return part{}, fmt.Errorf("{%s}: %w", name, err)
	}
	return part{kind: requestText, sel: sel}, nil
}

// has reports whether the template has a variable of this kind.
func (t template) has(kind partKind) bool {
	for i := range t {
		if t[i].kind == kind {
			return true
		}
	}
	return false
}

// check reports the first variable that req does not fill, or fills so that the whole would have two readings.
func (t template) check(req *Request) error {
	for i := range t {
		switch p := &t[i]; p.kind {
		case requestText:
			text, err := p.sel.one(req)
			if err != nil {
				return err
			}
			if p.stop != "" && strings.Contains(text, p.stop) {
				return invalid(ReasonMalformed, p.sel.String()+" contains the separator "+fmt.Sprintf("%q", p.stop))
			}
		case requestURL:
			if req.URL == "" {
				return ErrNoURL
			}
		}
	}
	return nil
}

// append writes the part, which check has passed. The body is not copied: its caller writes it.
func (p *part) append(dst []byte, req *Request, in *presented) []byte {
	switch p.kind {
	case literal:
		return append(dst, p.text...)
	case timestampText:
		return append(dst, in.ts...)
	case signatureField:
		return append(dst, in.fields.value(p.text)...)
	case requestMethod:
		return append(dst, req.Method...)
	case requestURL:
		return append(dst, req.URL...)
	default: // requestText; wholeBody is its caller's
		text, _ := p.sel.lookup(req)
		return append(dst, text...)
	}
}

// render returns the whole as text.
func (t template) render(req *Request, in *presented) []byte {
	n := 0
	if t.has(wholeBody) {
		n = len(req.Body)
	}
	out := make([]byte, 0, n+128)
	for i := range t {
		if t[i].kind == wholeBody {
			out = append(out, req.Body...)
			continue
		}
		out = t[i].append(out, req, in)
	}
	return out
}
