package provider

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/sluicehq/sluice/store"
)

// Scheme is a preset bound to one source's parameters and secrets. It is immutable and safe for concurrent use.
type Scheme struct {
	methods    []string
	deadline   time.Duration
	verify     step
	dedupe     [][]selector
	typeFrom   [][]selector
	dotsFor    string
	headers    []kept
	challenges []challenge
	ok         Reply
	invalid    int
	signsURL   bool
}

// Bind joins the preset with a source's parameters and secrets. The error holds all that Validate calls problems.
func (p *Preset) Bind(params map[string]string, secrets []store.Secret) (*Scheme, error) {
	s, problems := p.bind(params, secrets)
	if len(problems) > 0 {
		errs := make([]error, len(problems))
		for i, problem := range problems {
			errs[i] = problem
		}
		return nil, fmt.Errorf("provider %s: %w", p.Name, errors.Join(errs...))
	}
	return s, nil
}

func newScheme(spec *presetSpec, secrets []store.Secret) (*Scheme, error) {
	s := &Scheme{methods: splitList([]string{spec.Methods}), dotsFor: spec.Type.DotsFor, signsURL: signsURL(spec.Verify)}
	var err error
	if s.deadline, err = positiveDuration(spec.Deadline); err != nil {
		return nil, fmt.Errorf("deadline: %w", err)
	}
	for _, m := range s.methods {
		if !slices.Contains([]string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodGet, http.MethodDelete}, m) {
			return nil, fmt.Errorf("methods: %q: want POST, PUT, PATCH, GET or DELETE", m)
		}
	}
	if len(s.methods) == 0 {
		return nil, errors.New("methods: want one at least")
	}
	if s.dedupe, err = parseAlternatives(spec.Dedupe); err != nil {
		return nil, fmt.Errorf("dedupe: %w", err)
	}
	if s.typeFrom, err = parseAlternatives(spec.Type.From); err != nil {
		return nil, fmt.Errorf("type: %w", err)
	}
	if s.headers, err = keptHeaders(spec.Headers, spec.Verify); err != nil {
		return nil, err
	}
	for _, c := range spec.Challenge {
		made, err := newChallenge(c)
		if err != nil {
			return nil, err
		}
		s.challenges = append(s.challenges, made)
	}
	s.ok = Reply{orDefault(spec.Respond.OK.Status, http.StatusOK), spec.Respond.OK.ContentType, spec.Respond.OK.Body}
	s.invalid = orDefault(spec.Respond.Invalid.Status, http.StatusUnauthorized)
	s.verify, err = compileAll(spec.Verify, index(secrets))
	return s, err
}

func orDefault(status, fallback int) int {
	if status == 0 {
		return fallback
	}
	return status
}

// Verify checks that req comes from whoever holds the secret, and is fresh at now; a zero now skips the time. It returns
// nil, an *InvalidError, or a fault of ours such as ErrNoURL: then the request may be genuine and must be sent again. It
// does not look at the method.
func (s *Scheme) Verify(req *Request, now time.Time) error { return s.verify.verify(req, now) }

// Receive checks a request in the right order: challenges that are not signed, the method, Verify, challenges that are.
// A reply is to be sent as it is, and nothing published. Errors are those of Verify.
func (s *Scheme) Receive(req *Request, now time.Time) (*Reply, error) {
	if c := s.challenge(req, false); c != nil {
		return c.reply(req)
	}
	if !slices.Contains(s.methods, req.Method) {
		return nil, invalid(ReasonMethod, "the provider does not deliver with this method")
	}
	if err := s.verify.verify(req, now); err != nil {
		return nil, err
	}
	if c := s.challenge(req, true); c != nil {
		return c.reply(req)
	}
	return nil, nil
}

func (s *Scheme) challenge(req *Request, verified bool) *challenge {
	for i := range s.challenges {
		if c := &s.challenges[i]; c.verified == verified && c.is(req) {
			return c
		}
	}
	return nil
}

// Sign sets the headers that make Verify pass at now, as the provider would. What the content refers to must be there,
// as it is in a Sample. It fails when only a public key is known.
func (s *Scheme) Sign(req *Request, now time.Time) error { return s.verify.sign(req, now) }

// Methods returns those that reach the scheme: deliveries' and challenges'. Read only.
func (s *Scheme) Methods() []string {
	out := s.methods
	for _, c := range s.challenges {
		if !slices.Contains(out, c.method) {
			out = append(slices.Clip(out), c.method)
		}
	}
	return out
}

// Deadline returns how long the provider waits for an answer.
func (s *Scheme) Deadline() time.Duration { return s.deadline }

// OK returns the answer to an accepted request.
func (s *Scheme) OK() Reply { return s.ok }

// InvalidStatus returns the status of the answer to a request that Verify refused.
func (s *Scheme) InvalidStatus() int { return s.invalid }

// SignsURL reports whether requests must come with their URL.
func (s *Scheme) SignsURL() bool { return s.signsURL }

func signsURL(steps []stepSpec) bool {
	return slices.ContainsFunc(steps, func(s stepSpec) bool {
		return strings.Contains(s.Content, "{url}") || signsURL(s.AnyOf)
	})
}

// CoversBody reports whether a changed body is noticed. Tokens and basic authentication do not.
func (s *Scheme) CoversBody() bool { return s.verify.coversBody() }
