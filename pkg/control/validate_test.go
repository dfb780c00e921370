package control

import (
	"errors"
	"math"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/pkg/dialguard"
	"github.com/sluicehq/sluice/store"
)

const goodSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func TestSourceProblems(t *testing.T) {
	t.Parallel()
	good := func() SourceSpec {
		return SourceSpec{Name: "github", Provider: "github", Secrets: []Secret{"0123456789abcdef"}}
	}
	tests := []struct {
		name  string
		spoil func(*SourceSpec)
		want  string // the only problem, or its start; empty: none
	}{
		{"a good one", func(*SourceSpec) {}, ""},
		{"no name", func(s *SourceSpec) { s.Name = "" }, "sources[0].name: missing"},
		{"capitals", func(s *SourceSpec) { s.Name = "GitHub" }, "sources[0].name: GitHub: want lower case"},
		{"a dash first", func(s *SourceSpec) { s.Name = "-a" }, "sources[0].name: -a: want lower case"},
		{"64 characters", func(s *SourceSpec) { s.Name = strings.Repeat("a", 64) }, ""},
		{"65 characters", func(s *SourceSpec) { s.Name = strings.Repeat("a", 65) }, "sources[0].name: aaaa"},
		{"the name of POST /v1/events", func(s *SourceSpec) { s.Name = "api" }, "sources[0].name: api: is the source of POST /v1/events"},
		{"a tenant that could not be in a path", func(s *SourceSpec) { s.Tenant = "a/b" }, "sources[0].tenant: a/b: want"},
		{"no provider", func(s *SourceSpec) { s.Provider = "" }, "sources[0].provider: missing, want one of "},
		{"a provider that does not exist", func(s *SourceSpec) { s.Provider = "gitbub" }, "sources[0].provider: gitbub: unknown, want one of "},
		{"no secret, where the preset needs one", func(s *SourceSpec) { s.Secrets = nil }, "sources[0].secrets: "},
		{"an empty secret", func(s *SourceSpec) { s.Secrets = []Secret{""} }, "sources[0].secrets[0]: "},
		{"a reference in the API", func(s *SourceSpec) { s.Secrets = []Secret{"env:GITHUB_SECRET"} }, "sources[0].secrets[0]: references (env:, file:)"},
		{"a parameter that the preset does not have", func(s *SourceSpec) { s.Params = map[string]string{"colour": "red"} }, "sources[0].params.colour"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spec := good()
			tt.spoil(&spec)
			src, got := ValidateSource("sources[0]", spec, Rules{})
			wantProblem(t, got, tt.want)
			if tt.want == "" && (src.Tenant != "default" || !src.Dedupe || src.Provider != "github") {
				t.Errorf("source %+v", src)
			}
		})
	}
}

func wantProblem(t *testing.T, got []Problem, want string) {
	t.Helper()
	switch {
	case want == "" && len(got) > 0:
		t.Errorf("problems %v, want none", got)
	case want != "" && len(got) != 1:
		t.Errorf("problems %v, want one: %s", got, want)
	case want != "" && !strings.HasPrefix(got[0].Error(), want):
		t.Errorf("problem %q, want %q", got[0], want)
	}
}

