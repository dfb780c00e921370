package config

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/sluicehq/sluice/pkg/control"
)

// bind sets dst to what node says, and notes what does not fit. Path is where it stands.
func (p *problems) bind(path string, node ast.Node, dst reflect.Value) {
	if node == nil || node.Type() == ast.NullType || node.Type() == ast.CommentType {
		if dst.Kind() != reflect.Struct && strings.HasSuffix(path, "]") {
			p.add(path, "has no value: leave the entry out")
		}
		return // a key without a value says nothing: the default stays
	}
	switch {
	case isScalar(dst.Type()):
		p.bindScalar(path, node, dst)
	case dst.Kind() == reflect.Pointer:
		v := reflect.New(dst.Type().Elem())
		p.bind(path, node, v.Elem())
		dst.Set(v)
	case dst.Kind() == reflect.Struct:
		p.bindStruct(path, node, dst)
	case dst.Kind() == reflect.Slice:
		p.bindSlice(path, node, dst)
	case dst.Kind() == reflect.Map:
		p.bindMap(path, node, dst)
	default:
		panic("config: no way to read a " + dst.Type().String())
	}
}

func (p *problems) bindStruct(path string, node ast.Node, dst reflect.Value) {
	entries, ok := mapping(node)
	if !ok {
		p.add(path, "want a mapping (key: value)")
		return
	}
	seen := map[string]bool{}
	for _, entry := range entries {
		name := entry.Key.GetToken().Value
		at := join(path, printable(name))
		field, ok := fieldOf(dst.Type(), name)
		p.mark(at, entry, !ok || hidden(field))
		switch {
		case seen[name]:
			p.add(at, "the key stands here twice")
		case !ok:
			p.add(at, "%s", unknownKey(dst.Type(), name))
		default:
			p.bind(at, entry.Value, dst.FieldByIndex(field.Index))
		}
		seen[name] = true
	}
}

func (p *problems) bindSlice(path string, node ast.Node, dst reflect.Value) {
	list, ok := node.(*ast.SequenceNode)
	if !ok {
		p.add(path, "want a list, such as [a, b]")
		return
	}
	secret := dst.Type().Elem() == secretType
	out := reflect.MakeSlice(dst.Type(), len(list.Values), len(list.Values))
	for i, node := range list.Values {
		at := fmt.Sprintf("%s[%d]", path, i)
		p.markValue(at, node, secret)
		p.bind(at, node, out.Index(i))
	}
	dst.Set(out)
}

func (p *problems) bindMap(path string, node ast.Node, dst reflect.Value) {
	entries, ok := mapping(node)
	if !ok {
		p.add(path, "want a mapping (name: value)")
		return
	}
	out := reflect.MakeMap(dst.Type())
	for _, entry := range entries {
		name := entry.Key.GetToken().Value
		at := join(path, printable(name))
		p.mark(at, entry, true)
		if out.MapIndex(reflect.ValueOf(name)).IsValid() {
			p.add(at, "the key stands here twice")
			continue
		}
		value := reflect.New(dst.Type().Elem()).Elem()
		if entry.Value == nil || entry.Value.Type() == ast.NullType {
			p.add(at, `has no value: write "" for an empty one`)
		} else {
			p.bind(at, entry.Value, value)
		}
		out.SetMapIndex(reflect.ValueOf(name), value)
	}
	dst.Set(out)
}

func (p *problems) bindScalar(path string, node ast.Node, dst reflect.Value) {
	text, ok := scalarText(node)
	if !ok {
		p.add(path, "want %s, not a list or mapping; if it has a colon, write it in quotes", kindOf(dst.Type()))
		return
	}
	if err := setText(dst, text); err != nil {
		p.add(path, "%s%s", shown(dst.Type(), text), err)
	}
}

// mark notes where path was set. What is hidden is a secret, or may contain one.
func (p *problems) mark(path string, entry *ast.MappingValueNode, hidden bool) {
	key := entry.Key.GetToken()
	at := place{line: key.Position.Line, key: mark{key.Position.Column, printable(key.Value)}}
	if text, ok := scalarText(entry.Value); ok && !hidden && entry.Value.GetToken().Position.Line == at.line {
		at.value = mark{entry.Value.GetToken().Position.Column, printable(text)}
	}
	p.at[path] = at
}

func (p *problems) markValue(path string, node ast.Node, hidden bool) {
	if node == nil || node.GetToken() == nil {
		return
	}
	at := place{line: node.GetToken().Position.Line, value: mark{column: node.GetToken().Position.Column}}
	if text, ok := scalarText(node); ok && !hidden {
		at.value.text = printable(text)
	}
	p.at[path] = at
}

func mapping(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

func scalarText(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

var (
	secretType = reflect.TypeFor[control.Secret]()
	textType   = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// isScalar reports whether values of t are written as one text.
func isScalar(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Float64:
		return true
	}
	return reflect.PointerTo(t).Implements(textType)
}

// setText sets a scalar to what text says.
func setText(dst reflect.Value, text string) error {
	if u, ok := dst.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch dst.Kind() {
	case reflect.String:
		dst.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return errors.New("want true or false")
		}
		dst.SetBool(text == "true")
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return errors.New("want a whole number")
		}
		dst.SetInt(n)
	case reflect.Float64:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return errors.New("want a number")
		}
		dst.SetFloat(f)
	}
	return nil
}

func kindOf(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[Duration]():
		return "a duration such as 15s"
	case t == reflect.TypeFor[Bytes]():
		return "a size such as 1MiB"
	case t.Kind() == reflect.String:
		return "a text"
	case t.Kind() == reflect.Bool:
		return "true or false"
	}
	return "a number"
}

// shown returns a value and a colon, for the front of an error about it; nothing where it may be a secret.
func shown(t reflect.Type, text string) string {
	if t.Kind() == reflect.String {
		return ""
	}
	return printable(text) + ": "
}

// fieldOf returns the field of a struct that is called name in YAML.
func fieldOf(t reflect.Type, name string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if f := t.Field(i); yamlName(f) == name && name != "-" {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

func yamlName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

// hidden reports whether what the file says for a field stays out of problems: secrets, and what may contain one, as
// URLs, headers and all of a section do.
func hidden(f reflect.StructField) bool {
	t := f.Type
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	return !isScalar(t) || t == secretType || strings.HasSuffix(yamlName(f), "url") || f.Tag.Get("config") == "hidden"
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// unknownKey says what to do about a key that a struct does not have.
func unknownKey(t reflect.Type, name string) string {
	if t.PkgPath() == secretType.PkgPath() && control.NotYet(name) {
		return "not supported by this version"
	}
	best, distance, names := "", 3, []string(nil)
	for i := range t.NumField() {
		known := yamlName(t.Field(i))
		if known == "-" {
			continue
		}
		names = append(names, known)
		if d := editDistance(name, known, distance); d < distance {
			best, distance = known, d
		}
	}
	if best != "" {
		return "unknown key, did you mean " + best + "?"
	}
	return "unknown key, want one of " + strings.Join(names, ", ")
}

// editDistance returns how many letters to insert, delete or replace make b of a (Levenshtein), or limit if more.
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return min(row[len(b)], limit)
}
