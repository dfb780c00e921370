package config

import (
	"errors"
	"path/filepath"
	"reflect"

	"github.com/sluicehq/sluice/pkg/control"
)

// ReadSpec reads one source or endpoint as it stands under sources: or endpoints: of a configuration file, in YAML or
// JSON, with its references resolved. It says everything that is wrong with the form; what is wrong with the values the
// management API says. Of in, Path and Environ count; Path "-" is standard input.
func ReadSpec[T control.SourceSpec | control.EndpointSpec](in Input, text []byte) (spec T, err error) {
	p := newProblems(in.Path)
	refs := references{env: newEnvironment(in.Environ).values, dir: filepath.Dir(in.Path)}
	switch node := p.parse(text); {
	case node != nil:
		p.bind("", node, reflect.ValueOf(&spec).Elem())
	case len(p.list) == 0:
		p.add("", "is empty")
	}
	switch spec := any(&spec).(type) {
	case *control.SourceSpec:
		refs.resolveSource(p, "", spec)
	case *control.EndpointSpec:
		refs.resolveEndpoint(p, "", spec)
	}
	return spec, p.err()
}

// Resolve returns what text stands for: the variable of env:NAME, the content of file:PATH, or itself.
func Resolve(text string, environ []string) (string, error) {
	text, err := references{env: newEnvironment(environ).values}.value(text)
	if err != nil {
		return "", errors.New(oneLine(err.Error()))
	}
	return text, nil
}
