package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a configuration file. The parser's time grows with the square of nesting and of keys in one mapping.
const (
	MaxFile    = 1 << 20 // bytes
	maxNesting = 32
	maxKeys    = 1000 // in one mapping
)

// parse returns the mapping at the top of a file; nil if it is empty. It reports what is wrong with its syntax.
func (p *problems) parse(text []byte) ast.Node {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // editors on Windows write it
	switch {
	case len(text) > MaxFile:
		p.atLine(0, 0, "", fmt.Sprintf("more than %d bytes, the most that is read", MaxFile))
		return nil
	case !utf8.Valid(text):
		p.atLine(0, 0, "", "not UTF-8 text")
		return nil
	}
	source := lineBreaks.Replace(string(text))
	lines := strings.Split(source, "\n")
	if tab := indentedByTab(lines); tab > 0 {
		p.atLine(tab, 1, "", "a tab in the indentation: YAML wants spaces")
		return nil
	}
	tokens := lexer.Tokenize(source)
	if !p.checkTokens(tokens) {
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey()) // those are found when binding
	if err != nil {
		p.addSyntax(err, lines)
		return nil
	}
	return p.document(file)
}

// lineBreaks makes one of all line breaks that YAML knows, as its readers do.
var lineBreaks = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// document returns what the only document of a file says.
func (p *problems) document(file *ast.File) ast.Node {
	var body ast.Node
	for _, doc := range file.Docs {
		if doc.Body == nil || doc.Body.Type() == ast.CommentType || doc.Body.Type() == ast.NullType {
			continue
		}
		if body != nil {
			at := doc.Body.GetToken().Position
			p.atLine(at.Line, at.Column, "", "a second document: a configuration file has one")
			return nil
		}
		body = doc.Body
	}
	return body
}

// atLine notes a problem with the file itself. Excerpt is what may be shown of the line; the caret stands at its end.
func (p *problems) atLine(line, column int, excerpt, text string) {
	caret := max(len([]rune(excerpt))-1, 0)
	p.list = append(p.list, Problem{Text: text, From: p.file, Line: line, Column: column, Excerpt: excerpt, caret: caret})
}

func (p *problems) addSyntax(err error, lines []string) {
	var syntax *yaml.SyntaxError
	if !errors.As(err, &syntax) || syntax.Token == nil {
		p.atLine(0, 0, "", "not YAML: "+unquoted(err.Error()))
		return
	}
	at := syntax.Token.Position
	excerpt := ""
	if at.Line >= 1 && at.Line <= len(lines) {
		excerpt = harmless(lines[at.Line-1], at.Column)
	}
	p.atLine(at.Line, at.Column, excerpt, "not YAML: "+unquoted(syntax.Message))
}

// unquoted returns a message of the parser up to where it quotes the file.
func unquoted(message string) string {
	return strings.TrimRight(message[:strings.IndexAny(message+"\n", "\"\n")], ": ")
}

// harmless returns the beginning of a line up to a column, but nothing of a value: behind a colon may be a secret.
func harmless(line string, column int) string {
	runes := []rune(line)
	end := min(column, len(runes))
	for i := range end {
		if runes[i] == ':' {
			end = i + 1
			break
		}
	}
	return string(runes[:end])
}

// indentedByTab returns the first line, from 1, whose indentation has a tab; 0 if none has.
func indentedByTab(lines []string) int {
	for i, line := range lines {
		rest := strings.TrimLeft(line, " \t")
		if strings.Contains(line[:len(line)-len(rest)], "\t") && rest != "" {
			return i + 1
		}
	}
	return 0
}

// checkTokens refuses what a configuration has no use for and what the parser would take too long for.
func (p *problems) checkTokens(tokens token.Tokens) bool {
	var n nesting
	for _, tk := range tokens {
		what := ""
		switch tk.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType:
			what = "anchors, aliases and merge keys are not supported: write the value out"
		case token.TagType:
			what = "tags are not supported: leave it out"
		case token.MappingKeyType:
			what = "a key after a question mark is not supported: write key: value"
		case token.DirectiveType:
			what = "directives are not supported: leave it out"
		default:
			what = n.step(tk)
		}
		if what != "" {
			p.atLine(tk.Position.Line, tk.Position.Column, "", what)
			return false
		}
	}
	return true
}

// nesting follows how deep tokens nest and how many keys each mapping has.
type nesting struct {
	flows  []int       // keys of each open [ or {
	blocks map[int]int // keys in a column since something stood further left
	line   int
	dashes int // entries of lists that begin in line
}

// step returns what is wrong with tk after what came before, or nothing.
func (n *nesting) step(tk *token.Token) string {
	if tk.Position.Line != n.line {
		n.line, n.dashes = tk.Position.Line, 0
	}
	keys := 0
	switch tk.Type {
	case token.SequenceStartType, token.MappingStartType:
		n.flows = append(n.flows, 0)
	case token.SequenceEndType, token.MappingEndType:
		n.flows = n.flows[:max(len(n.flows)-1, 0)]
	case token.SequenceEntryType:
		n.dashes++
		n.forgetRightOf(tk.Position.Column)
	case token.MappingValueType:
		keys = n.key(tk)
	}
	switch {
	case len(n.flows) > maxNesting || n.dashes > maxNesting:
		return fmt.Sprintf("nested deeper than %d", maxNesting)
	case keys > maxKeys:
		return fmt.Sprintf("more than %d keys in one mapping", maxKeys)
	}
	return ""
}

// key counts the key before a colon and returns how many its mapping has.
func (n *nesting) key(colon *token.Token) int {
	if top := len(n.flows) - 1; top >= 0 {
		n.flows[top]++
		return n.flows[top]
	}
	column := colon.Position.Column
	if colon.Prev != nil {
		column = colon.Prev.Position.Column
	}
	n.forgetRightOf(column)
	if n.blocks == nil {
		n.blocks = map[int]int{}
	}
	n.blocks[column]++
	return n.blocks[column]
}

func (n *nesting) forgetRightOf(column int) {
	for c := range n.blocks {
		if c > column {
			delete(n.blocks, c)
		}
	}
}
