package provider

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// Each fuzz target of a family of schemes has an oracle: the engine accepts exactly what an independent reading of the
// provider's documentation accepts. With genuine set, header is appended to the right signature, so that the fuzzer
// starts close to what is valid.

func agree(t *testing.T, got error, want bool, what ...any) {
	t.Helper()
	if (got == nil) != want {
		t.Fatalf("Verify = %v, want valid = %v for %q", got, want, what)
	}
}

func FuzzVerifyHMACHex(f *testing.F) {
	f.Add([]byte("{}"), "", true)
	f.Add([]byte(""), "sha256=00", false)
	f.Add([]byte("x"), "0", true)
	s := bind(f, "github", nil, testSecret)
	f.Fuzz(func(t *testing.T, body []byte, header string, genuine bool) {
		right := "sha256=" + hex.EncodeToString(macOf(testSecret, string(body)))
		if genuine {
			header = right + header
		}
		err := s.Verify(&Request{Header: http.Header{"X-Hub-Signature-256": {header}}, Body: body}, testNow)
		agree(t, err, header == right, header, body)
	})
}

func FuzzVerifyHMACBase64(f *testing.F) {
	f.Add([]byte("{}"), "", true)
	f.Add([]byte(""), "=", true)
	f.Add([]byte("x"), "B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7g=", false)
	s := bind(f, "shopify", nil, testSecret)
	f.Fuzz(func(t *testing.T, body []byte, header string, genuine bool) {
		right := base64.StdEncoding.EncodeToString(macOf(testSecret, string(body)))
		if genuine {
			header = right + header
		}
		err := s.Verify(&Request{Header: http.Header{"X-Shopify-Hmac-Sha256": {header}}, Body: body}, testNow)
		agree(t, err, header == right, header, body)
	})
}

func FuzzVerifyTimestampList(f *testing.F) {
	f.Add([]byte("{}"), "1790000000", "", true)
	f.Add([]byte("{}"), "1790000000", ",v1=00,v0=1", true)
	f.Add([]byte("{}"), "1790000000", ",t=1790000000", true)
	f.Add([]byte("{}"), "+1790000000", "", true)
	f.Add([]byte(""), "", "t=1,v1=", false)
	s := bind(f, "stripe", nil, testSecret)
	f.Fuzz(func(t *testing.T, body []byte, ts, header string, genuine bool) {
		if genuine {
			header = "t=" + ts + ",v1=" + hex.EncodeToString(macOf(testSecret, ts+"."+string(body))) + header
		}
		err := s.Verify(&Request{Header: http.Header{"Stripe-Signature": {header}}, Body: body}, testNow)
		agree(t, err, stripeAccepts(header, string(body)), header, body)
	})
}

// stripeAccepts reads Stripe-Signature as Stripe's documentation describes it, and strictly.
func stripeAccepts(header, body string) bool {
	var times, signatures []string
	for item := range strings.SplitSeq(header, ",") {
		if v, ok := strings.CutPrefix(item, "t="); ok {
			times = append(times, v)
		}
		if v, ok := strings.CutPrefix(item, "v1="); ok && v != "" {
			signatures = append(signatures, v)
		}
	}
	if len(times) != 1 || len(signatures) == 0 || len(signatures) > maxItems || len(times[0]) == 0 || len(times[0]) > 15 {
		return false
	}
	var at int64
	for _, c := range times[0] {
		if c < '0' || c > '9' {
			return false
		}
		at = at*10 + int64(c-'0')
	}
	if d := testNow.Unix() - at; d > 300 || d < -300 {
		return false
	}
	right := hex.EncodeToString(macOf(testSecret, times[0]+"."+body))
	for _, sig := range signatures {
		if sig == right {
			return true
		}
	}
	return false
}

func FuzzVerifyStandardWebhooks(f *testing.F) {
	f.Add([]byte("{}"), "msg_1", "1790000000", "", true)
	f.Add([]byte("{}"), "msg_1", "1790000000", " v1,AAAA v2,x", true)
	f.Add([]byte("{}"), "msg.1", "01790000000", "", true)
	f.Add([]byte("{}"), "", "x", "v1a,", false)
	f.Add([]byte("0"), "0", "1", ",", true)
	s := bind(f, "standard-webhooks", nil, testWhsec)
	upstream, err := standardwebhooks.NewWebhook(testWhsec)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body []byte, id, ts, header string, genuine bool) {
		req := &Request{Header: http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {ts}, "Webhook-Signature": {header}}, Body: body}
		if genuine {
			signStandard(req.Header, ts, testWhsec, body)
			req.Header["Webhook-Signature"][0] += header
		}
		got := s.Verify(req, time.Time{})
		want := upstream.VerifyIgnoringTimestamp(body, req.Header)
		if got == nil && want != nil {
			// Upstream signs the number again instead of the text that was sent.
			if strings.TrimLeft(ts, "0") == ts {
				t.Fatalf("accepted what the library refuses: %v for %q", want, req.Header)
			}
			return
		}
		strict := id != "" && !strings.Contains(id, ".") && ts != "" && len(ts) <= 15 && strings.Trim(ts, "0123456789") == "" &&
			strings.TrimLeft(ts, "0") == ts && strings.Count(req.Header.Get("Webhook-Signature"), " ") < maxItems &&
			!strings.ContainsAny(req.Header.Get("Webhook-Signature"), "\r\n") &&
			!slices.ContainsFunc(strings.Split(req.Header.Get("Webhook-Signature"), " "), func(item string) bool {
				return strings.Count(item, ",") > 1 // upstream ignores what stands behind a second comma
			})
		if got != nil && want == nil && strict {
			t.Fatalf("refused what the library accepts: %v for %q", got, req.Header)
		}
	})
}

