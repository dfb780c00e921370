package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// envPrefix begins the variables that override settings.
const envPrefix = "SLUICE_"

// environment is the environment, and which of its variables are settings.
type environment struct {
	values  map[string]string
	setting map[string]bool
}

func newEnvironment(environ []string) *environment {
	e := &environment{values: map[string]string{}, setting: map[string]bool{}}
	for _, pair := range environ {
		if name, value, ok := strings.Cut(pair, "="); ok {
			e.values[name] = value
		}
	}
	return e
}

// override sets every value of c that a variable names, and returns warnings about variables that begin like a setting
// and are none. An empty variable counts as not set: that is how compose files pass on what is missing.
func (e *environment) override(p *problems, c *Config) (warnings []string) {
	e.overrideStruct(p, "", reflect.ValueOf(c).Elem())
	for name := range e.values {
		if !e.setting[name] && e.looksLikeSetting(name) {
			warnings = append(warnings, name+" is no setting of this version and ignored")
		}
	}
	slices.Sort(warnings)
	return warnings
}

func (e *environment) overrideStruct(p *problems, path string, dst reflect.Value) {
	for i := range dst.NumField() {
		name := yamlName(dst.Type().Field(i))
		if name == "-" {
			continue
		}
		at, field := join(path, name), dst.Field(i)
		switch {
		case isScalar(field.Type()):
			e.overrideValue(p, at, func(text string) error { return setText(field, text) })
		case field.Kind() == reflect.Struct:
			e.overrideStruct(p, at, field)
		case field.Kind() == reflect.Slice && isScalar(field.Type().Elem()):
			e.overrideValue(p, at, func(text string) error { return setList(field, text) })
		}
	}
}

func (e *environment) overrideValue(p *problems, path string, set func(text string) error) {
	name := variableOf(path)
	e.setting[name] = true
	text := e.values[name]
	if text == "" {
		return
	}
	p.forget(path)
	p.at[path] = place{variable: name}
	if err := set(text); err != nil {
		p.add(path, "%s", err)
	}
}

// forget drops what was found wrong with a value that the file set and the environment overrides.
func (p *problems) forget(path string) {
	within := func(at string) bool { return at == path || parent(at) == path }
	p.list = slices.DeleteFunc(p.list, func(q Problem) bool { return within(q.Path) })
	maps.DeleteFunc(p.known, func(at string, _ bool) bool { return within(at) })
	maps.DeleteFunc(p.at, func(at string, _ place) bool { return within(at) })
}

// setList sets a list to what stands between the commas of text.
func setList(dst reflect.Value, text string) error {
	out := reflect.MakeSlice(dst.Type(), 0, 4)
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		v := reflect.New(dst.Type().Elem()).Elem()
		if err := setText(v, part); err != nil {
			return err
		}
		out = reflect.Append(out, v)
	}
	dst.Set(out)
	return nil
}

// variableOf returns the variable that overrides the value at path.
func variableOf(path string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// looksLikeSetting reports whether a variable begins with the name of a section. Kubernetes sets variables for each
// service, and one may be called sluice-control: those are nobody's mistake.
func (e *environment) looksLikeSetting(name string) bool {
	rest, ok := strings.CutPrefix(name, envPrefix)
	if !ok || strings.Contains(rest, "_SERVICE_") || strings.Contains(rest, "_PORT") {
		return false
	}
	section, _, ok := strings.Cut(strings.ToLower(rest), "_")
	field, isSection := fieldOf(reflect.TypeFor[Config](), section)
	return ok && isSection && field.Type.Kind() == reflect.Struct
}
