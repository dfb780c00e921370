package provider

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"
)

// tokenStep checks that a header is the secret itself. It says nothing about the body.
type tokenStep struct {
	from   selector
	prefix string
	fold   bool // the prefix is an authentication scheme, whose case does not matter
	keys   []token
}

// token is a secret as it is sent. Digests are compared, so that the time taken tells nothing about lengths.
type token struct {
	text   string
	digest [sha256.Size]byte
}

func newToken(text string) token { return token{text, sha256.Sum256([]byte(text))} }

func newTokenStep(spec *stepSpec, keys []key) (step, error) {
	from, err := parseSource(spec.From)
	if err != nil {
		return nil, fmt.Errorf("from: %w", err)
	}
	if from.kind != fromHeader {
		return nil, errors.New("from: a token is read from a header, elsewhere it would be kept with the event")
	}
	s := &tokenStep{from: from, prefix: spec.Prefix}
	for _, k := range keys {
		s.keys = append(s.keys, newToken(string(k.raw)))
	}
	return s, nil
}

// newBasicStep checks HTTP basic authentication (RFC 7617); a key is USER:PASSWORD.
func newBasicStep(keys []key) (step, error) {
	s := &tokenStep{from: selector{kind: fromHeader, name: "Authorization"}, prefix: "Basic ", fold: true}
	for _, k := range keys {
		user, _, ok := strings.Cut(string(k.raw), ":")
		if !ok || user == "" {
			return nil, keyError{k.index, errors.New("want USER:PASSWORD")}
		}
		s.keys = append(s.keys, newToken(base64.StdEncoding.EncodeToString(k.raw)))
	}
	return s, nil
}

func (s *tokenStep) verify(req *Request, _ time.Time) error {
	header, err := s.from.one(req)
	if err != nil {
		return err
	}
	text, ok := s.cut(header)
	if !ok {
		return invalid(ReasonMalformed, fmt.Sprintf("%s does not begin with %q", s.from, s.prefix))
	}
	digest := sha256.Sum256([]byte(text))
	for i := range s.keys {
		if subtle.ConstantTimeCompare(digest[:], s.keys[i].digest[:]) == 1 {
			return nil
		}
	}
	return invalid(ReasonMismatch, s.from.String()+" holds another secret")
}

func (s *tokenStep) cut(header string) (string, bool) {
	if !s.fold {
		return strings.CutPrefix(header, s.prefix)
	}
	if len(header) < len(s.prefix) || !strings.EqualFold(header[:len(s.prefix)], s.prefix) {
		return "", false
	}
	return header[len(s.prefix):], true
}

func (s *tokenStep) sign(req *Request, _ time.Time) error {
	setHeader(req, s.from.name, s.prefix+s.keys[0].text)
	return nil
}

func (s *tokenStep) coversBody() bool { return false }
