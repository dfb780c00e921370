package control

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sluicehq/sluice/ingress/provider"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

// Rules is what validation must know besides what somebody wrote.
type Rules struct {
	// CheckURL says whether deliveries to a URL are allowed, as (*dialguard.Guard).CheckURL does. Nil looks at form and
	// scheme alone: an address that is denied is then found out by the first delivery.
	CheckURL func(rawURL string) error
	// AllowHTTP is network.allow_http, for when CheckURL is nil: endpoints may have http URLs.
	AllowHTTP bool
	// FromFile: from the configuration file, its references resolved. An endpoint must bring its secrets then, as
	// generated ones would change with every apply.
	FromFile bool
}

// ValidateSource turns spec into a source, or says everything that is wrong with it, at paths below path
// ("sources[0]"; empty for a body of its own). ID, ManagedBy and times are the caller's to set.
func ValidateSource(path string, spec SourceSpec, _ Rules) (store.Source, []Problem) {
	p := &problems{base: path}
	src := store.Source{
		Name:     p.name("name", spec.Name),
		Tenant:   p.tenant("tenant", spec.Tenant),
		Provider: spec.Provider,
		Params:   spec.Params,
		Secrets:  p.secrets("secrets", spec.Secrets),
		Dedupe:   spec.Dedupe == nil || *spec.Dedupe,
	}
	if src.Name == event.APISource {
		p.add("name", src.Name, "is the source of POST /v1/events, choose another name")
	}
	p.provider(&src)
	return src, p.list
}

// ValidateEndpoint turns spec into an endpoint, or says everything that is wrong with it, at paths below path
// ("endpoints[0]"; empty for a body of its own). It generates nothing: Secrets is empty if spec has none. ID, State,
// ManagedBy and times are the caller's to set.
func ValidateEndpoint(path string, spec EndpointSpec, rules Rules) (store.Endpoint, []Problem) {
	p := &problems{base: path}
	e := store.Endpoint{
		Name:          p.name("name", spec.Name),
		Tenant:        p.tenant("tenant", spec.Tenant),
		URL:           p.url("url", spec.URL, rules),
		Secrets:       p.signingSecrets("secrets", spec.Secrets, rules),
		Auth:          p.auth("auth", spec.Auth),
		Headers:       p.headers("headers", spec.Headers),
		Forward:       store.Forward(spec.Forward),
		Subscriptions: p.subscriptions("subscriptions", spec.Subscriptions),
		RateLimit:     p.rateLimit("rate_limit", spec.RateLimit),
		MaxInFlight:   spec.MaxInFlight,
		MaxQueued:     store.DefaultMaxQueued,
		Timeout:       p.duration("timeout", spec.Timeout, store.DefaultTimeout, time.Second, time.Minute),
		Retry:         p.retry("retry", spec.Retry),
	}
	if e.MaxInFlight < 0 || e.MaxInFlight > maxInFlight {
		p.add("max_in_flight", strconv.Itoa(e.MaxInFlight), fmt.Sprintf("want 1 to %d, or leave it out", maxInFlight))
	}
	if spec.MaxQueued != nil {
		if e.MaxQueued = *spec.MaxQueued; e.MaxQueued < 1 || e.MaxQueued > maxQueued {
			p.add("max_queued", strconv.FormatInt(e.MaxQueued, 10), fmt.Sprintf("want 1 to %d", maxQueued))
		}
	}
	return e, p.list
}

const (
	maxName     = 64
	maxSecrets  = 10
	maxInFlight = 1024
	maxQueued   = 1_000_000_000
	maxRate     = 100_000
	minRate     = 0.01
)

func (p *problems) name(path, name string) string {
	switch {
	case name == "":
		p.add(path, "", "missing, give it a name")
	case !validName(name):
		p.add(path, name, "want lower case letters, digits, - and _, at most 64, a letter or digit first")
	}
	return name
}

func (p *problems) tenant(path, tenant string) string {
	if tenant == "" {
		return event.DefaultTenant
	}
	return p.name(path, tenant)
}

// validName reports whether s is [a-z0-9][a-z0-9_-]{0,63}.
func validName(s string) bool {
	if s == "" || len(s) > maxName || s[0] == '-' || s[0] == '_' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return false
		}
	}
	return true
}

// provider adds what the source's preset has to say about its parameters and secrets.
func (p *problems) provider(src *store.Source) {
	if src.Provider == "" {
		p.add("provider", "", "missing, want one of "+strings.Join(provider.Names(), ", "))
		return
	}
	preset, ok := provider.Get(src.Provider)
	if !ok {
		p.add("provider", src.Provider, "unknown, want one of "+strings.Join(provider.Names(), ", "))
		return
	}
	found, _ := preset.Validate(src.Params, src.Secrets)
	for _, f := range found {
		p.add(f.Path, f.Value, f.What)
	}
}

// secrets returns the secrets without those that are references; whoever uses them says what else is wrong.
func (p *problems) secrets(path string, secrets []Secret) []store.Secret {
	if len(secrets) > maxSecrets {
		p.add(path, "", fmt.Sprintf("%d secrets, at most %d are tried", len(secrets), maxSecrets))
		secrets = secrets[:maxSecrets]
	}
	out := make([]store.Secret, 0, len(secrets))
	for i, s := range secrets {
		p.refuseReference(fmt.Sprintf("%s[%d]", path, i), s)
		out = append(out, store.Secret(s))
	}
	return out
}

// refuseReference keeps the API from reading the environment and files of the server for whoever asks.
func (p *problems) refuseReference(path string, s Secret) {
	if strings.HasPrefix(string(s), "env:") || strings.HasPrefix(string(s), "file:") {
		p.add(path, "", "references (env:, file:) are for the configuration file, send the secret itself")
	}
}

// duration returns d, or preset if it is not set, and wants low ≤ d ≤ high.
func (p *problems) duration(path string, d Duration, preset, low, high time.Duration) time.Duration {
	if d == 0 {
		return preset
	}
	if v := time.Duration(d); v < low || v > high {
		p.add(path, d.String(), fmt.Sprintf("want %s to %s", Duration(low), Duration(high)))
	}
	return time.Duration(d)
}

func (p *problems) retry(path string, spec RetrySpec) store.RetryPolicy {
	r := store.DefaultRetry()
	r.Base = p.duration(path+".base", spec.Base, r.Base, time.Second, time.Hour)
	r.Cap = p.duration(path+".cap", spec.Cap, r.Cap, time.Second, day)
	r.MaxAge = p.duration(path+".max_age", spec.MaxAge, r.MaxAge, time.Minute, 14*day)
	if spec.Cap != 0 && r.Cap < r.Base {
		p.add(path+".cap", spec.Cap.String(), "is shorter than the first wait, retry.base: want at least "+Duration(r.Base).String())
	}
	if spec.Factor != 0 {
		if r.Factor = spec.Factor; !(1 <= r.Factor && r.Factor <= 10) {
			p.add(path+".factor", strconv.FormatFloat(r.Factor, 'g', -1, 64), "want 1 to 10")
		}
	}
	return r
}