func TestEndpointProblems(t *testing.T) {
	t.Parallel()
	many := make([]string, maxSelectors+1)
	for i := range many {
		many[i] = "a"
	}
	headers := map[string]string{}
	for i := range maxHeaders + 1 {
		headers["x-"+strings.Repeat("a", i+1)] = "1"
	}
	limit := func(r, b float64) *RateLimitSpec { return &RateLimitSpec{r, int(b)} }
	tests := []struct {
		name  string
		spoil func(*EndpointSpec)
		want  string
	}{
		{"a good one", func(*EndpointSpec) {}, ""},
		{"no name", func(e *EndpointSpec) { e.Name = "" }, "name: missing"},
		{"no URL", func(e *EndpointSpec) { e.URL = "" }, "url: missing"},
		{"http", func(e *EndpointSpec) { e.URL = "http://example.com" }, "url: scheme http is not allowed, use https (see network.allow_http)"},
		{"a URL that holds a password", func(e *EndpointSpec) { e.URL = "https://u:" + canary + "@example.com" }, "url: URL with a user name or password"},
		{"an address, without a guard", func(e *EndpointSpec) { e.URL = "https://10.0.0.1/" }, ""},
		{"a secret without its prefix", func(e *EndpointSpec) { e.Secrets = []Secret{canary} }, "secrets[0]: secret without prefix"},
		{"a secret that is short", func(e *EndpointSpec) { e.Secrets = []Secret{"whsec_YQ=="} }, "secrets[0]: secret has 1 bytes, want 24 to 75"},
		{"a public key", func(e *EndpointSpec) { e.Secrets = []Secret{"whpk_" + Secret(strings.Repeat("A", 43)+"=")} }, "secrets[0]: a public key cannot sign"},
		{"too many secrets", func(e *EndpointSpec) { e.Secrets = append(make([]Secret, 0), good11()...) }, "secrets: 11 secrets, at most 10"},
		{"an unknown kind of auth", func(e *EndpointSpec) { e.Auth = &AuthSpec{Kind: "oauth2"} }, "auth.kind: oauth2: want none, basic, bearer or header"},
		{"basic without a name", func(e *EndpointSpec) { e.Auth = &AuthSpec{Kind: "basic", Password: canary} }, "auth.username: want a name"},
		{"basic with a colon in the name", func(e *EndpointSpec) { e.Auth = &AuthSpec{Kind: "basic", Username: "a:b", Password: canary} }, "auth.username: a:b: want a name without a colon"},
		{"bearer without a token", func(e *EndpointSpec) { e.Auth = &AuthSpec{Kind: "bearer"} }, "auth.token: missing"},
		{"a token of two lines", func(e *EndpointSpec) { e.Auth = &AuthSpec{Kind: "bearer", Token: canary + "\r\nX: y"} }, "auth.token: has control characters"},
		{"a token from the server's environment", func(e *EndpointSpec) { e.Auth = &AuthSpec{Kind: "bearer", Token: "env:PATH"} }, "auth.token: references (env:, file:)"},
		{"a header that frames the request", func(e *EndpointSpec) { e.Auth = &AuthSpec{Kind: "header", Header: "Content-Length", Value: canary} }, "auth.header: is set by Sluice itself"},
		{"authorization by auth", func(e *EndpointSpec) { e.Auth = &AuthSpec{Kind: "header", Header: "Authorization", Value: canary} }, ""},
		{"a field of another kind", func(e *EndpointSpec) { e.Auth = &AuthSpec{Kind: "none", Token: canary} }, "auth.token: belongs to kind bearer, not to none"},
		{"a header that would be shown", func(e *EndpointSpec) { e.Headers = map[string]string{"Authorization": canary} }, "headers.Authorization: would be shown"},
		{"a signature header", func(e *EndpointSpec) { e.Headers = map[string]string{"Webhook-Signature": "v1,x"} }, "headers.Webhook-Signature: is set by Sluice itself"},
		{"a proxy header", func(e *EndpointSpec) { e.Headers = map[string]string{"proxy-authorization": "x"} }, "headers.proxy-authorization: is set by Sluice itself"},
		{"a header with a space", func(e *EndpointSpec) { e.Headers = map[string]string{"x y": "1"} }, "headers.x y: x y: is not a header's name"},
		{"a header with a line end", func(e *EndpointSpec) { e.Headers = map[string]string{"x\r\ny": "1"} }, "headers.x"},
		{"a value with a line end", func(e *EndpointSpec) { e.Headers = map[string]string{"x": canary + "\nhost: y"} }, "headers.x: value has control characters"},
		{"a header twice", func(e *EndpointSpec) { e.Headers = map[string]string{"X": "1", "x": "2"} }, "headers.x: is there twice"},
		{"too many headers", func(e *EndpointSpec) { e.Headers = headers }, "headers: 33 headers, at most 32"},
		{"too long headers", func(e *EndpointSpec) { e.Headers = map[string]string{"x": strings.Repeat("a", 8<<10)} }, "headers: 8193 bytes, at most 8192"},
		{"a pattern with a star inside", func(e *EndpointSpec) { e.Subscriptions = []SubscriptionSpec{{Types: []string{"a", "a.*.b"}}} }, "subscriptions[0].types[1]: type pattern"},
		{"a source with a wrong name", func(e *EndpointSpec) { e.Subscriptions = []SubscriptionSpec{{Sources: []string{"a b"}}} }, `subscriptions[0].sources[0]: "a b" is not the name of a source`},
		{"too many patterns", func(e *EndpointSpec) { e.Subscriptions = []SubscriptionSpec{{Types: many}} }, "subscriptions[0].types: 101 entries, at most 100"},
		{"too many subscriptions", func(e *EndpointSpec) { e.Subscriptions = make([]SubscriptionSpec, maxSubscriptions+1) }, "subscriptions: 101 subscriptions"},
		{"no rate", func(e *EndpointSpec) { e.RateLimit = limit(0, 5) }, "rate_limit.per_second: 0: want 0.01 to 100000"},
		{"a rate that is no number", func(e *EndpointSpec) { e.RateLimit = limit(math.NaN(), 5) }, "rate_limit.per_second: NaN: want"},
		{"a negative burst", func(e *EndpointSpec) { e.RateLimit = limit(1, -1) }, "rate_limit.burst: -1: want 1 to 100000"},
		{"too many in flight", func(e *EndpointSpec) { e.MaxInFlight = 1025 }, "max_in_flight: 1025: want 1 to 1024"},
		{"nothing queued", func(e *EndpointSpec) { e.MaxQueued = new(int64(0)) }, "max_queued: 0: want 1 to"},
		{"too short a timeout", func(e *EndpointSpec) { e.Timeout = Duration(999 * time.Millisecond) }, "timeout: 999ms: want 1s to 1m"},
		{"too long a timeout", func(e *EndpointSpec) { e.Timeout = Duration(61 * time.Second) }, "timeout: 1m1s: want 1s to 1m"},
		{"a first wait of nothing", func(e *EndpointSpec) { e.Retry.Base = 1 }, "retry.base: 1ns: want 1s to 1h"},
		{"a shrinking wait", func(e *EndpointSpec) { e.Retry.Factor = 0.5 }, "retry.factor: 0.5: want 1 to 10"},
		{"a cap below the first wait", func(e *EndpointSpec) { e.Retry = RetrySpec{Base: Duration(time.Minute), Cap: Duration(time.Second)} }, "retry.cap: 1s: is shorter than the first wait, retry.base: want at least 1m"},
		{"retries for longer than bodies are kept", func(e *EndpointSpec) { e.Retry.MaxAge = Duration(15 * day) }, "retry.max_age: 15d: want 1m to 14d"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spec := EndpointSpec{Name: "billing", URL: "https://example.com/hooks"}
			tt.spoil(&spec)
			_, got := ValidateEndpoint("", spec, Rules{})
			wantProblem(t, got, tt.want)
			for _, p := range got {
				if strings.Contains(p.Error(), canary) {
					t.Errorf("the problem shows a secret: %v", p)
				}
			}
		})
	}
}

