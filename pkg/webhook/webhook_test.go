package webhook

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	upstream "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const (
	secretA = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	secretB = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
	private = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	public  = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
)

var now = time.Unix(1_790_000_000, 0)

func newSigner(tb testing.TB, secrets ...string) *Signer {
	tb.Helper()
	s, err := NewSigner(secrets...)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// signed returns the headers of a webhook.
func signed(tb testing.TB, s *Signer, id string, at time.Time, body []byte) http.Header {
	tb.Helper()
	signature, err := s.Sign(id, at, body)
	if err != nil {
		tb.Fatal(err)
	}
	h := http.Header{}
	h.Set(HeaderID, id)
	h.Set(HeaderTimestamp, strconv.FormatInt(at.Unix(), 10))
	h.Set(HeaderSignature, signature)
	return h
}

func TestWhatIsSignedVerifies(t *testing.T) {
	t.Parallel()
	body := []byte("\x00\xff body")
	generated, generatedPublic := GenerateKeyPair()
	shared := GenerateSecret()
	tests := []struct {
		name         string
		sign, verify []string
	}{
		{"with a shared secret", []string{secretA}, []string{secretA}},
		{"with a generated secret", []string{shared}, []string{shared}},
		{"with a key pair", []string{private}, []string{public}},
		{"with a generated key pair", []string{generated}, []string{generatedPublic}},
		{"with the private key itself", []string{private}, []string{private}},
		{"while the receiver still has the old secret", []string{secretB, secretA}, []string{secretA}},
		{"while the receiver has the new secret already", []string{secretB, secretA}, []string{secretB}},
		{"while the receiver has both and the sender the old one", []string{secretA}, []string{secretB, secretA}},
		{"while key pairs are rotated", []string{private, generated}, []string{generatedPublic}},
		{"on the way from a secret to a key pair", []string{secretA, private}, []string{public}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := signed(t, newSigner(t, tt.sign...), "msg_1", now, body)
			if err := Verify(h, body, now, tt.verify...); err != nil {
				t.Errorf("Verify = %v, want valid", err)
			}
			if err := Verify(h, append([]byte("x"), body...), now, tt.verify...); !errors.Is(err, ErrSignature) {
				t.Errorf("Verify of another body = %v, want ErrSignature", err)
			}
		})
	}
}

