package egress

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/pkg/webhook"
	"github.com/sluicehq/sluice/store"
)

const (
	secretOld = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="
	secretNew = "whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
)

// deliver sends e's event to endpoint, whose URL becomes a receiver's with what stands in it as the rest, and returns
// what arrived.
func deliver(t *testing.T, endpoint *store.Endpoint, change func(a *Attempt)) arrival {
	t.Helper()
	url, arrivals := startReceiver(t, nil)
	endpoint.URL = url + endpoint.URL
	a := &Attempt{Event: newEvent(`{"n":1}`), Endpoint: endpoint, Number: 3}
	if change != nil {
		change(a)
	}
	if res := newSender(t, options{}).Send(t.Context(), a); res.Outcome != OutcomeDelivered {
		t.Fatalf("Send = %+v", res)
	}
	return <-arrivals
}

func TestARequestSaysWhatItIs(t *testing.T) {
	t.Parallel()
	endpoint := endpointAt("/hooks/in?token=t")
	endpoint.Headers = map[string]string{"X-Team": "billing"}
	var id string
	got := deliver(t, endpoint, func(a *Attempt) { id = a.Event.ID.String() })
	if got.Method != http.MethodPost || got.RequestURI != "/hooks/in?token=t" || got.Proto != "HTTP/1.1" || "http://"+got.Host != strings.TrimSuffix(endpoint.URL, "/hooks/in?token=t") {
		t.Errorf("request line %s %s %s, host %s", got.Method, got.RequestURI, got.Proto, got.Host)
	}
	for name, want := range map[string]string{
		"Webhook-Id": id, "Content-Type": "application/json", "User-Agent": "Sluice/1.2.3", "Sluice-Event-Type": "push", "Sluice-Source": "github",
		"Sluice-Attempt": "3", "X-Team": "billing", "Content-Length": "7",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.Header.Get(name), want)
		}
	}
	for _, name := range []string{"Webhook-Signature", "Authorization", "Accept-Encoding", "Traceparent", "Expect"} {
		if v, there := got.Header[name]; there {
			t.Errorf("%s: %q, want none", name, v)
		}
	}
	if string(got.body) != `{"n":1}` {
		t.Errorf("body %q", got.body)
	}
}

func TestTheBodyArrivesByteForByte(t *testing.T) {
	t.Parallel()
	for name, body := range map[string][]byte{
		"nothing": {}, "every byte": everyByte, "as much as goes with the head": bytes.Repeat(everyByte, inlineBody/256),
		"a byte more": append(bytes.Repeat(everyByte, inlineBody/256), 0), "1 MiB": bytes.Repeat(everyByte, 4096),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint := endpointAt("/")
			endpoint.Secrets = []store.SigningSecret{{Secret: secretNew}}
			kept := bytes.Clone(body)
			got := deliver(t, endpoint, func(a *Attempt) { a.Event.Body = body })
			if !bytes.Equal(got.body, kept) || !bytes.Equal(body, kept) {
				t.Errorf("%d bytes arrived, want the %d sent", len(got.body), len(kept))
			}
			if err := webhook.Verify(got.Header, got.body, time.Now(), secretNew); err != nil {
				t.Errorf("Verify = %v", err)
			}
		})
	}
}

func TestEverySecretInForceSigns(t *testing.T) {
	t.Parallel()
	private, public := webhook.GenerateKeyPair()
	endpoint := endpointAt("/")
	endpoint.Secrets = []store.SigningSecret{
		{Secret: secretNew},
		{Secret: secretOld, Until: time.Now().Add(time.Hour)},
		{Secret: store.Secret(private)},
		{Secret: "whsec_cmV0aXJlZCByZXRpcmVkIHJldGlyZWQgcmV0aXJlZA==", Until: time.Now().Add(-time.Second)},
	}
	got := deliver(t, endpoint, nil)
	for _, secret := range []string{secretNew, secretOld, public} {
		if err := webhook.Verify(got.Header, got.body, time.Now(), secret); err != nil {
			t.Errorf("Verify with %s… = %v", secret[:8], err)
		}
	}
	if err := webhook.Verify(got.Header, got.body, time.Now(), "whsec_cmV0aXJlZCByZXRpcmVkIHJldGlyZWQgcmV0aXJlZA=="); err == nil {
		t.Error("the retired secret signed too")
	}
	entries := strings.Split(got.Header.Get("webhook-signature"), " ")
	if len(entries) != 3 || !strings.HasPrefix(entries[0], "v1,") || !strings.HasPrefix(entries[2], "v1a,") {
		t.Errorf("webhook-signature: %q, want v1, v1 and v1a", entries)
	}

	// The same without pkg/webhook.
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secretNew, "whsec_"))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(got.Header.Get("webhook-id") + "." + got.Header.Get("webhook-timestamp") + "." + string(got.body)))
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); entries[0] != want {
		t.Errorf("first signature %s, want %s", entries[0], want)
	}
}

