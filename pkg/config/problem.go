package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Problem is one thing wrong with the configuration.
type Problem struct {
	Path string // "egress.in_flight"; empty when it is about the file as a whole
	Text string // what is wrong and what to do, with the value where that is harmless
	From string // the file, or the variable of the environment; empty: a default
	Line int    // in the file, from 1; 0: nowhere in it
	// Column counts characters from 1; Excerpt is what stands there of the line.
	Column  int
	Excerpt string
	caret   int // under which character of Excerpt, from 0
}

// String returns the problem in one line: where, path, what.
func (p Problem) String() string {
	var b strings.Builder
	switch {
	case p.Line > 0:
		fmt.Fprintf(&b, "%s:%d:%d: ", p.From, p.Line, p.Column)
	case p.From != "":
		b.WriteString(p.From + ": ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Text)
	return b.String()
}

// Error is everything that is wrong with a configuration.
type Error struct{ Problems []Problem }

// maxPrinted is how many problems Error prints; beyond that another file was meant.
const maxPrinted = 50

// Error prints the problems, one after the other, with the place in the file below each:
//
//	sluice.yaml:3:3: egress.in_fligth: unknown key, did you mean in_flight?
//	   3 | in_fligth:
//	     | ^
func (e *Error) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		if i == maxPrinted {
			fmt.Fprintf(&b, "and %d more", len(e.Problems)-i)
			break
		}
		b.WriteString(p.String())
		if p.Line > 0 && p.Excerpt != "" {
			fmt.Fprintf(&b, "\n%4d | %s\n     | %s^", p.Line, p.Excerpt, strings.Repeat(" ", p.caret))
		}
	}
	return b.String()
}

// problems collects what is wrong, and knows where in the file or environment each path was set.
type problems struct {
	file  string
	at    map[string]place
	list  []Problem
	known map[string]bool // paths in list
}

// maxProblems is how many are collected at most.
const maxProblems = 1000

func newProblems(file string) *problems {
	return &problems{file: file, at: map[string]place{}, known: map[string]bool{}}
}

// place is where a path was set.
type place struct {
	variable   string // of the environment; then the rest is empty
	line       int
	key, value mark
}

// mark is a key or a value in a line.
type mark struct {
	column int
	text   string // what may be shown
}

// add notes a problem with the value at path, wherever that or what it is part of was set. Of a path the first counts:
// what comes later follows from it.
func (p *problems) add(path, format string, args ...any) {
	if p.known[path] || len(p.list) >= maxProblems {
		return
	}
	p.known[path] = true
	p.list = append(p.list, p.locate(Problem{Path: path, Text: oneLine(fmt.Sprintf(format, args...))}))
}

// addError notes a problem in the form "path: what is wrong" that the parts' Validate returns.
func (p *problems) addError(err error) {
	path, text, ok := strings.Cut(err.Error(), ": ")
	if !ok {
		path, text = "", err.Error()
	}
	p.add(path, "%s", text)
}

func (p *problems) locate(q Problem) Problem {
	if q.Path == "" {
		q.From = p.file
	}
	for path := q.Path; path != ""; path = parent(path) {
		at, ok := p.at[path]
		if !ok {
			continue
		}
		if at.variable != "" {
			q.From = at.variable
			return q
		}
		q.From, q.Line = p.file, at.line
		q.Column, q.Excerpt, q.caret = at.excerpt()
		return q
	}
	return q
}

// oneLine replaces what would not print.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return '·'
		}
		return r
	}, text)
}

// printable keeps outside text to one short line.
func printable(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return oneLine(text)
}

// excerpt shows the key and, if it may be shown, the value, with the caret under the latter.
func (at place) excerpt() (column int, text string, caret int) {
	if at.key.column == 0 { // an element of a list
		return at.value.column, at.value.text, 0
	}
	text = at.key.text + ":"
	if at.value.text == "" {
		return at.key.column, text, 0
	}
	text += " "
	return at.value.column, text + at.value.text, len([]rune(text))
}

// parent returns the path of what path is part of: a.b[0] of a.b[0].c, a.b of a.b[0].
func parent(path string) string {
	return path[:max(strings.LastIndexAny(path, ".["), 0)]
}

// err returns the problems in the order of the file, or nil.
func (p *problems) err() error {
	if len(p.list) == 0 {
		return nil
	}
	slices.SortStableFunc(p.list, func(a, b Problem) int {
		if (a.Line == 0) != (b.Line == 0) { // what is not in the file comes last
			return cmp.Compare(b.Line, a.Line)
		}
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return &Error{Problems: p.list}
}
