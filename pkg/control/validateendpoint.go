package control

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sluicehq/sluice/dispatcher/match"
	"github.com/sluicehq/sluice/pkg/dialguard"
	"github.com/sluicehq/sluice/pkg/webhook"
	"github.com/sluicehq/sluice/store"
)

// Bounds of an endpoint's lists.
const (
	maxSubscriptions = 100
	maxSelectors     = 100     // types, and sources, of one subscription
	maxHeaders       = 32      // of the endpoint's own
	maxHeaderBytes   = 8 << 10 // names and values together
	maxCredential    = 4 << 10
)

// url never shows the URL: its path or query may be secret.
func (p *problems) url(path, raw string, rules Rules) string {
	if raw == "" {
		p.add(path, "", "missing, want one such as https://example.com/hooks")
		return raw
	}
	check := rules.CheckURL
	if check == nil {
		check = formOnly(rules.AllowHTTP).CheckURL
	}
	if err := check(raw); err != nil {
		p.add(path, "", err.Error())
	}
	return raw
}

// formOnly returns a guard that denies no address.
func formOnly(allowHTTP bool) *dialguard.Guard {
	if allowHTTP {
		return formGuards()[1]
	}
	return formGuards()[0]
}

var formGuards = sync.OnceValue(func() (guards [2]*dialguard.Guard) {
	for i, allowHTTP := range []bool{false, true} {
		g, err := dialguard.New(dialguard.Config{Allow: []string{"0.0.0.0/0", "::/0"}, AllowHTTP: allowHTTP})
		if err != nil {
			panic(err) // constant
		}
		guards[i] = g
	}
	return guards
})

func (p *problems) signingSecrets(path string, secrets []Secret, rules Rules) []store.SigningSecret {
	if len(secrets) == 0 && rules.FromFile {
		p.add(path, "", `missing, name at least one: "env:NAME", whose value is whsec_ and the output of openssl rand -base64 32`)
	}
	var out []store.SigningSecret
	for i, s := range p.secrets(path, secrets) {
		if _, err := webhook.NewSigner(s.Reveal()); err != nil {
			if inner := errors.Unwrap(err); inner != nil { // without its "signing secret 1 of 1"
				err = inner
			}
			p.add(fmt.Sprintf("%s[%d]", path, i), "", err.Error()+"; leave secrets out to have one generated")
		}
		out = append(out, store.SigningSecret{Secret: s})
	}
	return out
}

func (p *problems) auth(path string, spec *AuthSpec) store.Auth {
	if spec == nil {
		return store.Auth{Kind: store.AuthNone}
	}
	a := store.Auth{Kind: spec.Kind}
	switch spec.Kind {
	case "", store.AuthNone:
		a.Kind = store.AuthNone
	case store.AuthBasic:
		a.Username, a.Secret = spec.Username, store.Secret(spec.Password)
		if a.Username == "" || strings.ContainsAny(a.Username, ":\r\n\x00") {
			p.add(path+".username", a.Username, "want a name without a colon")
		}
		p.credential(path+".password", spec.Password)
	case store.AuthBearer:
		a.Secret = store.Secret(spec.Token)
		p.credential(path+".token", spec.Token)
	case store.AuthHeader:
		a.Header, a.Secret = spec.Header, store.Secret(spec.Value)
		p.headerName(path+".header", spec.Header)
		p.credential(path+".value", spec.Value)
	default:
		p.add(path+".kind", spec.Kind, "want none, basic, bearer or header")
		return a
	}
	p.strangers(path, a.Kind, *spec)
	return a
}

// strangers adds fields that another kind of auth has: what they say would be ignored.
func (p *problems) strangers(path, kind string, spec AuthSpec) {
	for _, f := range []struct {
		name, kind string
		set        bool
	}{
		{"username", store.AuthBasic, spec.Username != ""},
		{"password", store.AuthBasic, spec.Password != ""},
		{"token", store.AuthBearer, spec.Token != ""},
		{"header", store.AuthHeader, spec.Header != ""},
		{"value", store.AuthHeader, spec.Value != ""},
	} {
		if f.set && f.kind != kind {
			p.add(path+"."+f.name, "", "belongs to kind "+f.kind+", not to "+kind+": leave it out")
		}
	}
}

