package provider

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/store"
)

// What providers do, written down a second time without the engine: the oracle of the mutation and fuzz tests.

// testNow is the time of the tests' requests.
var testNow = time.Unix(1_790_000_000, 0)

const (
	testSecret = "correct horse battery staple"
	testWhsec  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
)

func macOf(key, content string) []byte {
	m := hmac.New(sha256.New, []byte(key))
	m.Write([]byte(content))
	return m.Sum(nil)
}

// subject is a preset under test, with its secret and a signer that is not the engine's.
type subject struct {
	preset    string
	params    map[string]string
	secret    string
	signature string // header with the signature or token
	timestamp string // header with the time; empty: none, or in the signature
	covers    bool
	sign      func(h http.Header, ts, secret string, body []byte)
}

func hexDigest(h http.Header, name, prefix, secret, content string) {
	h.Set(name, prefix+hex.EncodeToString(macOf(secret, content)))
}

func signStandard(h http.Header, ts, secret string, body []byte) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		panic(err)
	}
	h.Set("Webhook-Timestamp", ts)
	content := h.Get("Webhook-Id") + "." + ts + "." + string(body)
	h.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(macOf(string(key), content)))
}

var subjects = []subject{
	{
		preset: "github", secret: testSecret, signature: "X-Hub-Signature-256", covers: true,
		sign: func(h http.Header, _, secret string, body []byte) {
			hexDigest(h, "X-Hub-Signature-256", "sha256=", secret, string(body))
		},
	},
	{
		preset: "shopify", secret: testSecret, signature: "X-Shopify-Hmac-Sha256", covers: true,
		sign: func(h http.Header, _, secret string, body []byte) {
			h.Set("X-Shopify-Hmac-Sha256", base64.StdEncoding.EncodeToString(macOf(secret, string(body))))
		},
	},
	{
		preset: "stripe", secret: "whsec_" + testSecret, signature: "Stripe-Signature", covers: true,
		sign: func(h http.Header, ts, secret string, body []byte) {
			hexDigest(h, "Stripe-Signature", "t="+ts+",v1=", secret, ts+"."+string(body))
		},
	},
	{
		preset: "slack", secret: testSecret, signature: "X-Slack-Signature", timestamp: "X-Slack-Request-Timestamp", covers: true,
		sign: func(h http.Header, ts, secret string, body []byte) {
			h.Set("X-Slack-Request-Timestamp", ts)
			hexDigest(h, "X-Slack-Signature", "v0=", secret, "v0:"+ts+":"+string(body))
		},
	},
	{preset: "standard-webhooks", secret: testWhsec, signature: "Webhook-Signature", timestamp: "Webhook-Timestamp", covers: true, sign: signStandard},
	{preset: "gitlab", secret: testWhsec, signature: "Webhook-Signature", timestamp: "Webhook-Timestamp", covers: true, sign: signStandard},
	{
		preset: "gitlab", secret: testSecret, signature: "X-Gitlab-Token",
		sign: func(h http.Header, _, secret string, _ []byte) { h.Set("X-Gitlab-Token", secret) },
	},
	{
		preset: "hmac", secret: testSecret, signature: "X-Signature", covers: true,
		sign: func(h http.Header, _, secret string, body []byte) {
			hexDigest(h, "X-Signature", "", secret, string(body))
		},
	},
	{
		preset: "hmac", secret: testSecret, signature: "X-Sig", timestamp: "X-Time", covers: true,
		params: map[string]string{"header": "X-Sig", "content": "{ts}.{body}", "timestamp": "header:X-Time", "encoding": "base64"},
		sign: func(h http.Header, ts, secret string, body []byte) {
			h.Set("X-Time", ts)
			h.Set("X-Sig", base64.StdEncoding.EncodeToString(macOf(secret, ts+"."+string(body))))
		},
	},
	{
		preset: "token", params: map[string]string{"header": "Authorization", "prefix": "Bearer "}, secret: testSecret, signature: "Authorization",
		sign: func(h http.Header, _, secret string, _ []byte) { h.Set("Authorization", "Bearer "+secret) },
	},
	{
		preset: "basic", secret: "sluice:" + testSecret, signature: "Authorization",
		sign: func(h http.Header, _, secret string, _ []byte) {
			h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(secret)))
		},
	},
}

func (s *subject) name() string { return s.preset + " by " + s.signature }

// otherSecret is well formed, and not the one that signs.
func (s *subject) otherSecret() string {
	if s.secret == testWhsec {
		return "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
	}
	return "other:" + s.secret
}

func (s *subject) scheme(tb testing.TB, secrets ...string) *Scheme {
	tb.Helper()
	if len(secrets) == 0 {
		secrets = []string{s.secret}
	}
	return bind(tb, s.preset, s.params, secrets...)
}

// request returns a genuine request, signed at ts by the reference.
func (s *subject) request(ts string) *Request {
	req := &Request{Method: http.MethodPost, Body: []byte("{\"type\": \"ping\",\r\n \"id\": \"1\"}"), Header: http.Header{
		"Content-Type": {"application/json"}, "Webhook-Id": {"msg_1"}, "X-Github-Event": {"ping"},
	}}
	s.sign(req.Header, ts, s.secret, req.Body)
	return req
}

func seconds(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

func bind(tb testing.TB, preset string, params map[string]string, secrets ...string) *Scheme {
	tb.Helper()
	p, ok := Get(preset)
	if !ok {
		tb.Fatalf("no preset %s", preset)
	}
	s, err := p.Bind(params, sealed(secrets...))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func sealed(secrets ...string) (out []store.Secret) {
	for _, s := range secrets {
		out = append(out, store.Secret(s))
	}
	return out
}
