package webhook

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// vectors are cases of the specification's libraries and of Svix; each names its origin.
type vectors struct {
	Verify []struct {
		ID, Case, Secret string
		vectorHeaders
		vectorPayload
		Now   int64
		Valid bool
	}
	Secrets []struct {
		Secret string
		Valid  any // true, false, or who alone takes it
		Why    string
	}
	Parse []struct {
		Header         string
		Known, Unknown int
		Error          bool
	} `json:"signature_header_parse"`
	IDs []struct {
		ID    string
		Valid bool
	} `json:"message_ids"`
	Sign []struct {
		ID        string
		MessageID string `json:"msg_id"`
		vectorPayload
		Secrets   []string
		Timestamp string
		Signature string `json:"webhook-signature"`
	}
	Policy []struct {
		ID, Secret string
		vectorHeaders
		vectorPayload
		Now      int64
		SignedAs *struct {
			vectorHeaders
			vectorPayload
		} `json:"signed_as"`
		Attack *struct {
			vectorHeaders
			vectorPayload
		}
	} `json:"receiver_policy"`
}

type vectorHeaders struct{ Headers map[string]*string }

func (v vectorHeaders) header() http.Header {
	h := http.Header{}
	for name, value := range v.Headers {
		if value != nil {
			h.Set(name, *value)
		}
	}
	return h
}

type vectorPayload struct {
	Payload       string
	PayloadBase64 string `json:"payload_base64"`
	Repeat        int    `json:"payload_repeat"`
}

func (v vectorPayload) body(t *testing.T) []byte {
	t.Helper()
	if v.Repeat > 0 {
		return []byte(strings.Repeat(v.Payload, v.Repeat))
	}
	if v.PayloadBase64 == "" {
		return []byte(v.Payload)
	}
	b, err := base64.StdEncoding.DecodeString(v.PayloadBase64)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func loadVectors(t *testing.T) *vectors {
	t.Helper()
	text, err := os.ReadFile("testdata/standard-webhooks.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return &v
}

func TestVerifyVectors(t *testing.T) {
	t.Parallel()
	v := loadVectors(t)
	if len(v.Verify) < 60 {
		t.Fatalf("%d cases, want them all", len(v.Verify))
	}
	for _, c := range v.Verify {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			err := Verify(c.header(), c.body(t), time.Unix(c.Now, 0), c.Secret)
			if (err == nil) != c.Valid {
				t.Errorf("%s: Verify = %v, want valid %v", c.Case, err, c.Valid)
			}
			if err != nil && !errors.Is(err, ErrHeader) && !errors.Is(err, ErrTimestamp) && !errors.Is(err, ErrSignature) {
				t.Errorf("%s: Verify = %v, want one of the documented errors", c.Case, err)
			}
		})
	}
}

func TestSignVectors(t *testing.T) {
	t.Parallel()
	for _, c := range loadVectors(t).Sign {
		t.Run(c.ID, func(t *testing.T) {
			t.Parallel()
			s, err := NewSigner(c.Secrets...)
			if err != nil {
				t.Fatal(err)
			}
			seconds, err := strconv.ParseInt(c.Timestamp, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second time with what the first left in the pool
				got, err := s.Sign(c.MessageID, time.Unix(seconds, 0), c.body(t))
				if err != nil || got != c.Signature {
					t.Errorf("Sign = %q, %v, want %q", got, err, c.Signature)
				}
			}
		})
	}
}

func TestSecretVectors(t *testing.T) {
	t.Parallel()
	for _, c := range loadVectors(t).Secrets {
		// Svix' longer secrets sign here too, so that endpoints can move; too short ones do not.
		want := c.Valid == true || c.Valid == "svix-only"
		if _, err := NewSigner(c.Secret); (err == nil) != want {
			t.Errorf("%s (%s): NewSigner = %v, want it taken: %v", c.Secret, c.Why, err, want)
		}
	}
}

func TestSignatureHeaderVectors(t *testing.T) {
	t.Parallel()
	for _, c := range loadVectors(t).Parse {
		known, unknown, malformed := 0, 0, false
		for entry := range strings.FieldsSeq(c.Header) {
			switch kind, _ := parseEntry(entry); kind {
			case entryMAC, entryEd25519:
				known++
			case entryUnknown:
				unknown++
			case entryMalformed:
				malformed = true
			}
		}
		if known != c.Known || unknown != c.Unknown || malformed != c.Error {
			t.Errorf("%q: %d known, %d unknown, malformed %v, want %d, %d, %v", c.Header, known, unknown, malformed, c.Known, c.Unknown, c.Error)
		}
	}
}

func TestMessageIDVectors(t *testing.T) {
	t.Parallel()
	s := newSigner(t, secretA)
	for _, c := range loadVectors(t).IDs {
		if _, err := s.Sign(c.ID, now, nil); (err == nil) != c.Valid || err != nil && !errors.Is(err, ErrID) {
			t.Errorf("Sign(%q) = %v, want valid %v", c.ID, err, c.Valid)
		}
	}
}

func TestReceiverPolicyVectors(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range loadVectors(t).Policy {
		seen[c.ID] = true
		at := time.Unix(c.Now, 0)
		switch c.ID {
		case "svix-alias":
			v, err := NewVerifier(c.Secret)
			if err != nil {
				t.Fatal(err)
			}
			if err := v.Verify(c.header(), c.body(t), at); !errors.Is(err, ErrHeader) {
				t.Errorf("%s: Verify = %v, want ErrHeader unless it is asked for", c.ID, err)
			}
			v.SvixHeaders = true
			if err := v.Verify(c.header(), c.body(t), at); err != nil {
				t.Errorf("%s: Verify = %v, want valid where it is asked for", c.ID, err)
			}
		case "dot-in-id":
			if err := Verify(c.SignedAs.header(), c.SignedAs.body(t), at, c.Secret); err != nil {
				t.Errorf("%s: Verify = %v, want what was signed to be valid", c.ID, err)
			}
			if err := Verify(c.Attack.header(), c.Attack.body(t), at, c.Secret); !errors.Is(err, ErrHeader) {
				t.Errorf("%s: Verify = %v, want the other reading refused", c.ID, err)
			}
		}
	}
	if !seen["svix-alias"] || !seen["dot-in-id"] {
		t.Errorf("cases %v, want svix-alias and dot-in-id", seen)
	}
}
