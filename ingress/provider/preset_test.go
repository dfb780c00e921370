package provider

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/store"
)

func TestPresetsAreTheOnesPromised(t *testing.T) {
	want := []string{"basic", "github", "gitlab", "hmac", "shopify", "slack", "standard-webhooks", "stripe", "token"}
	if got := Names(); !slices.Equal(got, want) {
		t.Errorf("Names() = %v, want %v", got, want)
	}
	if _, ok := Get("nobody"); ok {
		t.Error(`Get("nobody") finds a preset`)
	}
}

func TestEveryPresetWorksWithASecretItMakesUp(t *testing.T) {
	for _, name := range Names() {
		p, _ := Get(name)
		secret := p.NewSecret()
		if secret == p.NewSecret() || len(secret.Reveal()) < 2*shortSecret {
			t.Errorf("%s: NewSecret() is short, or twice the same", name)
		}
		problems, warnings := p.Validate(nil, []store.Secret{secret})
		if len(problems)+len(warnings) > 0 {
			t.Errorf("%s: problems %v, warnings %v", name, problems, warnings)
		}
		s := bind(t, name, nil, secret.Reveal())
		if d := s.Deadline(); d < 3*time.Second || d > 30*time.Second {
			t.Errorf("%s: deadline %v", name, d)
		}
		if s.OK() != (Reply{Status: 200}) || s.InvalidStatus() != 401 || !slices.Equal(s.Methods(), []string{"POST"}) {
			t.Errorf("%s: answers %v and %d, methods %v", name, s.OK(), s.InvalidStatus(), s.Methods())
		}
		if covers := !slices.Contains([]string{"gitlab", "token", "basic"}, name); s.CoversBody() != covers {
			t.Errorf("%s: CoversBody() = %v", name, s.CoversBody())
		}
		if p.Title == "" || !strings.HasPrefix(p.Docs, "https://") || len(p.Samples()) == 0 {
			t.Errorf("%s: no title, documentation or samples", name)
		}
	}
}

func TestEverySampleIsAcceptedAndNamesItsEvent(t *testing.T) {
	for _, name := range Names() {
		p, _ := Get(name)
		s := bind(t, name, nil, p.NewSecret().Reveal())
		for _, sample := range p.Samples() {
			req, again := sample.Request(testNow), sample.Request(testNow)
			if err := s.Sign(req, testNow); err != nil {
				t.Fatalf("%s %s: %v", name, sample.Event, err)
			}
			reply, err := s.Receive(req, testNow.Add(time.Second))
			if err != nil || (reply != nil) != (sample.Event == "url_verification") {
				t.Errorf("%s %s: Receive() = %v, %v", name, sample.Event, reply, err)
			}
			d := s.Describe(req)
			if d.Type != sample.Event {
				t.Errorf("%s %s: type %q", name, sample.Event, d.Type)
			}
			generic := slices.Contains([]string{"hmac", "token", "basic"}, name)
			if id := s.Describe(again).GivenID; sample.Event != "url_verification" && ((d.GivenID == "") != generic || !generic && d.GivenID == id) {
				t.Errorf("%s %s: ids %q and %q, want two", name, sample.Event, d.GivenID, id)
			}
			if strings.Contains(sample.ContentType, "json") && !json.Valid(req.Body) {
				t.Errorf("%s %s: body is not JSON", name, sample.Event)
			}
			if bytes.Contains(req.Body, []byte("$")) {
				t.Errorf("%s %s: a variable is left in the body", name, sample.Event)
			}
		}
		if _, ok := p.Sample("no.such.event"); ok {
			t.Errorf("%s: finds a sample that is not there", name)
		}
	}
}

func TestSignersAgreeWithTheReference(t *testing.T) {
	for _, s := range subjects {
		byEngine, byReference := s.request(seconds(testNow)), s.request(seconds(testNow))
		byEngine.Header.Del(s.signature)
		if err := s.scheme(t).Sign(byEngine, testNow); err != nil {
			t.Fatalf("%s: %v", s.name(), err)
		}
		if !maps.EqualFunc(byEngine.Header, byReference.Header, slices.Equal) {
			t.Errorf("%s: Sign set %v, want %v", s.name(), byEngine.Header, byReference.Header)
		}
	}
}

