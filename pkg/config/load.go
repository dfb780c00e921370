package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/sluicehq/sluice/pkg/control"
)

// DefaultPath is the file that commands read when none is named and it is there.
const DefaultPath = "sluice.yaml"

// Input is what Load reads.
type Input struct {
	Path      string   // of the file; empty: none
	Environ   []string // NAME=VALUE, as os.Environ returns; of a name that comes twice the last counts
	Base      Config   // what holds where nothing else is said: Defaults(), or what dev changes of them
	Resources bool     // resolve and validate sources and endpoints as well, for dev, serve and apply
}

// Load reads the configuration. The error is an *Error with all problems, or says why the file cannot be read.
// Warnings are about variables of the environment that look like settings and are none.
func Load(in Input) (c *Config, warnings []string, err error) {
	var text []byte
	if in.Path != "" {
		if text, err = readFile(in.Path); err != nil {
			return nil, nil, fmt.Errorf("read configuration: %w", err)
		}
	}
	return load(in, text)
}

func load(in Input, text []byte) (c *Config, warnings []string, err error) {
	p := newProblems(in.Path)
	c = new(in.Base)
	if node := p.parse(text); node != nil {
		p.bind("", node, reflect.ValueOf(c).Elem())
	}
	env := newEnvironment(in.Environ)
	warnings = env.override(p, c)
	refs := references{env: env.values, dir: filepath.Dir(in.Path)}
	refs.resolve(p, c, in.Resources)
	c.validate(p)
	if in.Resources {
		c.validateResources(p)
	}
	if err := p.err(); err != nil {
		return nil, warnings, err
	}
	return c, warnings, nil
}

// readFile reads a configuration file, and a byte more than it may have.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	return io.ReadAll(io.LimitReader(f, MaxFile+1))
}

// references resolves what stands for a secret.
type references struct {
	env map[string]string
	dir string // that relative paths of file: are relative to: the configuration file's
}

// maxSecretFile bounds the files that hold secrets, in bytes.
const maxSecretFile = 64 << 10

// resolve replaces every env:NAME and file:PATH of c by what it stands for.
func (r references) resolve(p *problems, c *Config, resources bool) {
	r.replace(p, "broker.url", &c.Broker.URL)
	r.replace(p, "store.url", &c.Store.URL)
	resolveAll(r, p, "encryption_key", c.EncryptionKey)
	if !resources {
		return
	}
	for i := range c.Sources {
		r.resolveSource(p, fmt.Sprintf("sources[%d]", i), &c.Sources[i])
	}
	for i := range c.Endpoints {
		r.resolveEndpoint(p, fmt.Sprintf("endpoints[%d]", i), &c.Endpoints[i])
	}
}

func (r references) resolveSource(p *problems, at string, s *control.SourceSpec) {
	resolveAll(r, p, join(at, "secrets"), s.Secrets)
}

func (r references) resolveEndpoint(p *problems, at string, e *control.EndpointSpec) {
	resolveAll(r, p, join(at, "secrets"), e.Secrets)
	if e.Auth != nil {
		resolve(r, p, join(at, "auth.password"), &e.Auth.Password)
		resolve(r, p, join(at, "auth.token"), &e.Auth.Token)
		resolve(r, p, join(at, "auth.value"), &e.Auth.Value)
	}
}

func resolveAll[S ~string](r references, p *problems, path string, secrets []S) {
	for i := range secrets {
		resolve(r, p, fmt.Sprintf("%s[%d]", path, i), &secrets[i])
	}
}

func resolve[S ~string](r references, p *problems, path string, secret *S) {
	text := string(*secret)
	r.replace(p, path, &text)
	*secret = S(text)
}

// replace resolves one value; what is no reference stays.
func (r references) replace(p *problems, path string, value *string) {
	text, err := r.value(*value)
	if err != nil {
		p.add(path, "%s", err)
		return
	}
	*value = text
}

func (r references) value(text string) (string, error) {
	if name, ok := strings.CutPrefix(text, "env:"); ok {
		return r.variable(name)
	}
	if name, ok := strings.CutPrefix(text, "file:"); ok {
		return r.file(name)
	}
	return text, nil
}

func (r references) variable(name string) (string, error) {
	if name == "" {
		return "", errors.New("env: without a name, write env:NAME")
	}
	text := r.env[name]
	if text == "" {
		return "", fmt.Errorf("variable %s of the environment is not set", printable(name))
	}
	return text, nil
}

// file reads a secret; the line break that editors put at the end is not part of it.
func (r references) file(path string) (string, error) {
	if path == "" {
		return "", errors.New("file: without a path, write file:PATH")
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return "", err
	}
	text = []byte(strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"))
	switch {
	case len(text) > maxSecretFile:
		return "", fmt.Errorf("%s is larger than the %d bytes that a secret has", path, maxSecretFile)
	case len(text) == 0:
		return "", fmt.Errorf("%s is empty", path)
	}
	return string(text), nil
}
