package control

import "strings"

// Problem is one thing wrong with what somebody wrote. It reads "path: value: what is wrong, what to do".
type Problem struct {
	Path  string // endpoints[0].timeout
	Value string // as written; empty when it is missing, or secret
	What  string // what is wrong and what to do about it
}

// Error returns the one line that people read.
func (p Problem) Error() string {
	if p.Value == "" {
		return p.Path + ": " + p.What
	}
	return p.Path + ": " + p.Value + ": " + p.What
}

// problems collects what is wrong below one path.
type problems struct {
	base string
	list []Problem
}

// add notes a problem with the value at path, which is relative to base.
func (p *problems) add(path, value, what string) {
	p.list = append(p.list, Problem{Path: p.at(path), Value: shorten(value), What: what})
}

func (p *problems) at(path string) string {
	if p.base == "" || path == "" {
		return p.base + path
	}
	return p.base + "." + path
}

// shorten keeps a value to one short printable line.
func shorten(value string) string {
	const most = 80
	value = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u2028' || r == '\u2029' {
			return '�'
		}
		return r
	}, strings.ToValidUTF8(value, "�"))
	if len(value) <= most {
		return value
	}
	cut := most
	for value[cut]&0xC0 == 0x80 { // not within a character
		cut--
	}
	return value[:cut] + "…"
}