func TestSecretsNeverReachWhatIsKept(t *testing.T) {
	for _, s := range subjects {
		req := s.request(seconds(testNow))
		req.Header.Set("Cookie", "session=1")
		for name, value := range s.scheme(t).Describe(req).Headers {
			if strings.Contains(value, s.secret) || strings.Contains(value, req.Header.Get(s.signature)) || name == "cookie" {
				t.Errorf("%s: keeps header %s", s.name(), name)
			}
		}
	}
}

func TestKeptHeaders(t *testing.T) {
	s := bind(t, "github", nil, testSecret)
	got := s.Describe(&Request{Header: http.Header{
		"X-Github-Event": {"push"}, "X-Github-Delivery": {"d\xff"}, "Content-Encoding": {"gzip"}, "X-Other": {"1"}, "Authorization": {"x"},
	}}).Headers
	want := map[string]string{"x-github-event": "push", "x-github-delivery": "d\uFFFD", "content-encoding": "gzip"}
	if !maps.Equal(got, want) {
		t.Errorf("headers %v, want %v", got, want)
	}
	if got := s.Describe(&Request{Header: http.Header{}}).Headers; got != nil {
		t.Errorf("headers %v, want none", got)
	}
}

func TestTheConfiguredSecretChoosesTheScheme(t *testing.T) {
	byToken, bySignature := subjects[6], subjects[5]
	if byToken.signature != "X-Gitlab-Token" || bySignature.preset != "gitlab" {
		t.Fatal("the subjects moved")
	}
	both := bind(t, "gitlab", nil, byToken.secret, bySignature.secret)
	for _, s := range []subject{byToken, bySignature} {
		if err := both.Verify(s.request(seconds(testNow)), testNow); err != nil {
			t.Errorf("both configured, %s: %v", s.name(), err)
		}
	}
	if err := byToken.scheme(t).Verify(bySignature.request(seconds(testNow)), testNow); err == nil {
		t.Error("a signature is accepted where a token is configured")
	}
	req := byToken.request(seconds(testNow))
	req.Header.Set("X-Gitlab-Token", bySignature.secret)
	if err := bySignature.scheme(t).Verify(req, testNow); err == nil {
		t.Error("a token is accepted where a signature is configured")
	}
}

func TestTheBodyIsCoveredOnlyIfEveryConfiguredSchemeCoversIt(t *testing.T) {
	const public = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
	for _, tt := range []struct {
		preset  string
		secrets []string
		want    bool
	}{
		{"gitlab", []string{testWhsec}, true},
		{"gitlab", []string{testSecret}, false},
		{"gitlab", []string{testWhsec, testSecret}, false},
		{"standard-webhooks", []string{testWhsec, public}, true},
	} {
		if got := bind(t, tt.preset, nil, tt.secrets...).CoversBody(); got != tt.want {
			t.Errorf("%s with %d secrets: CoversBody() = %v, want %v", tt.preset, len(tt.secrets), got, tt.want)
		}
	}
}

func TestTheMostTellingReasonIsReported(t *testing.T) {
	both := bind(t, "gitlab", nil, testSecret, testWhsec)
	req := &Request{Method: http.MethodPost, Header: http.Header{}}
	wantReason(t, both.Verify(req, testNow), ReasonMissing)
	req.Header.Set("X-Gitlab-Token", "wrong")
	wantReason(t, both.Verify(req, testNow), ReasonMismatch)
	stale := subjects[5].request("1")
	wantReason(t, both.Verify(stale, testNow), ReasonTooOld)
	wantReason(t, both.Verify(subjects[5].request("99999999999"), testNow), ReasonFuture)
	stale.Header.Add("Webhook-Id", "msg_2")
	wantReason(t, both.Verify(stale, testNow), ReasonRepeated)
	_, err := both.Receive(&Request{Method: http.MethodGet, Header: http.Header{}}, testNow)
	wantReason(t, err, ReasonMethod)
}

func wantReason(t *testing.T, err error, want Reason) {
	t.Helper()
	var inv *InvalidError
	if !errors.As(err, &inv) || inv.Reason != want || inv.Error() == "" {
		t.Errorf("error %v, want reason %s", err, want)
	}
}
