package provider

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// bindText binds a preset written in a test.
func bindText(t *testing.T, text string, secrets ...string) (*Scheme, error) {
	t.Helper()
	p, err := parsePreset("test", []byte(text))
	if err != nil {
		return nil, err
	}
	return p.Bind(nil, sealed(secrets...))
}

const twoSteps = `
methods: POST
deadline: 5s
verify:
  - kind: token
    from: header:X-Token
    key: {claims: [tok_]}
  - kind: hmac
    algo: sha512
    sig: {from: "query:sig", encoding: base64url}
    content: "{method}\n{url}\n{header:X-A}|{query:b}|{form:c}|{json:d}|{body}"
`

func TestAllStepsOfAListMustPass(t *testing.T) {
	s, err := bindText(t, twoSteps, "tok_secret", testSecret)
	if err != nil {
		t.Fatal(err)
	}
	if !s.CoversBody() {
		t.Error("CoversBody() = false, although one step does")
	}
	req := &Request{Method: "POST", URL: "https://a.example/?sig=x", Query: "sig=x", Header: http.Header{"X-Token": {"secret"}}}
	wantReason(t, s.Verify(req, testNow), ReasonMissing) // X-A
	req.Header.Set("X-Token", "tok_secret")
	wantReason(t, s.Verify(req, testNow), ReasonMismatch) // the claimed prefix is not part of the token
	req.Header = http.Header{"X-Token": {"secret"}, "X-A": {"1"}, "Content-Type": {"application/x-www-form-urlencoded"}}
	req.Body = []byte("c=3")
	wantReason(t, s.Verify(req, testNow), ReasonMissing) // query b
	if err := s.Sign(req, testNow); err == nil || !strings.Contains(err.Error(), "a signature in a query parameter sig cannot be made") {
		t.Errorf("Sign: %v", err)
	}
	if _, err := bindText(t, twoSteps, testSecret); err == nil || !strings.Contains(err.Error(), "all of the provider's checks need one") {
		t.Errorf("bound without a secret for the token: %v", err)
	}
}

func TestSchemesThatSignTheURLNeedIt(t *testing.T) {
	s := bind(t, "hmac", map[string]string{"content": "{url}{body}"}, testSecret)
	req := &Request{Method: "POST", URL: "https://hooks.example.com/in/x?y=z", Header: http.Header{}}
	if err := s.Sign(req, testNow); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(req, testNow); err != nil {
		t.Error(err)
	}
	req.URL = "https://hooks.example.com/in/x"
	wantReason(t, s.Verify(req, testNow), ReasonMismatch)
	req.URL = ""
	if err := s.Verify(req, testNow); !errors.Is(err, ErrNoURL) {
		t.Errorf("without a URL: %v, want ErrNoURL, which is no fault of the request", err)
	}
}

func TestOneSignatureHasOneReading(t *testing.T) {
	s := bind(t, "standard-webhooks", nil, testWhsec)
	signed := &Request{Header: http.Header{"Webhook-Id": {"msg_1"}}, Body: []byte(`1790000001.{"test": 1}`)}
	signStandard(signed.Header, "1790000000", testWhsec, signed.Body)
	if err := s.Verify(signed, testNow); err != nil {
		t.Fatal(err)
	}
	shifted := &Request{Header: http.Header{
		"Webhook-Id": {"msg_1.1790000000"}, "Webhook-Timestamp": {"1790000001"},
		"Webhook-Signature": signed.Header["Webhook-Signature"],
	}, Body: []byte(`{"test": 1}`)}
	wantReason(t, s.Verify(shifted, testNow), ReasonMalformed)
}