func TestASecretStopsSigningWhenItRetires(t *testing.T) {
	t.Parallel()
	now := time.Now()
	endpoint := endpointAt("https://example.com/")
	endpoint.Secrets = []store.SigningSecret{{Secret: secretNew}, {Secret: secretOld, Until: now.Add(time.Hour)}}
	s := newSender(t, options{})
	signatures := func(at time.Time) int {
		head, err := s.targets.get(endpoint, at).appendRequest(nil, &Attempt{Event: newEvent(""), Endpoint: endpoint, Number: 1}, at)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Count(head, []byte("v1,"))
	}
	for _, c := range []struct {
		after time.Duration
		want  int
	}{{0, 2}, {time.Hour - 1, 2}, {time.Hour, 1}, {2 * time.Hour, 1}} {
		if got := signatures(now.Add(c.after)); got != c.want {
			t.Errorf("%d signatures after %v, want %d", got, c.after, c.want)
		}
	}
}

func TestAuth(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		auth         store.Auth
		header, want string
	}{
		"none":           {store.Auth{Kind: store.AuthNone}, "Authorization", ""},
		"unset":          {store.Auth{}, "Authorization", ""},
		"basic":          {store.Auth{Kind: store.AuthBasic, Username: "Aladdin", Secret: "open sesame"}, "Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
		"bearer":         {store.Auth{Kind: store.AuthBearer, Secret: "tok"}, "Authorization", "Bearer tok"},
		"header":         {store.Auth{Kind: store.AuthHeader, Header: "X-Api-Key", Secret: "k"}, "X-Api-Key", "k"},
		"before headers": {store.Auth{Kind: store.AuthHeader, Header: "x-team", Secret: "auth"}, "X-Team", "auth"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint := endpointAt("/")
			endpoint.Auth = c.auth
			endpoint.Headers = map[string]string{"X-Team": "billing"}
			got := deliver(t, endpoint, nil)
			if values := got.Header.Values(c.header); strings.Join(values, "|") != c.want {
				t.Errorf("%s: %q, want %q", c.header, values, c.want)
			}
		})
	}
}

func TestForwarding(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		url         string
		forward     store.Forward
		path, query string
		want        string
	}{
		"nothing unless asked":              {"/in?a=b", store.Forward{}, "/x", "c=d", "/in?a=b"},
		"query":                             {"/in", store.Forward{Query: true}, "/x", "c=d", "/in?c=d"},
		"query behind the endpoint's":       {"/in?a=b", store.Forward{Query: true}, "/x", "c=d", "/in?a=b&c=d"},
		"empty query":                       {"/in", store.Forward{Query: true}, "", "", "/in"},
		"path":                              {"/in", store.Forward{Path: true}, "/x/y", "c=d", "/in/x/y"},
		"path to a URL that ends in slash":  {"/in/", store.Forward{Path: true}, "/x", "", "/in/x"},
		"path to a URL without one":         {"", store.Forward{Path: true}, "/x", "", "/x"},
		"path without its slash":            {"/in", store.Forward{Path: true}, "x", "", "/in/x"},
		"empty path":                        {"/in/", store.Forward{Path: true}, "", "", "/in/"},
		"both":                              {"/in?a=b", store.Forward{Path: true, Query: true}, "/x", "c=d", "/in/x?a=b&c=d"},
		"line ends and spaces are encoded":  {"/in", store.Forward{Path: true, Query: true}, "/a b\r\nx", "c=d e\r\n#f", "/in/a%20b%0D%0Ax?c=d%20e%0D%0A%23f"},
		"what is encoded stays":             {"/in", store.Forward{Path: true, Query: true}, "/a%20b%", "c=%2F%zz", "/in/a%20b%25?c=%2F%25zz"},
		"letters outside ASCII are encoded": {"/in", store.Forward{Path: true}, "/ü", "", "/in/%C3%BC"},
		"question mark in a path":           {"/in", store.Forward{Path: true}, "/a?b", "", "/in/a%3Fb"},
		"dots in names":                     {"/in", store.Forward{Path: true}, "/a..b/.c/d.", "", "/in/a..b/.c/d."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint := endpointAt(c.url)
			endpoint.Forward = c.forward
			got := deliver(t, endpoint, func(a *Attempt) { a.Event.Path, a.Event.Query = c.path, c.query })
			if got.RequestURI != c.want {
				t.Errorf("request for %s, want %s", got.RequestURI, c.want)
			}
		})
	}
}

