package control

import "github.com/sluicehq/sluice/store"

// SourceSpec is a source as people write it: one entry of `sources:` in the configuration file, and the body of
// POST /v1/sources. ValidateSource turns it into a store.Source.
type SourceSpec struct {
	Name     string            `json:"name" yaml:"name" example:"github" doc:"Unique in its tenant; part of the URL /in/NAME. Lower case letters, digits, - and _, at most 64."`
	Tenant   string            `json:"tenant,omitempty" yaml:"tenant" example:"default" doc:"The tenant it belongs to; the key's own, or default, when left out. Only admin keys may name another."`
	Provider string            `json:"provider" yaml:"provider" example:"github" doc:"Name of a preset, as GET /v1/providers lists them."`
	Secrets  []Secret          `json:"secrets,omitempty" yaml:"secrets" nullable:"false" writeOnly:"true" doc:"Verification secrets; all are tried, so that one can be rotated. Write-only."`
	Params   map[string]string `json:"params,omitempty" yaml:"params" doc:"Constants that the preset asks for, such as the name of the signature header."`
	Dedupe   *bool             `json:"dedupe,omitempty" yaml:"dedupe" doc:"Drop what comes again with the same provider id and body within 72 hours. True when left out."`
}

// EndpointSpec is an endpoint as people write it: one entry of `endpoints:` in the configuration file, and the body of
// POST /v1/endpoints. ValidateEndpoint turns it into a store.Endpoint.
type EndpointSpec struct {
	Name          string             `json:"name" yaml:"name" example:"billing" doc:"Unique in its tenant. Lower case letters, digits, - and _, at most 64."`
	Tenant        string             `json:"tenant,omitempty" yaml:"tenant" example:"default" doc:"The tenant it belongs to; the key's own, or default, when left out. Only admin keys may name another."`
	URL           string             `json:"url" yaml:"url" example:"https://billing.example.com/hooks" doc:"Where deliveries are posted. https, unless the operator allows http."`
	Secrets       []Secret           `json:"secrets,omitempty" yaml:"secrets" nullable:"false" writeOnly:"true" doc:"Standard Webhooks signing secrets (whsec_…); each delivery is signed with all. One is generated, and shown once, when left out. Write-only."`
	Auth          *AuthSpec          `json:"auth,omitempty" yaml:"auth" doc:"How deliveries authenticate themselves besides their signature."`
	Headers       map[string]string  `json:"headers,omitempty" yaml:"headers" doc:"Headers added to every delivery. At most 32, and 8 KiB in all."`
	Forward       ForwardSpec        `json:"forward,omitzero" yaml:"forward" doc:"Which parts of the inbound request go along."`
	Subscriptions []SubscriptionSpec `json:"subscriptions,omitempty" yaml:"subscriptions" nullable:"false" doc:"An event that matches any of them is delivered. None: nothing is."`
	RateLimit     *RateLimitSpec     `json:"rate_limit,omitempty" yaml:"rate_limit" doc:"At most so many deliveries per second, for the whole fleet. No limit when left out."`
	MaxInFlight   int                `json:"max_in_flight,omitempty" yaml:"max_in_flight" doc:"Attempts at once, for the whole fleet, 1 to 1024. Adaptive when left out."`
	MaxQueued     *int64             `json:"max_queued,omitempty" yaml:"max_queued" doc:"With so many deliveries waiting, new ones are dead at once, reason overflow. 1000000 when left out."`
	Timeout       Duration           `json:"timeout,omitzero" yaml:"timeout" doc:"Of one attempt, 1s to 60s; 15s when left out."`
	Retry         RetrySpec          `json:"retry,omitzero" yaml:"retry" doc:"How failed deliveries are repeated."`
}

// AuthSpec is how deliveries authenticate themselves. Kind says which of the other fields belong.
type AuthSpec struct {
	Kind     string `json:"kind" yaml:"kind" enum:"none,basic,bearer,header" doc:"none, basic (username, password), bearer (token) or header (header, value)."`
	Username string `json:"username,omitempty" yaml:"username" doc:"basic: the user name."`
	Password Secret `json:"password,omitempty" yaml:"password" writeOnly:"true" doc:"basic: the password. Write-only."`
	Token    Secret `json:"token,omitempty" yaml:"token" writeOnly:"true" doc:"bearer: the token. Write-only."`
	Header   string `json:"header,omitempty" yaml:"header" example:"x-api-key" doc:"header: its name."`
	Value    Secret `json:"value,omitempty" yaml:"value" writeOnly:"true" doc:"header: its value. Write-only."`
}

// ForwardSpec says which parts of the inbound request a delivery carries.
type ForwardSpec struct {
	Headers bool `json:"headers,omitempty" yaml:"headers" doc:"The headers that the source's preset lets through."`
	Query   bool `json:"query,omitempty" yaml:"query" doc:"The query string."`
	Path    bool `json:"path,omitempty" yaml:"path" doc:"The part of the path after the source's name, appended to the endpoint's URL."`
}

// SubscriptionSpec selects events: any of Types from any of Sources; an empty list does not select.
type SubscriptionSpec struct {
	Types   []string `json:"types,omitempty" yaml:"types" nullable:"false" doc:"Patterns: invoice.paid, order.* (one segment), order.** (any number), * (any). All when left out."`
	Sources []string `json:"sources,omitempty" yaml:"sources" nullable:"false" doc:"Names of sources; api is POST /v1/events. All when left out."`
}

// RateLimitSpec is a token bucket.
type RateLimitSpec struct {
	PerSecond float64 `json:"per_second" yaml:"per_second" example:"50" doc:"Deliveries per second on average, 0.01 to 100000."`
	Burst     int     `json:"burst,omitempty" yaml:"burst" example:"100" doc:"So many at once after a pause, 1 to 100000; one second's worth when left out."`
}

// RetrySpec spaces attempts; fields left out have the default of store.DefaultRetry.
type RetrySpec struct {
	Base   Duration `json:"base,omitzero" yaml:"base" doc:"Wait after the first failure, 1s to 1h; 10s when left out."`
	Factor float64  `json:"factor,omitempty" yaml:"factor" doc:"By how much the wait grows each time, 1 to 10; 3 when left out."`
	Cap    Duration `json:"cap,omitzero" yaml:"cap" doc:"Longest wait, base to 24h; 12h when left out."`
	MaxAge Duration `json:"max_age,omitzero" yaml:"max_age" doc:"Given up so long after the first attempt, 1m to 14d; 72h when left out."`
}

// NotYet reports whether field is part of the grammar that the design describes and this version does not have: it is
// refused as unknown, with a message that says why.
func NotYet(field string) bool {
	switch field {
	case "ordering", "filter", "transform", "topic":
		return true
	}
	return false
}

// Secret is secret text on its way in. It prints as "[redacted]"; JSON has it as it is, since clients send it. Nothing
// that the API answers holds one.
type Secret string

// String returns "[redacted]".
func (s Secret) String() string { return store.Secret(s).String() }

// GoString returns "[redacted]", so that %#v keeps it too.
func (s Secret) GoString() string { return store.Secret(s).GoString() }
