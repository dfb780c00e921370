package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// preset is a provider as it signs its webhooks, written from its documentation and with nothing of ours.
type preset struct {
	name      string
	secret    string
	params    map[string]string
	body      string
	eventType string // what Sluice makes of it
	sign      func(secret, body string, at time.Time) http.Header
	signature string // the header that proves it
	timed     bool   // an old request is refused
}

var presets = []preset{
	{
		name: "github", secret: "It's a Secret to Everybody", body: `{"action": "opened", "seq": 1}`, eventType: "issues.opened",
		signature: "X-Hub-Signature-256",
		sign: func(secret, body string, _ time.Time) http.Header {
			return headers("X-Hub-Signature-256", "sha256="+hexMAC(secret, body), "X-GitHub-Event", "issues", "X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")
		},
	},
	{
		name: "gitlab", secret: "glsec-0123456789abcdef", body: `{"object_kind": "push", "seq": 1}`, eventType: "push",
		signature: "X-Gitlab-Token",
		sign: func(secret, _ string, _ time.Time) http.Header {
			return headers("X-Gitlab-Token", secret, "X-Gitlab-Event", "Push Hook", "X-Gitlab-Event-UUID", "13792a34-cac6-4fda-95a8-c58e00a3954e")
		},
	},
	{
		name: "stripe", secret: "whsec_0123456789abcdef0123456789abcdef", body: `{"id": "evt_1", "type": "invoice.paid", "seq": 1}`, eventType: "invoice.paid",
		signature: "Stripe-Signature", timed: true,
		sign: func(secret, body string, at time.Time) http.Header {
			return headers("Stripe-Signature", fmt.Sprintf("t=%d,v1=%s,v0=%064d", at.Unix(), hexMAC(secret, fmt.Sprintf("%d.%s", at.Unix(), body)), 0))
		},
	},
	{
		name: "shopify", secret: "hush-0123456789abcdef", body: `{"id": 820982911946154508, "seq": 1}`, eventType: "orders.create",
		signature: "X-Shopify-Hmac-Sha256",
		sign: func(secret, body string, _ time.Time) http.Header {
			return headers("X-Shopify-Hmac-Sha256", base64MAC([]byte(secret), body), "X-Shopify-Topic", "orders/create", "X-Shopify-Event-Id", "98880550-7158-44d4-b7cd-2c97c8a091b5")
		},
	},
	{
		name: "slack", secret: "8f742231b10e8888abcd99yyyzzz85a5", body: `{"type": "event_callback", "event_id": "Ev1", "event": {"type": "app_mention"}, "seq": 1}`, eventType: "app_mention",
		signature: "X-Slack-Signature", timed: true,
		sign: func(secret, body string, at time.Time) http.Header {
			return headers("X-Slack-Signature", "v0="+hexMAC(secret, fmt.Sprintf("v0:%d:%s", at.Unix(), body)), "X-Slack-Request-Timestamp", fmt.Sprint(at.Unix()))
		},
	},
	{
		name: "standard-webhooks", secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", body: `{"type": "contact.created", "seq": 1}`, eventType: "contact.created",
		signature: "Webhook-Signature", timed: true,
		sign: func(secret, body string, at time.Time) http.Header {
			key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
			if err != nil {
				key = []byte(secret) // a wrong secret need not be a good one
			}
			return headers("Webhook-Id", "msg_1", "Webhook-Timestamp", fmt.Sprint(at.Unix()),
				"Webhook-Signature", "v1,"+base64MAC(key, fmt.Sprintf("msg_1.%d.%s", at.Unix(), body)))
		},
	},
	{
		name: "hmac", secret: "generic-0123456789abcdef", body: `{"type": "order.created", "seq": 1}`, eventType: "order.created",
		params:    map[string]string{"header": "X-Acme-Signature", "prefix": "sha256="},
		signature: "X-Acme-Signature",
		sign: func(secret, body string, _ time.Time) http.Header {
			return headers("X-Acme-Signature", "sha256="+hexMAC(secret, body))
		},
	},
	{
		name: "token", secret: "token-0123456789abcdef", body: `{"type": "order.created", "seq": 1}`, eventType: "order.created",
		params:    map[string]string{"header": "Authorization", "prefix": "Bearer "},
		signature: "Authorization",
		sign: func(secret, _ string, _ time.Time) http.Header {
			return headers("Authorization", "Bearer "+secret)
		},
	},
	{
		name: "basic", secret: "user:pass-0123456789abcdef", body: `{"type": "order.created", "seq": 1}`, eventType: "order.created",
		signature: "Authorization",
		sign: func(secret, _ string, _ time.Time) http.Header {
			return headers("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(secret)))
		},
	},
}

// coversBody reports whether a changed body shows.
func (p preset) coversBody() bool {
	return p.name != "gitlab" && p.name != "token" && p.name != "basic"
}

func (p preset) source() source {
	return source{Name: p.name, Provider: p.name, Secrets: []string{p.secret}, Params: p.params}
}

func TestEveryPresetIsAcceptedAndRejected(t *testing.T) {
	dir := tempDir(t)
	sink := newReceiver(t, "sink", answerOK)
	c := newConfig(t, dir).endpoints(sink.endpoint())
	for _, p := range presets {
		c.sources(p.source())
	}
	serve(t, dir, c)
	base := "http://" + c.listen("ingress") + "/in/"

	for _, p := range presets {
		t.Run(p.name, func(t *testing.T) {
			now := time.Now()
			altered := strings.Replace(p.body, "1", "2", 1)
			unsigned := p.sign(p.secret, p.body, now)
			unsigned.Del(p.signature)
			empty := p.sign(p.secret, p.body, now)
			empty.Set(p.signature, "")
			for what, r := range map[string]struct {
				headers http.Header
				body    string
				refused bool
			}{
				"another secret":       {p.sign("Another:secret0123456789", p.body, now), p.body, true},
				"no signature":         {unsigned, p.body, true},
				"an empty signature":   {empty, p.body, true},
				"a changed body":       {p.sign(p.secret, p.body, now), altered, p.coversBody()},
				"a body cut short":     {p.sign(p.secret, p.body, now), p.body[:len(p.body)-1], p.coversBody()},
				"a request of an hour": {p.sign(p.secret, p.body, now.Add(-time.Hour)), p.body, p.timed},
			} {
				if !r.refused {
					continue
				}
				if got := post(t, base+p.name, jsonBody(r.headers), []byte(r.body)); got.status != http.StatusUnauthorized {
					t.Errorf("%s: got status %d, want 401", what, got.status)
				}
			}

			if got := post(t, base+p.name, jsonBody(p.sign(p.secret, p.body, now)), []byte(p.body)); got.status != http.StatusOK || len(got.body) != 0 {
				t.Fatalf("signed rightly: got status %d, %q, want 200 and nothing", got.status, got.body)
			}
			from := func(as []arrival) (out []arrival) {
				for _, a := range as {
					if a.header.Get("Sluice-Source") == p.name {
						out = append(out, a)
					}
				}
				return out
			}
			a := from(sink.wait(t, 10*time.Second, "the event of "+p.name, func(as []arrival) bool { return len(from(as)) > 0 }))[0]
			if got := a.header.Get("Sluice-Event-Type"); got != p.eventType {
				t.Errorf("type: got %q, want %q", got, p.eventType)
			}
			if string(a.body) != p.body || !a.Signed || a.Attempt != 1 || !strings.HasPrefix(a.EventID, "evt_") {
				t.Errorf("delivery: got %q, signed rightly %v, attempt %d, id %s", a.body, a.Signed, a.Attempt, a.EventID)
			}
		})
	}
	// What was refused must not have been accepted all the same; the last event's delivery came after theirs could have.
	if got := len(sink.all()); got != len(presets) {
		t.Errorf("got %d deliveries, want %d", got, len(presets))
	}
}

func TestSlackChallengeIsAnswered(t *testing.T) {
	dir := tempDir(t)
	slack := presets[4]
	sink := newReceiver(t, "sink", answerOK)
	c := newConfig(t, dir).sources(slack.source()).endpoints(sink.endpoint())
	serve(t, dir, c)
	url := "http://" + c.listen("ingress") + "/in/slack"
	const challenge = `{"token": "x", "challenge": "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P", "type": "url_verification"}`
	got := post(t, url, jsonBody(slack.sign(slack.secret, challenge, time.Now())), []byte(challenge))
	if got.status != http.StatusOK || string(got.body) != "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P" {
		t.Errorf("signed challenge: got status %d, %q", got.status, got.body)
	}
	if got := post(t, url, jsonBody(slack.sign("wrong-0123456789abcdef", challenge, time.Now())), []byte(challenge)); got.status != http.StatusUnauthorized {
		t.Errorf("challenge with a wrong signature: got status %d, want 401", got.status)
	}
	event := post(t, url, jsonBody(slack.sign(slack.secret, slack.body, time.Now())), []byte(slack.body))
	if event.status != http.StatusOK {
		t.Fatalf("event after it: got status %d", event.status)
	}
	if as := sink.waitOK(t, 1, 10*time.Second); len(as) != 1 || string(as[0].body) != slack.body {
		t.Errorf("got %d deliveries, want the event alone: a challenge is no event", len(as))
	}
}

func headers(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return h
}

func jsonBody(h http.Header) http.Header {
	h.Set("Content-Type", "application/json")
	return h
}

func hexMAC(secret, content string) string { return hex.EncodeToString(mac([]byte(secret), content)) }

func base64MAC(key []byte, content string) string {
	return base64.StdEncoding.EncodeToString(mac(key, content))
}

func mac(key []byte, content string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(content))
	return m.Sum(nil)
}
