package provider

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/sluicehq/sluice/store"
)

// vector is one request out of a provider's own tests or documentation, with the verdict.
type vector struct {
	ID         string            `json:"id"`
	Preset     string            `json:"preset"`
	Secret     oneOrMore         `json:"secret"`
	PublicKey  string            `json:"public_key"`
	Method     string            `json:"method"`
	URL        string            `json:"url"`
	Headers    map[string]string `json:"headers"`
	Body       string            `json:"body"`
	BodyBase64 string            `json:"body_base64"`
	Now        *int64            `json:"now"`
	Valid      bool              `json:"valid"`
}

type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(text []byte) error {
	var one string
	if err := json.Unmarshal(text, &one); err == nil {
		*o = oneOrMore{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(o))
}

// schemeOf says which of our presets, with which parameters, stands for a preset of the vectors.
var schemeOf = map[string]struct {
	preset string
	params map[string]string
}{
	"github":                    {"github", nil},
	"gitlab":                    {"gitlab", nil},
	"stripe":                    {"stripe", nil},
	"shopify":                   {"shopify", nil},
	"slack":                     {"slack", nil},
	"standard-webhooks":         {"standard-webhooks", nil},
	"standard-webhooks-ed25519": {"standard-webhooks", nil},
	"lithic":                    {"standard-webhooks", nil},
	"openai":                    {"standard-webhooks", nil},
	"replicate":                 {"standard-webhooks", nil},
	"svix":                      {"standard-webhooks", map[string]string{"header_prefix": "svix"}},
	"svix-ed25519":              {"standard-webhooks", map[string]string{"header_prefix": "svix"}},
	"basic":                     {"basic", nil},
	"api-key":                   {"token", map[string]string{"header": "webhook-key"}},
	"github-sha1-legacy":        {"hmac", map[string]string{"header": "X-Hub-Signature", "algo": "sha1", "prefix": "sha1="}},
	"x-hub-sha256":              {"hmac", map[string]string{"header": "X-Hub-Signature", "prefix": "sha256="}},
	"x-hub-sha512":              {"hmac", map[string]string{"header": "X-Hub-Signature", "algo": "sha512", "prefix": "sha512="}},
	"convoy-sha512-hex":         {"hmac", map[string]string{"header": "X-Convoy-Signature", "algo": "sha512"}},
	"convoy-sha512-b64":         {"hmac", map[string]string{"header": "X-Convoy-Signature", "algo": "sha512", "encoding": "base64"}},
	"adyen-platform":            {"hmac", map[string]string{"header": "HmacSignature", "encoding": "base64", "key_encoding": "hex"}},
	"buildkite": {"hmac", map[string]string{
		"header": "X-Buildkite-Signature", "list": ",", "pair": "=", "pick": "signature",
		"content": "{sig.timestamp}.{body}", "timestamp": "sig.timestamp",
	}},
	"castle":            {"hmac", map[string]string{"header": "X-Castle-Signature", "encoding": "base64"}},
	"circleci":          {"hmac", map[string]string{"header": "circleci-signature", "list": ",", "pair": "=", "pick": "v1"}},
	"coinbase-commerce": {"hmac", map[string]string{"header": "X-CC-Webhook-Signature"}},
	"finch": {"hmac", map[string]string{
		"header": "Finch-Signature", "list": " ", "pair": ",", "pick": "v1", "encoding": "base64",
		"content": "{header:Finch-Event-Id}.{ts}.{body}", "timestamp": "header:Finch-Timestamp", "key_encoding": "base64",
	}},
	"gitea":           {"hmac", map[string]string{"header": "X-Gitea-Signature"}},
	"gogs":            {"hmac", map[string]string{"header": "X-Gogs-Signature"}},
	"gocardless":      {"hmac", map[string]string{"header": "Webhook-Signature"}},
	"line":            {"hmac", map[string]string{"header": "X-Line-Signature", "encoding": "base64"}},
	"modern-treasury": {"hmac", map[string]string{"header": "X-Signature"}},
	"onfido":          {"hmac", map[string]string{"header": "X-SHA2-Signature"}},
	"paddle": {"hmac", map[string]string{
		"header": "Paddle-Signature", "list": ";", "pair": "=", "pick": "h1", "content": "{ts}:{body}",
		"timestamp": "sig.ts", "tolerance": "5s",
	}},
	"pagerduty":        {"hmac", map[string]string{"header": "X-PagerDuty-Signature", "list": ",", "pair": "=", "pick": "v1"}},
	"qonto-onboarding": {"hmac", map[string]string{"header": "Qonto-SHA256-Signature"}},
	"razorpay":         {"hmac", map[string]string{"header": "X-Razorpay-Signature"}},
	"sanity": {"hmac", map[string]string{
		"header": "sanity-webhook-signature", "list": ",", "pair": "=", "pick": "v1", "encoding": "base64url",
		"content": "{sig.t}.{body}", "timestamp": "sig.t", "timestamp_unit": "ms",
	}},
	"square": {"hmac", map[string]string{"header": "x-square-hmacsha256-signature", "encoding": "base64", "content": "{url}{body}"}},
	"twitch": {"hmac", map[string]string{
		"header": "Twitch-Eventsub-Message-Signature", "prefix": "sha256=", "timestamp_unit": "rfc3339",
		"timestamp": "header:Twitch-Eventsub-Message-Timestamp", "content": "{header:Twitch-Eventsub-Message-Id}{ts}{body}",
	}},
}

func (v *vector) request(t *testing.T) *Request {
	t.Helper()
	req := &Request{Method: v.Method, URL: v.URL, Header: http.Header{}, Body: []byte(v.Body)}
	if v.BodyBase64 != "" {
		body, err := base64.StdEncoding.DecodeString(v.BodyBase64)
		if err != nil {
			t.Fatal(err)
		}
		req.Body = body
	}
	for name, value := range v.Headers {
		req.Header.Set(name, value)
	}
	return req
}

func (v *vector) secrets() (out []store.Secret) {
	for _, s := range v.Secret {
		out = append(out, store.Secret(s))
	}
	if v.PublicKey != "" {
		out = append(out, store.Secret(v.PublicKey))
	}
	return out
}

func TestVectorsOfProviders(t *testing.T) {
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, v := range vectors {
		t.Run(v.ID, func(t *testing.T) {
			want, ok := schemeOf[v.Preset]
			if !ok {
				t.Fatalf("no scheme for %s", v.Preset)
			}
			seen[v.Preset] = true
			preset, ok := Get(want.preset)
			if !ok {
				t.Fatalf("no preset %s", want.preset)
			}
			var now time.Time
			if v.Now != nil {
				now = time.Unix(*v.Now, 0)
			}
			scheme, err := preset.Bind(want.params, v.secrets())
			if err == nil {
				err = scheme.Verify(v.request(t), now)
			}
			if (err == nil) != v.Valid {
				t.Errorf("%s: got error %v, want valid = %v", v.ID, err, v.Valid)
			}
		})
	}
	for name := range schemeOf {
		if !seen[name] {
			t.Errorf("no vector uses %s", name)
		}
	}
}
