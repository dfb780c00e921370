package provider

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/sluicehq/sluice/store"
)

//go:embed presets
var files embed.FS

// Preset is what one provider sends, as data. It is immutable and safe for concurrent use.
type Preset struct {
	Name   string // as in a source's provider
	Title  string // for people
	Docs   string // URL of the provider's documentation
	Params []Param

	spec    *presetSpec
	samples []Sample
}

// Param is a per-source constant of a preset.
type Param struct {
	Name     string
	Doc      string
	Default  string
	Values   []string // the allowed ones; none: any
	Required bool
}

// Problem is one thing wrong with a source's parameters or secrets. It reads "path: value: what is wrong, what to do",
// with a path relative to the source. It never holds a secret.
type Problem struct {
	Path  string
	Value string // empty when missing or secret
	What  string
}

// Error returns the one line that people read.
func (p Problem) Error() string {
	if p.Value == "" {
		return p.Path + ": " + p.What
	}
	return p.Path + ": " + p.Value + ": " + p.What
}

// presets are read when first asked for: most commands never do.
var presets = sync.OnceValue(func() map[string]*Preset {
	entries, err := files.ReadDir("presets")
	if err != nil {
		panic(err) // embedded
	}
	out := map[string]*Preset{}
	for _, e := range entries {
		name, isFile := strings.CutSuffix(e.Name(), ".yaml")
		if !isFile {
			continue
		}
		p, err := load(name)
		if err != nil {
			panic(fmt.Sprintf("preset %s: %v", name, err)) // embedded, and tested
		}
		out[name] = p
	}
	return out
})

// Get returns the preset of that name, and whether there is one.
func Get(name string) (*Preset, bool) {
	p, ok := presets()[name]
	return p, ok
}

// Names returns the names of all presets, sorted.
func Names() []string { return slices.Sorted(maps.Keys(presets())) }

func load(name string) (*Preset, error) {
	text, err := files.ReadFile(path.Join("presets", name+".yaml"))
	if err != nil {
		return nil, err
	}
	p, err := parsePreset(name, text)
	if err != nil {
		return nil, err
	}
	p.samples, err = loadSamples(name, p.spec.Samples)
	return p, err
}

func parsePreset(name string, text []byte) (*Preset, error) {
	spec, err := parseSpec(text)
	if err != nil {
		return nil, err
	}
	p := &Preset{Name: name, Title: spec.Title, Docs: spec.Docs, spec: spec}
	for _, name := range slices.Sorted(maps.Keys(spec.Params)) {
		s := spec.Params[name]
		p.Params = append(p.Params, Param{name, s.Doc, s.Default, s.Values, s.Required})
	}
	return p, nil
}

// Validate says what is wrong with a source's parameters and secrets, and what is allowed but should be looked at.
func (p *Preset) Validate(params map[string]string, secrets []store.Secret) (problems, warnings []Problem) {
	s, problems := p.bind(params, secrets)
	for i, secret := range secrets {
		warnings = append(warnings, doubts(i, secret.Reveal(), p)...)
	}
	if s != nil && p.wantsCoverage() && !s.CoversBody() {
		warnings = append(warnings, Problem{"params.content", "", "does not contain {body}, so a changed body is not noticed"})
	}
	return problems, warnings
}

func doubts(i int, secret string, p *Preset) (out []Problem) {
	at := fmt.Sprintf("secrets[%d]", i)
	if secret == "" {
		return nil // a problem
	}
	if secret != strings.TrimSpace(secret) {
		out = append(out, Problem{at, "", "begins or ends with white space, which counts: remove it unless the provider shows it"})
	}
	if n := p.strength(secret); n > 0 && n < shortSecret {
		out = append(out, Problem{at, "", fmt.Sprintf("has %d bytes, which can be guessed: use %d or more if the provider lets you", n, shortSecret)})
	}
	return out
}

// strength returns the bytes of a secret that an attacker would have to guess; 0 if it cannot be read.
func (p *Preset) strength(secret string) int {
	spec := leafFor(p.spec.Verify, secret)
	if spec == nil {
		return 0
	}
	k, err := spec.Key.decodeOne(indexed{text: secret})
	if err != nil {
		return 0
	}
	if spec.Kind == "basic" {
		_, password, _ := strings.Cut(string(k.raw), ":")
		return len(password)
	}
	return len(k.raw)
}

// leafFor returns the step that a secret goes to.
func leafFor(steps []stepSpec, secret string) *stepSpec {
	given, err := distribute(steps, []indexed{{text: secret}})
	if err != nil {
		return nil
	}
	i := slices.IndexFunc(given, func(s []indexed) bool { return len(s) > 0 })
	if len(steps[i].AnyOf) > 0 {
		return leafFor(steps[i].AnyOf, secret)
	}
	return &steps[i]
}

// wantsCoverage reports whether people choose the signed content themselves.
func (p *Preset) wantsCoverage() bool { _, ok := p.spec.Params["content"]; return ok }

func (p *Preset) bind(params map[string]string, secrets []store.Secret) (*Scheme, []Problem) {
	values, problems := p.values(params)
	problems = append(problems, countSecrets(secrets)...)
	if len(problems) > 0 {
		return nil, problems
	}
	spec, err := p.spec.with(values)
	if err == nil {
		var s *Scheme
		if s, err = newScheme(spec, secrets); err == nil {
			return s, nil
		}
	}
	var bad keyError
	if errors.As(err, &bad) {
		return nil, []Problem{{fmt.Sprintf("secrets[%d]", bad.index), "", bad.err.Error()}}
	}
	return nil, []Problem{{"params", "", err.Error()}}
}

// values returns params with defaults for what is left out.
func (p *Preset) values(params map[string]string) (map[string]string, []Problem) {
	var problems []Problem
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if _, ok := p.spec.Params[name]; !ok {
			problems = append(problems, Problem{"params." + name, "", p.knownParams()})
		}
	}
	values := map[string]string{}
	for _, param := range p.Params {
		value, given := params[param.Name]
		switch {
		case !given && param.Required:
			problems = append(problems, Problem{"params." + param.Name, "", "is missing: " + param.Doc})
		case given && len(param.Values) > 0 && !slices.Contains(param.Values, value):
			problems = append(problems, Problem{"params." + param.Name, value, "want one of " + strings.Join(param.Values, ", ")})
		case given:
			values[param.Name] = value
		default:
			values[param.Name] = param.Default
		}
	}
	return values, problems
}

func (p *Preset) knownParams() string {
	if len(p.Params) == 0 {
		return "provider " + p.Name + " takes no parameters, remove it"
	}
	names := make([]string, len(p.Params))
	for i, param := range p.Params {
		names[i] = param.Name
	}
	return "provider " + p.Name + " has no such parameter, want " + strings.Join(names, ", ")
}

func countSecrets(secrets []store.Secret) (problems []Problem) {
	switch n := len(secrets); {
	case n == 0:
		return []Problem{{"secrets", "", "want one at least: without it anybody could send events"}}
	case n > maxSecrets:
		return []Problem{{"secrets", "", fmt.Sprintf("%d are too many, want %d or fewer", n, maxSecrets)}}
	}
	for i, s := range secrets {
		if strings.TrimSpace(s.Reveal()) == "" {
			problems = append(problems, Problem{fmt.Sprintf("secrets[%d]", i), "", cmp.Or(blank(s), "is empty") + ", set the one that the provider shows"})
		}
	}
	return problems
}

func blank(s store.Secret) string {
	if s.Reveal() == "" {
		return ""
	}
	return "is blank"
}
