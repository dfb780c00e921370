package main

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/sluicehq/sluice/pkg/control"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

const defaultTenant = event.DefaultTenant

// setting is one of a source or endpoint, by its name in the file.
type setting struct {
	name   string
	shown  string // what people may see; empty: it is not set
	secret string // compared and never shown; empty: there is none
}

// differ returns the settings that are not the same before and after: in their order, those last that are gone.
func differ(before, after []setting) (fields []fieldView) {
	was := map[string]setting{}
	for _, s := range before {
		was[s.name] = s
	}
	note := func(name string, old, now setting) {
		if old != now {
			fields = append(fields, fieldView{name, old.shown, now.shown, old.secret != "" && now.secret != "" && old.secret != now.secret})
		}
	}
	for _, s := range after {
		old, ok := was[s.name]
		if !ok {
			old.name = s.name
		}
		note(s.name, old, s)
		delete(was, s.name)
	}
	for _, s := range before {
		if _, gone := was[s.name]; gone {
			note(s.name, s, setting{name: s.name})
		}
	}
	return fields
}

func sourceSettings(s *store.Source) []setting {
	settings := []setting{{name: "provider", shown: s.Provider}}
	for _, name := range slices.Sorted(maps.Keys(s.Params)) {
		settings = append(settings, setting{name: "params." + name, shown: fmt.Sprintf("%q", s.Params[name])})
	}
	var secrets []string
	for _, secret := range s.Secrets {
		secrets = append(secrets, secret.Reveal())
	}
	return append(settings, secretList(secrets), setting{name: "dedupe", shown: fmt.Sprint(s.Dedupe)}, setting{name: "managed_by", shown: string(s.ManagedBy)})
}

func endpointSettings(e *store.Endpoint) []setting {
	var secrets []string
	for _, s := range e.Secrets {
		secrets = append(secrets, s.Secret.Reveal()+" "+s.Until.String())
	}
	settings := []setting{
		{"url", shownHost(e.URL), e.URL},
		secretList(secrets),
		{"auth", shownAuth(e.Auth), e.Auth.Secret.Reveal()},
	}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		settings = append(settings, setting{"headers." + name, "set", fmt.Sprintf("%q", e.Headers[name])})
	}
	var subs []control.SubscriptionSpec
	for _, s := range e.Subscriptions {
		subs = append(subs, control.SubscriptionSpec(s))
	}
	return append(settings,
		setting{name: "forward", shown: shownForward(e.Forward)},
		setting{name: "subscriptions", shown: gets(subs)},
		setting{name: "rate_limit", shown: shownRate(e.RateLimit)},
		setting{name: "max_in_flight", shown: shownCount(e.MaxInFlight)},
		setting{name: "max_queued", shown: fmt.Sprint(e.MaxQueued)},
		setting{name: "timeout", shown: control.Duration(e.Timeout).String()},
		setting{name: "retry.base", shown: control.Duration(e.Retry.Base).String()},
		setting{name: "retry.factor", shown: fmt.Sprintf("%g", e.Retry.Factor)},
		setting{name: "retry.cap", shown: control.Duration(e.Retry.Cap).String()},
		setting{name: "retry.max_age", shown: control.Duration(e.Retry.MaxAge).String()},
		setting{name: "managed_by", shown: string(e.ManagedBy)},
	)
}

// secretList shows how many there are.
func secretList(secrets []string) setting {
	s := setting{name: "secrets", shown: shownCount(len(secrets))}
	if len(secrets) > 0 {
		s.secret = fmt.Sprintf("%q", secrets)
	}
	return s
}

func shownCount(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

// shownHost is what of an endpoint's URL is no secret: paths of such URLs often are.
func shownHost(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host + "/…"
}

func shownAuth(a store.Auth) string {
	if a.Kind == "" {
		return store.AuthNone
	}
	return strings.TrimSpace(a.Kind + " " + a.Username + a.Header)
}

func shownRate(r store.RateLimit) string {
	if r.PerSecond == 0 {
		return ""
	}
	return fmt.Sprintf("%g per second, burst %d", r.PerSecond, r.Burst)
}

func shownForward(f store.Forward) string {
	var parts []string
	for _, part := range []struct {
		on   bool
		name string
	}{{f.Headers, "headers"}, {f.Query, "query"}, {f.Path, "path"}} {
		if part.on {
			parts = append(parts, part.name)
		}
	}
	return strings.Join(parts, ", ")
}