func (p *problems) credential(path string, s Secret) {
	p.refuseReference(path, s)
	switch {
	case s == "":
		p.add(path, "", "missing")
	case len(s) > maxCredential:
		p.add(path, "", fmt.Sprintf("has %d bytes, at most %d are sent", len(s), maxCredential))
	case !validHeaderValue(string(s)):
		p.add(path, "", "has control characters, which a header cannot carry")
	}
}

func (p *problems) headers(path string, headers map[string]string) map[string]string {
	if len(headers) > maxHeaders {
		p.add(path, "", fmt.Sprintf("%d headers, at most %d are sent", len(headers), maxHeaders))
		return nil
	}
	size, seen := 0, map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		value := headers[name]
		size += len(name) + len(value)
		at, lower := path+"."+shorten(name), strings.ToLower(name)
		p.headerName(at, name)
		switch {
		case lower == "authorization":
			p.add(at, "", "would be shown by the API: use auth, whose secrets are write-only")
		case seen[lower]:
			p.add(at, "", "is there twice, in other letters")
		case !validHeaderValue(value):
			p.add(at, "", "value has control characters")
		}
		seen[lower] = true
	}
	if size > maxHeaderBytes {
		p.add(path, "", fmt.Sprintf("%d bytes, at most %d are sent", size, maxHeaderBytes))
	}
	return headers
}

// headerName refuses what is no token (RFC 9110 §5.6.2), and what frames, routes or signs a request: whoever set it
// could split the request, send it elsewhere or make it look signed.
func (p *problems) headerName(path, name string) {
	lower := strings.ToLower(name)
	switch {
	case name == "":
		p.add(path, "", "missing, want the name of a header")
	case strings.Trim(lower, "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") != "":
		p.add(path, name, "is not a header's name, want letters, digits and hyphens")
	case reservedHeader(lower):
		p.add(path, "", "is set by Sluice itself, leave it out")
	}
}

func reservedHeader(lower string) bool {
	switch lower {
	case "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect":
		return true
	}
	return strings.HasPrefix(lower, "proxy-") || strings.HasPrefix(lower, "webhook-") || strings.HasPrefix(lower, "sluice-")
}

func validHeaderValue(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' && s[i] != '\t' || s[i] == 0x7f {
			return false
		}
	}
	return true
}

func (p *problems) subscriptions(path string, specs []SubscriptionSpec) []store.Subscription {
	if len(specs) > maxSubscriptions {
		p.add(path, "", fmt.Sprintf("%d subscriptions, at most %d are matched", len(specs), maxSubscriptions))
		return nil
	}
	out := make([]store.Subscription, 0, len(specs))
	for i, spec := range specs {
		at := fmt.Sprintf("%s[%d]", path, i)
		p.selectors(at+".types", spec.Types, match.ValidatePattern)
		p.selectors(at+".sources", spec.Sources, func(name string) error {
			if !validName(name) {
				return fmt.Errorf("%q is not the name of a source", shorten(name))
			}
			return nil
		})
		out = append(out, store.Subscription(spec))
	}
	return out
}

func (p *problems) selectors(path string, list []string, check func(string) error) {
	if len(list) > maxSelectors {
		p.add(path, "", fmt.Sprintf("%d entries, at most %d are matched", len(list), maxSelectors))
		return
	}
	for i, text := range list {
		if err := check(text); err != nil {
			p.add(fmt.Sprintf("%s[%d]", path, i), "", err.Error())
		}
	}
}

func (p *problems) rateLimit(path string, spec *RateLimitSpec) store.RateLimit {
	if spec == nil {
		return store.RateLimit{}
	}
	r := store.RateLimit(*spec)
	if !(minRate <= r.PerSecond && r.PerSecond <= maxRate) {
		p.add(path+".per_second", strconv.FormatFloat(r.PerSecond, 'g', -1, 64), fmt.Sprintf("want %g to %d", minRate, maxRate))
		return store.RateLimit{}
	}
	if r.Burst == 0 {
		r.Burst = int(math.Ceil(r.PerSecond))
	}
	if r.Burst < 1 || r.Burst > maxRate {
		p.add(path+".burst", strconv.Itoa(r.Burst), fmt.Sprintf("want 1 to %d", maxRate))
	}
	return r
}
