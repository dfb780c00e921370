package provider

import (
	"errors"
	"fmt"
	"net/http"
	"time"
)

// step is one check of a request. Its methods are safe for concurrent use.
type step interface {
	// verify returns nil, an *InvalidError, or a fault of ours.
	verify(req *Request, now time.Time) error
	// sign makes verify pass at now by setting headers of req.
	sign(req *Request, now time.Time) error
	// coversBody reports whether verify fails when the body is another one.
	coversBody() bool
}

// allOf passes if every step does.
type allOf []step

func (a allOf) verify(req *Request, now time.Time) error {
	for _, s := range a {
		if err := s.verify(req, now); err != nil {
			return err
		}
	}
	return nil
}

func (a allOf) sign(req *Request, now time.Time) error {
	for _, s := range a {
		if err := s.sign(req, now); err != nil {
			return err
		}
	}
	return nil
}

func (a allOf) coversBody() bool {
	for _, s := range a {
		if s.coversBody() {
			return true
		}
	}
	return false
}

// anyOf passes if one step does. It reports the error of the step that came furthest.
type anyOf []step

func (a anyOf) verify(req *Request, now time.Time) error {
	var worst error
	for _, s := range a {
		err := s.verify(req, now)
		if err == nil {
			return nil
		}
		if worst == nil || progress(err) > progress(worst) {
			worst = err
		}
	}
	return worst
}

func (a anyOf) sign(req *Request, now time.Time) error {
	var errs []error
	for _, s := range a {
		err := s.sign(req, now)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (a anyOf) coversBody() bool {
	for _, s := range a {
		if !s.coversBody() {
			return false
		}
	}
	return true
}

// signed is what steps with a signature over content share.
type signed struct {
	sig     signature
	content template
	ts      *timestamp // nil: none
}

// presented is what a request says about its own signature.
type presented struct {
	fields fieldsOf // of the signature header
	ts     string   // timestamp as sent
	at     time.Time
}

func newSigned(spec *stepSpec) (signed, error) {
	var s signed
	var err error
	if s.sig, err = newSignature(spec.Sig); err != nil {
		return s, err
	}
	if s.content, err = parseTemplate(spec.Content); err != nil {
		return s, fmt.Errorf("content: %w", err)
	}
	if s.ts, err = newTimestamp(spec.TS); err != nil {
		return s, err
	}
	return s, s.consistent()
}

func (s *signed) consistent() error {
	if len(s.content) == 0 {
		return errors.New("content: is empty, want at least {body}")
	}
	if s.content.has(timestampText) && s.ts == nil {
		return errors.New("content: {ts} needs a timestamp")
	}
	if s.sig.pair == "" && (s.content.has(signatureField) || s.ts != nil && s.ts.field != "") {
		return errors.New("sig.KEY needs a signature header with pairs")
	}
	return nil
}

// present reads the claims of req and checks that all of the content is there. It appends the signatures that count to
// items, which has room for maxItems.
func (s *signed) present(req *Request, items []string) (presented, []string, error) {
	header, err := s.sig.from.one(req)
	if err != nil {
		return presented{}, nil, err
	}
	in := presented{fields: fieldsOf{sig: &s.sig, header: header}}
	if err := s.fill(&in, req); err != nil {
		return in, nil, err
	}
	items, err = s.sig.items(header, items)
	return in, items, err
}

// fill reads what stands beside the signature.
func (s *signed) fill(in *presented, req *Request) (err error) {
	for i := range s.content {
		if p := &s.content[i]; p.kind == signatureField {
			if _, err := in.fields.one(p.text); err != nil {
				return err
			}
		}
	}
	if s.ts != nil {
		if in.ts, err = s.ts.text(req, in.fields); err != nil {
			return err
		}
		if in.at, err = s.ts.parse(in.ts); err != nil {
			return invalid(ReasonMalformed, fmt.Sprintf("the timestamp is not in the form %q", s.ts.unit))
		}
	}
	return s.content.check(req)
}

// fresh checks the time of a request whose signature is right.
func (s *signed) fresh(in *presented, now time.Time) error {
	if s.ts == nil {
		return nil
	}
	return s.ts.check(in.at, now)
}

func (s *signed) mismatch(keys int) error {
	what := "the signature does not match"
	if keys > 1 {
		what += fmt.Sprintf(" any of %d secrets", keys)
	}
	return invalid(ReasonMismatch, what+": another secret, or a changed body")
}

func (s *signed) coversBody() bool { return s.content.has(wholeBody) }

// signWith sets the timestamp, and the signature that digest makes of the content.
func (s *signed) signWith(req *Request, now time.Time, digest func(message []byte) []byte) error {
	if s.sig.from.kind != fromHeader {
		return fmt.Errorf("sign: a signature in a %s cannot be made", s.sig.from)
	}
	if err := s.content.check(req); err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	for _, p := range s.content {
		if p.kind == signatureField && (s.ts == nil || p.text != s.ts.field) {
			return fmt.Errorf("sign: only the provider knows what {sig.%s} is", p.text)
		}
	}
	in := presented{fields: fieldsOf{sig: &s.sig}}
	var before []field
	if s.ts != nil {
		in.ts = s.ts.format(now)
		switch {
		case s.ts.field != "":
			before = append(before, field{s.ts.field, in.ts})
		case s.ts.from.kind == fromHeader:
			setHeader(req, s.ts.from.name, in.ts)
		default:
			return fmt.Errorf("sign: a timestamp in a %s cannot be set", s.ts.from)
		}
	}
	in.fields.header = s.sig.write("", before)
	text := s.sig.enc.appendText(nil, digest(s.content.render(req, &in)))
	setHeader(req, s.sig.from.name, s.sig.write(string(text), before))
	return nil
}

func setHeader(req *Request, name, value string) {
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Header.Set(name, value)
}
