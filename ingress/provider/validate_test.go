package provider

import (
	"fmt"
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	tests := []struct {
		name, preset string
		params       map[string]string
		secrets      []string
		want         string // first problem; empty: none
		warn         string // first warning; empty: none
	}{
		{"a good secret", "github", nil, []string{testSecret}, "", ""},
		{"no secret", "github", nil, nil, "secrets: want one at least", ""},
		{"an empty secret", "github", nil, []string{testSecret, ""}, "secrets[1]: is empty, set the one", ""},
		{"a blank secret", "github", nil, []string{" \n"}, "secrets[0]: is blank, set the one", "secrets[0]: begins or ends with white space"},
		{"a short secret", "shopify", nil, []string{"hush"}, "", "secrets[0]: has 4 bytes, which can be guessed"},
		{"15 bytes", "stripe", nil, []string{strings.Repeat("x", 15)}, "", "secrets[0]: has 15 bytes"},
		{"16 bytes", "stripe", nil, []string{strings.Repeat("x", 16)}, "", ""},
		{"a line break at the end", "slack", nil, []string{testSecret + "\n"}, "", "secrets[0]: begins or ends with white space"},
		{"too many secrets", "github", nil, strings.Fields(strings.Repeat(testSecret+" ", 3)), "secrets: 12 are too many", "secrets[0]"},
		{"a short password behind a long name", "basic", nil, []string{"long-user-name-here:short"}, "", "secrets[0]: has 5 bytes"},
		{"no password", "basic", nil, []string{testSecret}, "secrets[0]: want USER:PASSWORD", ""},
		{"no user", "basic", nil, []string{":" + testSecret}, "secrets[0]: want USER:PASSWORD", ""},
		{"whsec_ alone", "standard-webhooks", nil, []string{"whsec_"}, "secrets[0]: is empty but for its prefix", ""},
		{"not base64", "standard-webhooks", nil, []string{testWhsec, "whsec_%%"}, "secrets[1]: is not base64", ""},
		{"a short signing key", "standard-webhooks", nil, []string{"whsec_MTIzNDU2Nzg="}, "", "secrets[0]: has 8 bytes"},
		{"a public key", "standard-webhooks", nil, []string{"whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="}, "", ""},
		{"half a public key", "standard-webhooks", nil, []string{"whpk_1SiA4o9hyqTCpIqC5V9HUQ=="}, "secrets[0]: is not an ed25519 public key", ""},
		{"a private key of two keys", "standard-webhooks", nil, []string{"whsk_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDXVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="}, "secrets[0]: is an ed25519 private key whose halves", ""},
		{"a parameter nobody knows", "github", map[string]string{"algo": "md5"}, []string{testSecret}, "params.algo: provider github takes no parameters", ""},
		{"a parameter this preset does not know", "token", map[string]string{"algo": "md5"}, []string{testSecret}, "params.algo: provider token has no such parameter, want deadline, header", ""},
		{"a hash we do not have", "hmac", map[string]string{"algo": "md5"}, []string{testSecret}, "params.algo: md5: want one of sha1, sha256", ""},
		{"no hash at all", "hmac", map[string]string{"algo": "none"}, []string{testSecret}, "params.algo: none: want one of", ""},
		{"an empty hash", "hmac", map[string]string{"algo": ""}, []string{testSecret}, "params.algo: want one of", ""},
		{"a header that is none", "hmac", map[string]string{"header": "X Y"}, []string{testSecret}, `params: sig.from: "X Y" is not a header name`, ""},
		{"content without the body", "hmac", map[string]string{"content": "{header:X-Id}"}, []string{testSecret}, "", "params.content: does not contain {body}"},
		{"empty content", "hmac", map[string]string{"content": ""}, []string{testSecret}, "params: content: is empty", ""},
		{"an unknown variable", "hmac", map[string]string{"content": "{bodi}"}, []string{testSecret}, `params: content: template: {bodi}: "bodi": want header:NAME`, ""},
		{"an open brace", "hmac", map[string]string{"content": "{body"}, []string{testSecret}, "params: content: template: { without }", ""},
		{"a constant as content", "hmac", map[string]string{"content": "{const:x}{body}"}, []string{testSecret}, "params: content: template: {const:x}: const: cannot be verified", ""},
		{"a time that is nowhere", "hmac", map[string]string{"content": "{ts}{body}"}, []string{testSecret}, "params: content: {ts} needs a timestamp", ""},
		{"a field of a header without pairs", "hmac", map[string]string{"content": "{sig.t}{body}"}, []string{testSecret}, "params: sig.KEY needs a signature header with pairs", ""},
		{"pairs without a pick", "hmac", map[string]string{"pair": "="}, []string{testSecret}, "params: sig: pair and pick go together", ""},
		{"no tolerance", "hmac", map[string]string{"timestamp": "header:X-T", "tolerance": "0s"}, []string{testSecret}, `params: ts.tolerance: "0s": want a duration above zero`, ""},
		{"a negative deadline", "hmac", map[string]string{"deadline": "-1s"}, []string{testSecret}, `params: deadline: "-1s": want a duration above zero`, ""},
		{"a method nobody sends", "hmac", map[string]string{"methods": "post"}, []string{testSecret}, `params: methods: "post": want POST, PUT`, ""},
		{"no method", "hmac", map[string]string{"methods": " , "}, []string{testSecret}, "params: methods: want one at least", ""},
		{"a token that would be kept", "token", map[string]string{"headers": "X-Id, x-webhook-token"}, []string{testSecret}, "params: headers: X-Webhook-Token carries a secret", ""},
		{"credentials that would be kept", "hmac", map[string]string{"headers": "authorization"}, []string{testSecret}, "params: headers: Authorization carries a secret", ""},
		{"a signature that would be kept", "hmac", map[string]string{"header": "x-sig", "headers": "X-Sig"}, []string{testSecret}, "params: headers: X-Sig carries a secret", ""},
		{"a type from nowhere", "token", map[string]string{"type": "body:x"}, []string{testSecret}, `params: type: "body:x": "body" is not one of header`, ""},
		{"a JSON path with a hole", "token", map[string]string{"id": "json:a..b"}, []string{testSecret}, `params: dedupe: json path "a..b" has an empty key`, ""},
		{"a parameter in a parameter", "hmac", map[string]string{"content": "{param:prefix}{body}"}, []string{testSecret}, `params: content: template: {param:prefix}: "param:prefix": "param" is not one of`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, _ := Get(tt.preset)
			problems, warnings := p.Validate(tt.params, sealed(tt.secrets...))
			wantFirst(t, "problem", problems, tt.want)
			wantFirst(t, "warning", warnings, tt.warn)
			_, err := p.Bind(tt.params, sealed(tt.secrets...))
			if (err == nil) != (len(problems) == 0) {
				t.Errorf("Bind: %v, although Validate found %v", err, problems)
			}
			for _, s := range tt.secrets {
				if len(s) > 5 && strings.Contains(fmt.Sprint(problems, warnings, err), s) {
					t.Errorf("the secret shows: %v %v %v", problems, warnings, err)
				}
			}
		})
	}
}

func wantFirst(t *testing.T, what string, got []Problem, want string) {
	t.Helper()
	if want == "" && len(got) == 0 {
		return
	}
	if len(got) == 0 || want == "" || !strings.HasPrefix(got[0].Error(), want) {
		t.Errorf("%ss %v, want first %q", what, got, want)
	}
}
