package provider

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// standardVectors are those of pkg/webhook: the preset must agree with it.
const standardVectors = "../../pkg/webhook/testdata/standard-webhooks.json"

type standardVector struct {
	ID            string             `json:"id"`
	Secret        string             `json:"secret"`
	Headers       map[string]*string `json:"headers"`
	Payload       string             `json:"payload"`
	PayloadBase64 string             `json:"payload_base64"`
	PayloadRepeat int                `json:"payload_repeat"`
	Now           int64              `json:"now"`
	Valid         bool               `json:"valid"`
}

func (v *standardVector) request(t *testing.T) *Request {
	t.Helper()
	req := &Request{Method: http.MethodPost, Header: http.Header{}, Body: []byte(strings.Repeat(v.Payload, max(v.PayloadRepeat, 1)))}
	if v.PayloadBase64 != "" {
		var err error
		if req.Body, err = base64.StdEncoding.DecodeString(v.PayloadBase64); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range v.Headers {
		if value != nil {
			req.Header.Set(name, *value)
		}
	}
	return req
}

func TestStandardWebhooksVectors(t *testing.T) {
	text, err := os.ReadFile(standardVectors)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Verify []standardVector `json:"verify"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Verify) < 60 {
		t.Fatalf("%d vectors, want 60 or more", len(file.Verify))
	}
	preset, _ := Get("standard-webhooks")
	for _, v := range file.Verify {
		t.Run(v.ID, func(t *testing.T) {
			scheme, err := preset.Bind(nil, sealed(v.Secret))
			if err == nil {
				err = scheme.Verify(v.request(t), time.Unix(v.Now, 0))
			}
			if (err == nil) != v.Valid {
				t.Errorf("got error %v, want valid = %v", err, v.Valid)
			}
		})
	}
}

func TestSvixNamesCountOnlyWhereConfigured(t *testing.T) {
	webhook := &Request{Header: http.Header{"Webhook-Id": {"msg_1"}}}
	signStandard(webhook.Header, seconds(testNow), testWhsec, nil)
	svix := &Request{Header: http.Header{}}
	for name, values := range webhook.Header {
		svix.Header[strings.Replace(name, "Webhook", "Svix", 1)] = values
	}
	plain, alias := bind(t, "standard-webhooks", nil, testWhsec), bind(t, "standard-webhooks", map[string]string{"header_prefix": "svix"}, testWhsec)
	for name, err := range map[string]error{"webhook": plain.Verify(webhook, testNow), "svix": alias.Verify(svix, testNow)} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantReason(t, plain.Verify(svix, testNow), ReasonMissing)
	wantReason(t, alias.Verify(webhook, testNow), ReasonMissing)
	if got := alias.Describe(svix).GivenID; got != "msg_1" {
		t.Errorf("id %q, want msg_1", got)
	}
}

func TestEd25519SignsAndVerifies(t *testing.T) {
	const private = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	const public = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
	req := &Request{Header: http.Header{"Webhook-Id": {"msg_1"}}, Body: []byte("{}")}
	receiver := bind(t, "standard-webhooks", nil, public)
	if err := receiver.Sign(req, testNow); err == nil || !strings.Contains(err.Error(), "a public key cannot sign") {
		t.Errorf("signing with a public key: %v", err)
	}
	if err := bind(t, "standard-webhooks", nil, private).Sign(req, testNow); err != nil {
		t.Fatal(err)
	}
	if err := receiver.Verify(req, testNow); err != nil {
		t.Error(err)
	}
	genuine, accepted := req.Header.Get("Webhook-Signature"), 0
	for c := byte('!'); c <= '~'; c++ { // the last character before the padding has four stray bits
		req.Header.Set("Webhook-Signature", genuine[:len(genuine)-3]+string(c)+"==")
		if receiver.Verify(req, testNow) == nil {
			accepted++
		}
	}
	if req.Header.Set("Webhook-Signature", genuine); accepted != 1 {
		t.Errorf("%d spellings of the last character are accepted, want 1", accepted)
	}
	wantReason(t, receiver.Verify(req, testNow.Add(301*time.Second)), ReasonTooOld)
	req.Body = []byte("{ }")
	wantReason(t, receiver.Verify(req, testNow), ReasonMismatch)
	mixed := bind(t, "standard-webhooks", nil, public, testWhsec) // a sender that moves from one to the other
	if err := mixed.Sign(req, testNow); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(req.Header.Get("Webhook-Signature"), "v1,") {
		t.Errorf("signed %s with the key that can sign", req.Header.Get("Webhook-Signature"))
	}
	if err := mixed.Verify(req, testNow); err != nil {
		t.Error(err)
	}
}