func good11() (out []Secret) {
	for range 11 {
		out = append(out, goodSecret)
	}
	return out
}

func TestEndpointDefaults(t *testing.T) {
	t.Parallel()
	got, problems := ValidateEndpoint("", EndpointSpec{Name: "billing", URL: "https://example.com/hooks", RateLimit: &RateLimitSpec{PerSecond: 2.5}}, Rules{})
	want := store.Endpoint{
		Name: "billing", Tenant: "default", URL: "https://example.com/hooks", Auth: store.Auth{Kind: "none"}, Subscriptions: []store.Subscription{},
		RateLimit: store.RateLimit{PerSecond: 2.5, Burst: 3}, MaxQueued: store.DefaultMaxQueued, Timeout: store.DefaultTimeout, Retry: store.DefaultRetry(),
	}
	if len(problems) > 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, problems, want)
	}
}

func TestEndpointKeepsEverythingThatWasSaid(t *testing.T) {
	t.Parallel()
	got, problems := ValidateEndpoint("", EndpointSpec{
		Name: "b", Tenant: "acme", URL: "https://example.com", Secrets: []Secret{goodSecret},
		Auth: &AuthSpec{Kind: "header", Header: "x-key", Value: canary}, Headers: map[string]string{"x-team": "b"},
		Forward: ForwardSpec{Headers: true, Path: true}, Subscriptions: []SubscriptionSpec{{Types: []string{"a.**"}, Sources: []string{"api"}}},
		RateLimit: &RateLimitSpec{1, 2}, MaxInFlight: 3, MaxQueued: new(int64(4)), Timeout: Duration(5 * time.Second),
		Retry: RetrySpec{Duration(6 * time.Second), 7, Duration(8 * time.Hour), Duration(9 * day)},
	}, Rules{FromFile: true})
	want := store.Endpoint{
		Name: "b", Tenant: "acme", URL: "https://example.com", Secrets: []store.SigningSecret{{Secret: goodSecret}},
		Auth: store.Auth{Kind: "header", Header: "x-key", Secret: canary}, Headers: map[string]string{"x-team": "b"},
		Forward: store.Forward{Headers: true, Path: true}, Subscriptions: []store.Subscription{{Types: []string{"a.**"}, Sources: []string{"api"}}},
		RateLimit: store.RateLimit{PerSecond: 1, Burst: 2}, MaxInFlight: 3, MaxQueued: 4, Timeout: 5 * time.Second,
		Retry: store.RetryPolicy{Base: 6 * time.Second, Factor: 7, Cap: 8 * time.Hour, MaxAge: 9 * day},
	}
	if len(problems) > 0 || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, problems, want)
	}
}