func TestAPathThatLeavesTheEndpointsIsRefused(t *testing.T) {
	t.Parallel()
	endpoint := endpointAt("http://127.0.0.1:1/in/")
	endpoint.Forward.Path = true
	s := newSender(t, options{})
	for _, path := range []string{
		"/..", "/../admin", "/a/../../admin", "/.", "..", "/%2e%2e/admin", "/.%2E/admin", "/a%2f..%2f..%2fadmin", `/..\admin`, "/..%5cadmin", "/..;/admin", "/a/..;x=y/admin",
	} {
		e := newEvent("")
		e.Path = path
		if res := s.Send(t.Context(), &Attempt{Event: e, Endpoint: endpoint, Number: 1}); res.Outcome != OutcomeRefused {
			t.Errorf("path %s: %v (%s), want refused", path, res.Outcome, res.Error)
		}
	}
}

func TestForwardedHeadersCannotOverrideOurs(t *testing.T) {
	t.Parallel()
	endpoint := endpointAt("/")
	endpoint.Forward.Headers = true
	endpoint.Headers = map[string]string{"X-Team": "billing"}
	endpoint.Auth = store.Auth{Kind: store.AuthBearer, Secret: "ours"}
	got := deliver(t, endpoint, func(a *Attempt) {
		a.Event.Headers = map[string]string{
			"x-github-event": "push", "x-note": "a\r\nx-evil: 1\x00", "x-team": "evil", "authorization": "evil", "webhook-id": "evil", "webhook-signature": "evil",
			"content-length": "0", "transfer-encoding": "chunked", "connection": "close", "host": "evil", "content-type": "evil", "user-agent": "evil",
			"sluice-attempt": "evil", "proxy-authorization": "evil", "bad name": "evil", "": "evil", "x\r\ny": "evil",
		}
	})
	for name, want := range map[string]string{
		"X-Github-Event": "push", "X-Note": "a  x-evil: 1", "X-Team": "billing", "Authorization": "Bearer ours", "Sluice-Attempt": "3",
		"Content-Type": "application/json", "User-Agent": "Sluice/1.2.3", "X-Evil": "", "Webhook-Signature": "",
	} {
		if v := strings.Join(got.Header.Values(name), "|"); v != want {
			t.Errorf("%s: %q, want %q", name, v, want)
		}
	}
	for name, values := range got.Header {
		if strings.Contains(strings.Join(values, ""), "evil") && name != "X-Note" {
			t.Errorf("%s: %q", name, values)
		}
	}
}

func TestHeaderValuesAreMadeSafe(t *testing.T) {
	t.Parallel()
	got := deliver(t, endpointAt("/"), func(a *Attempt) {
		a.Event.Type, a.Event.Source = "päy\r\nx-evil: 1", " 100% "
		a.Event.ContentType = "text/plain\r\nx-evil: 1"
	})
	for name, want := range map[string]string{
		"Sluice-Event-Type": "p%C3%A4y%0D%0Ax-evil: 1", "Sluice-Source": "%20100%25%20", "Content-Type": "text/plain  x-evil: 1", "X-Evil": "",
	} {
		if got.Header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.Header.Get(name), want)
		}
	}
}

func TestEndpointsHeadersMayReplaceContentTypeAndUserAgent(t *testing.T) {
	t.Parallel()
	endpoint := endpointAt("/")
	endpoint.Headers = map[string]string{"content-type": "application/x-own", "User-agent": "own"}
	got := deliver(t, endpoint, nil)
	if ct, ua := got.Header.Values("Content-Type"), got.Header.Values("User-Agent"); len(ct) != 1 || ct[0] != "application/x-own" || len(ua) != 1 || ua[0] != "own" {
		t.Errorf("content-type %q, user-agent %q, want the endpoint's own alone", ct, ua)
	}
}