func FuzzVerifyToken(f *testing.F) {
	f.Add(testSecret, "Bearer ")
	f.Add(testSecret+" ", "Bearer ")
	f.Add("", "bearer ")
	s := bind(f, "token", map[string]string{"header": "Authorization", "prefix": "Bearer "}, testSecret, "second secret, during a rotation")
	f.Fuzz(func(t *testing.T, token, scheme string) {
		err := s.Verify(&Request{Header: http.Header{"Authorization": {scheme + token}}}, testNow)
		header := scheme + token
		agree(t, err, header == "Bearer "+testSecret || header == "Bearer second secret, during a rotation", header)
	})
}

func FuzzVerifyBasic(f *testing.F) {
	f.Add("Basic", "ada", "lovelace:1815")
	f.Add("bAsIc", "ada", "lovelace:1815")
	f.Add("Basic", "ada:lovelace", "1815")
	f.Add("Digest", "", "")
	s := bind(f, "basic", nil, "ada:lovelace:1815")
	f.Fuzz(func(t *testing.T, scheme, user, password string) {
		text := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
		r := &http.Request{Header: http.Header{"Authorization": {scheme + " " + text}}}
		u, p, ok := r.BasicAuth()
		err := s.Verify(&Request{Header: r.Header}, testNow)
		agree(t, err, ok && u == "ada" && p == "lovelace:1815", r.Header)
	})
}

func FuzzDescribe(f *testing.F) {
	f.Add([]byte(`{"type":"x","id":1}`), "application/json", "a=b")
	f.Add([]byte(`payload=%7B%22action%22%3A%22x%22%7D`), "application/x-www-form-urlencoded", "")
	var schemes []*Scheme
	for _, name := range Names() {
		p, _ := Get(name)
		schemes = append(schemes, bind(f, name, nil, p.NewSecret().Reveal()))
	}
	schemes = append(schemes, bind(f, "token", map[string]string{"type": "form:a#b,query:a,header:X", "id": "json:0.id,json:id+query:a"}, testSecret))
	f.Fuzz(func(t *testing.T, body []byte, contentType, query string) {
		req := &Request{Method: "POST", Query: query, Body: body, Header: http.Header{"Content-Type": {contentType}, "X": {query}, "X-Shopify-Topic": {query}}}
		for i, s := range schemes {
			d := s.Describe(req)
			if d.Type == "" || len(d.Type) > maxType || !utf8.ValidString(d.Type) || strings.ContainsAny(d.Type, " \r\n\x00") || strings.Contains(d.Type, "..") {
				t.Fatalf("scheme %d: type %q", i, d.Type)
			}
			if len(d.GivenID) > maxGivenID || !utf8.ValidString(d.GivenID) {
				t.Fatalf("scheme %d: id %q", i, d.GivenID)
			}
			if _, err := s.Receive(req, testNow); err == nil {
				t.Fatalf("scheme %d: accepted without a signature", i)
			}
		}
	})
}

func FuzzParameters(f *testing.F) {
	f.Add("X-Sig", "sha256=", "", "", "", "{body}", "", "json:type")
	f.Add("X-Sig", "", ",", "=", "v1", "{sig.t}.{body}", "sig.t", "form:a#b")
	f.Add("X-Sig", "", ";", ":", "h1", "{method}\n{url}{query:a}{ts}{body}", "header:X-T", "const:a+query:b")
	p, _ := Get("hmac")
	f.Fuzz(func(t *testing.T, header, prefix, list, pair, pick, content, timestamp, from string) {
		s, err := p.Bind(map[string]string{
			"header": header, "prefix": prefix, "list": list, "pair": pair, "pick": pick,
			"content": content, "timestamp": timestamp, "type": from,
		}, sealed(testSecret))
		if err != nil {
			return
		}
		req := &Request{Method: "POST", URL: "https://a.example/x?a=1", Query: "a=1", Header: http.Header{}, Body: []byte(`{"type":"x"}`)}
		s.Describe(req)
		if err := s.Sign(req, testNow); err != nil {
			return
		}
		if err := s.Verify(req, testNow); err != nil && !selfDefeating(header, list, pair, pick, content, timestamp) {
			t.Fatalf("what Sign made does not verify: %v, headers %q", err, req.Header)
		}
		if s.CoversBody() {
			req.Body = []byte(`{"type":"y"}`)
			if s.Verify(req, testNow) == nil {
				t.Fatal("a changed body is not noticed")
			}
		}
	})
}

// selfDefeating reports parameters that nobody can sign by: separators that occur in what they separate, or a header
// that is its own content.
func selfDefeating(header, list, pair, pick, content, timestamp string) bool {
	const written = "0123456789abcdef"
	return strings.ContainsAny(list+pair, written) || list != "" && strings.Contains(pick+pair, list) || pair != "" && strings.Contains(pick+timestamp, pair) ||
		pair != "" && timestamp == "sig."+pick || list == "" && strings.HasPrefix(timestamp, "sig.") ||
		strings.Contains(strings.ToLower(content+timestamp), strings.ToLower(header)) || strings.HasPrefix(list, pair) || strings.HasPrefix(pair, list)
}