func TestPresetFilesAreStrict(t *testing.T) {
	const good = "methods: POST\ndeadline: 5s\nverify: [{kind: token, from: \"header:X\"}]\n"
	if _, err := bindText(t, good, testSecret); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, text, want string }{
		{"unknown key", good + "metods: GET\n", "metods"},
		{"unknown key in a step", strings.Replace(good, "kind:", "form: x, kind:", 1), "form"},
		{"unknown kind", strings.Replace(good, "kind: token", "kind: jwt", 1), `kind: "jwt"`},
		{"a token in the query", strings.Replace(good, "header:X", "query:x", 1), "a token is read from a header"},
		{"unknown parameter", strings.Replace(good, "deadline: 5s", `deadline: "{param:x}"`, 1), "{param:x}: the preset has no such parameter"},
		{"no deadline", strings.Replace(good, "deadline: 5s\n", "", 1), "deadline"},
		{"unknown encoding of keys", strings.Replace(good, "from:", "key: {encoding: rot13}, from:", 1), `key.encoding "rot13"`},
		{"a challenge without a method", good + "challenge: [{when: [\"json:a\"]}]\n", "want a method"},
		{"a challenge that every POST is", good + "challenge: [{method: POST}]\n", "want a method, and a when"},
		{"a challenge that replies a timestamp", good + "challenge: [{method: GET, reply: {body: \"{ts}\"}}]\n", "a reply knows no timestamp"},
		{"a challenge when always", good + "challenge: [{method: GET, when: [\"const:x\"]}]\n", "cannot be verified"},
	}
	for _, tt := range tests {
		if _, err := bindText(t, tt.text, testSecret); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if _, err := bindText(t, strings.Replace(good, "from:", "key: {claims: [a_]}, from:", 1), "b_secret"); err == nil || !strings.Contains(err.Error(), "of no kind that this provider hands out") {
		t.Errorf("a secret that no step claims: %v", err)
	}
}

func TestSlackURLVerification(t *testing.T) {
	s := bind(t, "slack", nil, testSecret)
	req := &Request{Method: "POST", Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(`{"type":"url_verification","challenge":"3eZ<b>&"}`)}
	_, err := s.Receive(req, testNow)
	wantReason(t, err, ReasonMissing) // never echoed unsigned
	if err := s.Sign(req, testNow); err != nil {
		t.Fatal(err)
	}
	reply, err := s.Receive(req, testNow)
	if err != nil || reply == nil || *reply != (Reply{200, "text/plain; charset=utf-8", "3eZ<b>&"}) {
		t.Errorf("Receive() = %v, %v, want the challenge as plain text", reply, err)
	}
	req.Body = []byte(`{"type":"url_verification"}`)
	if err := s.Sign(req, testNow); err != nil {
		t.Fatal(err)
	}
	_, err = s.Receive(req, testNow)
	wantReason(t, err, ReasonMissing)
}

func TestUnsignedChallengesComeBeforeEverything(t *testing.T) {
	s, err := bindText(t, `
methods: POST, PUT
deadline: 5s
verify: [{kind: token, from: "header:X-Token"}]
challenge:
  - {method: GET, when: ["query:mode=subscribe", "query:challenge"], reply: {status: 202, content_type: text/plain, body: "<{query:challenge}>"}}
  - {method: HEAD, reply: {}}
respond: {ok: {status: 204}, invalid: {status: 498}}
`, testSecret)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(s.Methods(), " "); got != "POST PUT GET HEAD" {
		t.Errorf("methods %s", got)
	}
	reply, err := s.Receive(&Request{Method: "GET", Query: "mode=subscribe&challenge=a%26b"}, testNow)
	if err != nil || reply == nil || *reply != (Reply{202, "text/plain", "<a&b>"}) {
		t.Errorf("GET: %v, %v", reply, err)
	}
	if reply, err := s.Receive(&Request{Method: "HEAD"}, testNow); err != nil || reply == nil || reply.Status != 200 {
		t.Errorf("HEAD: %v, %v", reply, err)
	}
	for _, query := range []string{"", "mode=subscribe", "mode=other&challenge=1"} {
		_, err := s.Receive(&Request{Method: "GET", Query: query}, testNow)
		wantReason(t, err, ReasonMethod)
	}
	_, err = s.Receive(&Request{Method: "POST", Query: "mode=subscribe&challenge=1"}, testNow)
	wantReason(t, err, ReasonMissing)
	if s.OK().Status != 204 || s.InvalidStatus() != 498 {
		t.Errorf("answers %d and %d", s.OK().Status, s.InvalidStatus())
	}
}