func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	body := []byte("{}")
	tests := []struct {
		name   string
		change func(h http.Header)
		now    time.Time
		want   error
	}{
		{"nothing", func(http.Header) {}, now, nil},
		{"300 s old", func(http.Header) {}, now.Add(300 * time.Second), nil},
		{"301 s old", func(http.Header) {}, now.Add(301 * time.Second), ErrTimestamp},
		{"300 s ahead", func(http.Header) {}, now.Add(-300 * time.Second), nil},
		{"301 s ahead", func(http.Header) {}, now.Add(-301 * time.Second), ErrTimestamp},
		{"a clock before 1970", func(http.Header) {}, time.Unix(-1<<62, 0), ErrTimestamp},
		{"the largest timestamp", func(h http.Header) { h.Set(HeaderTimestamp, "9223372036854775807") }, now, ErrTimestamp},
		{"a larger timestamp", func(h http.Header) { h.Set(HeaderTimestamp, "9223372036854775808") }, now, ErrHeader},
		{"a plus sign", func(h http.Header) { h.Set(HeaderTimestamp, "+1790000000") }, now, ErrHeader},
		{"leading zeros", func(h http.Header) { h.Set(HeaderTimestamp, "001790000000") }, now, ErrHeader},
		{"a negative timestamp", func(h http.Header) { h.Set(HeaderTimestamp, "-1") }, now, ErrHeader},
		{"two ids", func(h http.Header) { h.Add(HeaderID, "msg_1") }, now, ErrHeader},
		{"two timestamps", func(h http.Header) { h.Add(HeaderTimestamp, "1790000000") }, now, ErrHeader},
		{"no id", func(h http.Header) { h.Del(HeaderID) }, now, ErrHeader},
		{"no signature", func(h http.Header) { h.Del(HeaderSignature) }, now, ErrHeader},
		{"a space in the id", func(h http.Header) { h.Set(HeaderID, "msg 1") }, now, ErrHeader},
		{"signatures on two lines", func(h http.Header) {
			h[http.CanonicalHeaderKey(HeaderSignature)] = []string{"v1,AAAA", h.Get(HeaderSignature)}
		}, now, nil},
		{"ours as the last of 32 entries", func(h http.Header) {
			h.Set(HeaderSignature, strings.Repeat("v1,AAAA ", 31)+h.Get(HeaderSignature))
		}, now, nil},
		{"ours as the first of 33 entries", func(h http.Header) {
			h.Set(HeaderSignature, h.Get(HeaderSignature)+strings.Repeat(" v1,AAAA", 32))
		}, now, ErrHeader},
		{"another id", func(h http.Header) { h.Set(HeaderID, "msg_2") }, now, ErrSignature},
		{"another time", func(h http.Header) { h.Set(HeaderTimestamp, "1790000001") }, now, ErrSignature},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := signed(t, newSigner(t, secretA), "msg_1", now, body)
			tt.change(h)
			if err := Verify(h, body, tt.now, secretA); !errors.Is(err, tt.want) {
				t.Errorf("Verify = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestSecretsThatAreNone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, secret, sign, verify string // what the errors say; empty: taken
	}{
		{"nothing", "", "secret without prefix", "secret is empty"},
		{"no prefix", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "secret without prefix", ""},
		{"16 bytes", "whsec_bXlzZWNyZXRrZXkxMjM0NQ==", "secret has 16 bytes, want 24 to 75", ""},
		{"76 bytes", "whsec_" + strings.Repeat("AAAA", 25) + "AA==", "secret has 76 bytes, want 24 to 75", ""},
		{"a public key", public, "a public key cannot sign", ""},
		{"no base64", "whsec_s3cret!", "not base64", "not base64"},
		{"halves that do not belong together", "whsk_" + strings.Repeat("A", 86) + "==", "does not belong", "does not belong"},
		{"a short private key", "whsk_AAAA", "private key has 3 bytes, want 32 or 64", "private key has 3 bytes"},
		{"a short public key", "whpk_AAAA", "public key: want 32 bytes", "public key: want 32 bytes"},
		{"a secret without end", "whsec_" + strings.Repeat("A", 2000), "secret has 2006 characters", "secret has 2006 characters"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := NewSigner(secretA, tt.secret)
			wantSecretError(t, "NewSigner", err, tt.sign, tt.secret)
			_, err = NewVerifier(secretA, tt.secret)
			wantSecretError(t, "NewVerifier", err, tt.verify, tt.secret)
		})
	}
	if _, err := NewSigner(); err == nil {
		t.Error("NewSigner without secrets = nil, want an error")
	}
	if _, err := NewVerifier(); err == nil {
		t.Error("NewVerifier without secrets = nil, want an error")
	}
}

func wantSecretError(t *testing.T, what string, err error, want, secret string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s = %v, want nil", what, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "2 of 2")):
		t.Errorf("%s = %v, want one about secret 2 of 2 with %q", what, err, want)
	case err != nil && len(secret) > 12 && strings.Contains(err.Error(), secret[6:12]):
		t.Errorf("%s = %v tells the secret", what, err)
	}
}

func TestPublicKey(t *testing.T) {
	t.Parallel()
	if got, err := PublicKey(private); err != nil || got != public {
		t.Errorf("PublicKey = %q, %v, want %q", got, err, public)
	}
	// The seed alone, from a vector that names both.
	if got, err := PublicKey("whsk_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="); err != nil || got != "whpk_wuzPrKxPfWpJSsXgyg/MEoMGvjs5SjDO4ad6X4ZYqqg=" {
		t.Errorf("PublicKey of a seed = %q, %v", got, err)
	}
	for _, secret := range []string{secretA, public, "x"} {
		if got, err := PublicKey(secret); err == nil {
			t.Errorf("PublicKey(%q) = %q, want an error", secret, got)
		}
	}
}