func TestEndpointsOfTheFileBringTheirSecrets(t *testing.T) {
	t.Parallel()
	_, got := ValidateEndpoint("endpoints[2]", EndpointSpec{Name: "b", URL: "https://example.com"}, Rules{FromFile: true})
	wantProblem(t, got, "endpoints[2].secrets: missing, name at least one")
}

func TestTheGuardHasItsSayAboutURLs(t *testing.T) {
	t.Parallel()
	guard, err := dialguard.New(dialguard.Config{Allow: []string{"10.0.0.0/8"}}, netip.MustParseAddrPort("10.0.0.9:8080"))
	if err != nil {
		t.Fatal(err)
	}
	for url, denied := range map[string]bool{
		"https://10.0.0.1/": false, "https://127.0.0.1/": true, "https://169.254.169.254/latest/meta-data": true, "https://10.0.0.9:8080/": true,
	} {
		_, got := ValidateEndpoint("", EndpointSpec{Name: "b", URL: url}, Rules{CheckURL: guard.CheckURL})
		if denied != (len(got) == 1 && got[0].Path == "url") || !denied && len(got) > 0 {
			t.Errorf("%s: problems %v, want denied %v", url, got, denied)
		}
	}
	_, got := ValidateEndpoint("", EndpointSpec{Name: "b", URL: "https://example.com"}, Rules{CheckURL: func(string) error { return errors.New("no") }})
	wantProblem(t, got, "url: no")
}

func TestSpecsPrintNoSecrets(t *testing.T) {
	t.Parallel()
	spec := EndpointSpec{Secrets: []Secret{canary}, Auth: &AuthSpec{Token: canary}}
	src := SourceSpec{Secrets: []Secret{canary}}
	for _, text := range []string{sprintAll(spec), sprintAll(*spec.Auth), sprintAll(src)} {
		if strings.Contains(text, canary) {
			t.Errorf("printed %s", text)
		}
	}
}
