package provider

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/store"
)

// Bounds of a source's secrets.
const (
	maxSecrets  = 10 // at a time; rotation needs two
	shortSecret = 16 // bytes; shorter ones are accepted with a warning, because providers hand them out
)

// key is a secret as a step uses it.
type key struct {
	index   int // of the secret
	raw     []byte
	private bool // claimed by keySpec.Private
}

// keyError is a secret that a step cannot use.
type keyError struct {
	index int
	err   error
}

func (e keyError) Error() string { return fmt.Sprintf("secrets[%d]: %v", e.index, e.err) }
func (e keyError) Unwrap() error { return e.err }

// indexed is a secret and its place in the source's list.
type indexed struct {
	index int
	text  string
}

// decode makes keys of the secrets that a step was given.
func (k keySpec) decode(secrets []indexed) ([]key, error) {
	keys := make([]key, 0, len(secrets))
	for _, s := range secrets {
		made, err := k.decodeOne(s)
		if err != nil {
			return nil, keyError{s.index, err}
		}
		keys = append(keys, made)
	}
	return keys, nil
}

func (k keySpec) decodeOne(s indexed) (key, error) {
	text, made := s.text, key{index: s.index}
	for _, prefix := range k.Claims {
		if rest, ok := strings.CutPrefix(text, prefix); ok {
			text, made.private = rest, prefix == k.Private
			break
		}
	}
	if k.StripPrefix != "" {
		text = strings.TrimPrefix(text, k.StripPrefix)
	}
	enc := encoding(k.Encoding)
	switch enc {
	case "":
		enc = encodingUTF8
	case encodingUTF8, encodingHex, encodingBase64:
	default:
		return made, fmt.Errorf("key.encoding %q: want utf8, hex or base64", k.Encoding)
	}
	var err error
	if made.raw, err = enc.decodeKey(text); err != nil {
		return made, fmt.Errorf("is not %s", enc)
	}
	if len(made.raw) == 0 {
		return made, errors.New("is empty but for its prefix")
	}
	return made, nil
}

// claims reports whether the step wants this secret for its prefix, and whether it also takes those that nobody claims.
func (s *stepSpec) claims(secret string) (byPrefix, unclaimed bool) {
	if len(s.AnyOf) == 0 {
		byPrefix = slices.ContainsFunc(s.Key.Claims, func(p string) bool { return strings.HasPrefix(secret, p) })
		return byPrefix, len(s.Key.Claims) == 0
	}
	for i := range s.AnyOf {
		p, a := s.AnyOf[i].claims(secret)
		byPrefix, unclaimed = byPrefix || p, unclaimed || a
	}
	return byPrefix, unclaimed
}

// distribute gives each secret to the step that claims its prefix, else to the first that takes any.
func distribute(steps []stepSpec, secrets []indexed) ([][]indexed, error) {
	given := make([][]indexed, len(steps))
next:
	for _, s := range secrets {
		fallback := -1
		for i := range steps {
			byPrefix, unclaimed := steps[i].claims(s.text)
			if byPrefix {
				given[i] = append(given[i], s)
				continue next
			}
			if unclaimed && fallback < 0 {
				fallback = i
			}
		}
		if fallback < 0 {
			return nil, keyError{s.index, errors.New("is of no kind that this provider hands out")}
		}
		given[fallback] = append(given[fallback], s)
	}
	return given, nil
}

func index(secrets []store.Secret) []indexed {
	out := make([]indexed, len(secrets))
	for i, s := range secrets {
		out[i] = indexed{i, s.Reveal()}
	}
	return out
}

// compileAll makes the steps that must all pass.
func compileAll(specs []stepSpec, secrets []indexed) (step, error) {
	given, err := distribute(specs, secrets)
	if err != nil {
		return nil, err
	}
	var all allOf
	for i := range specs {
		if len(given[i]) == 0 {
			return nil, errors.New("secrets: one is missing, all of the provider's checks need one")
		}
		s, err := specs[i].compile(given[i])
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return all, nil
}

// compile makes one step; secrets has one at least.
func (s *stepSpec) compile(secrets []indexed) (step, error) {
	if len(s.AnyOf) > 0 {
		return s.compileAny(secrets)
	}
	keys, err := s.Key.decode(secrets)
	if err != nil {
		return nil, err
	}
	switch s.Kind {
	case "hmac":
		return newHMACStep(s, keys)
	case "ed25519":
		return newEd25519Step(s, keys)
	case "token":
		return newTokenStep(s, keys)
	case "basic":
		return newBasicStep(keys)
	}
	return nil, fmt.Errorf("kind: %q: want hmac, ed25519, token or basic", s.Kind)
}

func (s *stepSpec) compileAny(secrets []indexed) (step, error) {
	given, err := distribute(s.AnyOf, secrets)
	if err != nil {
		return nil, err
	}
	var alternatives anyOf
	for i := range s.AnyOf {
		if len(given[i]) == 0 {
			continue // not configured, so it must not be accepted
		}
		made, err := s.AnyOf[i].compile(given[i])
		if err != nil {
			return nil, err
		}
		alternatives = append(alternatives, made)
	}
	if len(alternatives) == 1 {
		return alternatives[0], nil
	}
	return alternatives, nil
}