func TestAnEndpointThatCannotBeSentToIsRefused(t *testing.T) {
	t.Parallel()
	const canary = "c4n4ry"
	s := newSender(t, options{})
	for name, change := range map[string]func(e *store.Endpoint){
		"host header":            func(e *store.Endpoint) { e.Headers = map[string]string{"Host": canary} },
		"content-length":         func(e *store.Endpoint) { e.Headers = map[string]string{"content-length": canary} },
		"signature":              func(e *store.Endpoint) { e.Headers = map[string]string{"Webhook-Signature": canary} },
		"header name":            func(e *store.Endpoint) { e.Headers = map[string]string{"a b": canary} },
		"line end in a header":   func(e *store.Endpoint) { e.Headers = map[string]string{"a": canary + "\r\nb: c"} },
		"long header":            func(e *store.Endpoint) { e.Headers = map[string]string{"a": strings.Repeat(canary, 2000)} },
		"line end in a token":    func(e *store.Endpoint) { e.Auth = store.Auth{Kind: store.AuthBearer, Secret: canary + "\n"} },
		"auth header":            func(e *store.Endpoint) { e.Auth = store.Auth{Kind: store.AuthHeader, Header: "host", Secret: canary} },
		"auth header of no name": func(e *store.Endpoint) { e.Auth = store.Auth{Kind: store.AuthHeader, Secret: canary} },
		"unknown auth":           func(e *store.Endpoint) { e.Auth = store.Auth{Kind: "magic", Secret: canary} },
		"secret that is none":    func(e *store.Endpoint) { e.Secrets = []store.SigningSecret{{Secret: canary}} },
		"short secret":           func(e *store.Endpoint) { e.Secrets = []store.SigningSecret{{Secret: "whsec_" + canary + "AA"}} },
		"URL that is none":       func(e *store.Endpoint) { e.URL = canary },
		"URL with a password":    func(e *store.Endpoint) { e.URL = "http://u:" + canary + "@127.0.0.1/" },
	} {
		endpoint := endpointAt("http://127.0.0.1:1/")
		change(endpoint)
		res := send(t, s, endpoint)
		if res.Outcome != OutcomeRefused || res.Connected || strings.Contains(res.Error, canary) {
			t.Errorf("%s: %v (%s), want refused without %s", name, res.Outcome, res.Error, canary)
		}
		checkResult(t, res)
	}
}

func TestTargetsFollowTheEndpointsObject(t *testing.T) {
	t.Parallel()
	s := newSender(t, options{})
	first, second := endpointAt("http://127.0.0.1:1/first"), endpointAt("http://127.0.0.1:1/second")
	now := time.Now()
	one := s.targets.get(first, now)
	if s.targets.get(first, now) != one {
		t.Error("the same object was prepared twice")
	}
	if got := s.targets.get(second, now); got.path != "/second" {
		t.Errorf("after the endpoint changed requests go to %s", got.path)
	}
	for i := range maxTargets + 10 {
		e := endpointAt("http://127.0.0.1:1/")
		e.ID = store.EndpointID(i)
		s.targets.get(e, now)
	}
	if n := len(s.targets.byID); n != maxTargets {
		t.Errorf("%d targets kept, want %d", n, maxTargets)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add("push", "github", "application/json", "/a/../b", "x=1 2", "x-h", "v\r\nw: x")
	f.Add("ü\r\n", " ", "\x00", "%2e%2e", "#", "\r\n", "")
	s := newSender(f, options{})
	endpoint := endpointAt("http://127.0.0.1:1/in?a=b")
	endpoint.Forward = store.Forward{Headers: true, Path: true, Query: true}
	want, err := s.targets.get(endpoint, time.Now()).appendRequest(nil, &Attempt{Event: newEvent(""), Endpoint: endpoint, Number: 1}, time.Now())
	if err != nil {
		f.Fatal(err)
	}
	lines := bytes.Count(want, []byte("\n"))
	f.Fuzz(func(t *testing.T, typ, source, contentType, path, query, name, value string) {
		e := newEvent("")
		e.Type, e.Source, e.ContentType, e.Path, e.Query, e.Headers = typ, source, contentType+"x", path, query, map[string]string{name: value}
		head, err := s.targets.get(endpoint, time.Now()).appendRequest(nil, &Attempt{Event: e, Endpoint: endpoint, Number: 1}, time.Now())
		if err != nil {
			return
		}
		// No value may add a line, whatever it holds: that is one for the forwarded header at most.
		if got := bytes.Count(head, []byte("\n")); got > lines+1 || got != bytes.Count(head, []byte("\r\n")) || got != bytes.Count(head, []byte("\r")) {
			t.Fatalf("%d lines, want %d or %d: %q", got, lines, lines+1, head)
		}
		uri, _, _ := bytes.Cut(head, []byte(" HTTP/1.1\r\n"))
		uri = bytes.TrimPrefix(uri, []byte("POST "))
		if !bytes.HasPrefix(uri, []byte("/in")) || bytes.ContainsAny(uri, " #\x00") || bytes.ContainsFunc(uri, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Fatalf("request for %q", uri)
		}
	})
}