func TestConcurrentSigningAndVerifying(t *testing.T) {
	t.Parallel()
	s := newSigner(t, secretA, private)
	v, err := NewVerifier(secretA)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			body := []byte(strings.Repeat("x", i*1000))
			id := "msg_" + strconv.Itoa(i)
			for range 50 {
				if err := v.Verify(signed(t, s, id, now, body), body, now); err != nil {
					t.Errorf("Verify(%s) = %v", id, err)
				}
			}
		})
	}
	wg.Wait()
}

// FuzzSign holds shared secrets against the library of the specification's authors.
func FuzzSign(f *testing.F) {
	f.Add("msg_1", int64(1_790_000_000), []byte("body"))
	f.Add("a", int64(0), []byte(nil))
	s := newSigner(f, secretA)
	oracle, err := upstream.NewWebhook(secretA)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id string, seconds int64, body []byte) {
		at := time.Unix(seconds, 0)
		got, err := s.Sign(id, at, body)
		if err != nil {
			if !errors.Is(err, ErrID) {
				t.Fatal(err)
			}
			return
		}
		want, err := oracle.Sign(id, at, body)
		if err != nil || got != want {
			t.Fatalf("Sign(%q, %d, %q) = %s, upstream %s, %v", id, seconds, body, got, want, err)
		}
		if seconds < 0 {
			return // no receiver takes these
		}
		if err := oracle.VerifyIgnoringTimestamp(body, signed(t, s, id, at, body)); err != nil {
			t.Fatalf("upstream refuses it: %v", err)
		}
	})
}

// FuzzVerify checks that upstream takes whatever is taken here: nothing is accepted that it would refuse.
func FuzzVerify(f *testing.F) {
	h := signed(f, newSigner(f, secretA), "msg_1", now, []byte("body"))
	f.Add(h.Get(HeaderID), h.Get(HeaderTimestamp), h.Get(HeaderSignature), []byte("body"))
	f.Add("msg_1", "1790000000", "v1,  v1a,AA== v2,x "+h.Get(HeaderSignature), []byte("body"))
	oracle, err := upstream.NewWebhook(secretA)
	if err != nil {
		f.Fatal(err)
	}
	v, err := NewVerifier(secretA, public)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, timestamp, signature string, body []byte) {
		h := http.Header{}
		h.Set(HeaderID, id)
		h.Set(HeaderTimestamp, timestamp)
		h.Set(HeaderSignature, signature)
		if err := v.Verify(h, body, now); err != nil {
			return
		}
		if err := oracle.VerifyIgnoringTimestamp(body, h); err != nil {
			t.Fatalf("taken, upstream: %v", err)
		}
	})
}

func FuzzSecret(f *testing.F) {
	for _, s := range []string{secretA, private, public, "whsec_", "whsk_AAAA", "whpk_MCowBQYDK2VwAyEAkp3dScDPIzT1CwUFUMdzyPbWOAQaCF9z4ucuKuZD7Io="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, secret string) {
		s, err := NewSigner(secret)
		if err != nil {
			return
		}
		h := signed(t, s, "msg_1", now, []byte("body"))
		if err := Verify(h, []byte("body"), now, secret); err != nil {
			t.Fatalf("what %q signs it does not verify: %v", secret, err)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	for _, bench := range []struct {
		name    string
		secrets []string
	}{{"one secret", []string{secretA}}, {"two secrets", []string{secretA, secretB}}, {"key pair", []string{private}}} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			s := newSigner(b, bench.secrets...)
			body := make([]byte, 1024)
			for b.Loop() {
				if _, err := s.Sign("evt_01km6kk87v00000000000000002", now, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	b.ReportAllocs()
	body := make([]byte, 1024)
	h := signed(b, newSigner(b, secretA), "msg_1", now, body)
	v, err := NewVerifier(secretA)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := v.Verify(h, body, now); err != nil {
			b.Fatal(err)
		}
	}
}
