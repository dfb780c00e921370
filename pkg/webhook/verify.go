package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// DefaultTolerance is how far a webhook's timestamp may be from now, either way.
const DefaultTolerance = 5 * time.Minute

// MaxSignatures is how many entries webhook-signature may have. Each costs up to one ed25519 verification per key.
const MaxSignatures = 32

// Errors of Verify. A receiver answers each of them with a 4xx, such as 401.
var (
	ErrHeader    = errors.New("webhook header missing or malformed")
	ErrTimestamp = errors.New("webhook timestamp too far from now") // sent too long ago, replayed, or clocks differ
	ErrSignature = errors.New("webhook signature does not match")   // another secret, or the body was changed
)

// Verifier verifies webhooks with a set of secrets: one signature by one of them is enough. It is safe for concurrent
// use once its fields are set.
type Verifier struct {
	Tolerance   time.Duration // how far a timestamp may be from now; DefaultTolerance unless set otherwise
	SvixHeaders bool          // take svix-id, svix-timestamp and svix-signature where there is no webhook-id
	keys        []key
}

// NewVerifier returns a Verifier for secrets whsec_…, whpk_… and whsk_…, of which it uses the public half; what has no
// prefix is taken as the base64 of a shared secret. It needs one at least.
func NewVerifier(secrets ...string) (*Verifier, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no secret to verify with")
	}
	v := &Verifier{Tolerance: DefaultTolerance}
	for i, secret := range secrets {
		if !strings.HasPrefix(secret, prefixPrivate) && !strings.HasPrefix(secret, prefixPublic) && !strings.HasPrefix(secret, prefixShared) {
			secret = prefixShared + secret
		}
		k, err := parseSecret(secret)
		if err != nil {
			return nil, fmt.Errorf("secret %d of %d: %w", i+1, len(secrets), err)
		}
		if k.private != nil {
			k = key{public: publicOf(k.private)}
		}
		v.keys = append(v.keys, k)
	}
	return v, nil
}

// Verify checks that a webhook with these headers and exactly this body was signed with one of the secrets, and less
// than DefaultTolerance before or after now. Nil means yes. The error is ErrHeader, ErrTimestamp or ErrSignature,
// wrapped, or says which secret is none. That a webhook comes twice is no error: tell repetitions by webhook-id.
func Verify(header http.Header, body []byte, now time.Time, secrets ...string) error {
	v, err := NewVerifier(secrets...)
	if err != nil {
		return err
	}
	return v.Verify(header, body, now)
}

// Verify does what the function Verify does, with the secrets and settings of v.
func (v *Verifier) Verify(header http.Header, body []byte, now time.Time) error {
	id, timestamp, signature, err := v.headers(header)
	if err != nil {
		return err
	}
	seconds, err := parseTimestamp(timestamp)
	if err != nil {
		return err
	}
	if !within(seconds, now, v.Tolerance) {
		return fmt.Errorf("%w: %d, now %d, tolerance %v", ErrTimestamp, seconds, now.Unix(), v.Tolerance)
	}
	return v.match(id, seconds, body, signature)
}

// headers returns the three headers. Several lines of signatures count as one.
func (v *Verifier) headers(h http.Header) (id, timestamp, signature string, err error) {
	names := [...]string{HeaderID, HeaderTimestamp, HeaderSignature}
	if v.SvixHeaders && len(h.Values(HeaderID)) == 0 {
		names = [...]string{"svix-id", "svix-timestamp", "svix-signature"}
	}
	if id, err = single(h, names[0]); err != nil {
		return "", "", "", err
	}
	if !validID(id) {
		return "", "", "", fmt.Errorf("%w: %s: %w", ErrHeader, names[0], ErrID)
	}
	if timestamp, err = single(h, names[1]); err != nil {
		return "", "", "", err
	}
	if signature = strings.Join(h.Values(names[2]), " "); signature == "" {
		return "", "", "", fmt.Errorf("%w: no %s", ErrHeader, names[2])
	}
	return id, timestamp, signature, nil
}

func single(h http.Header, name string) (string, error) {
	values := h.Values(name)
	switch {
	case len(values) > 1:
		return "", fmt.Errorf("%w: %s is there twice", ErrHeader, name)
	case len(values) == 0 || values[0] == "":
		return "", fmt.Errorf("%w: no %s", ErrHeader, name)
	}
	return values[0], nil
}

// parseTimestamp reads Unix seconds in the one spelling that is signed: digits alone, without leading zeros.
func parseTimestamp(s string) (int64, error) {
	seconds, err := strconv.ParseInt(s, 10, 64)
	if err != nil || seconds < 0 || s != strconv.FormatInt(seconds, 10) {
		return 0, fmt.Errorf("%w: %s is not a number of seconds", ErrHeader, HeaderTimestamp)
	}
	return seconds, nil
}

func within(seconds int64, now time.Time, tolerance time.Duration) bool {
	// In whole seconds, as the sender's clock is. The subtraction cannot overflow: both are positive.
	apart := max(now.Unix(), 0) - seconds
	return max(apart, -apart) <= int64(tolerance/time.Second)
}

// match looks for an entry of signature that one of the keys made.
func (v *Verifier) match(id string, seconds int64, body []byte, signature string) error {
	entries, err := parseEntries(signature)
	if err != nil {
		return err
	}
	head := appendSigned(make([]byte, 0, len(id)+24), id, seconds)
	var whole []byte // head and body in one piece, as ed25519 needs them
	for i := range v.keys {
		if shared := v.keys[i].shared; shared != nil && entries.haveMAC(shared, head, body) {
			return nil
		}
		if public := v.keys[i].public; public != nil && len(entries.ed25519) > 0 {
			if whole == nil {
				whole = append(append(make([]byte, 0, len(head)+len(body)), head...), body...)
			}
			if entries.haveEd25519(public, whole) {
				return nil
			}
		}
	}
	return ErrSignature
}

// entries are the entries of webhook-signature, decoded, by version.
type entries struct{ macs, ed25519 [][]byte }

// parseEntries reads webhook-signature. Entries that are malformed or of another version are skipped: others may match.
func parseEntries(signature string) (entries, error) {
	var es entries
	n := 0
	for entry := range strings.SplitSeq(signature, " ") {
		if entry == "" {
			continue
		}
		if n++; n > MaxSignatures {
			return entries{}, fmt.Errorf("%w: %s has more than %d entries", ErrHeader, HeaderSignature, MaxSignatures)
		}
		switch kind, sum := parseEntry(entry); kind {
		case entryMAC:
			es.macs = append(es.macs, sum)
		case entryEd25519:
			es.ed25519 = append(es.ed25519, sum)
		}
	}
	return es, nil
}

// entryKind says what an entry of webhook-signature is.
type entryKind uint8

const (
	entryUnknown   entryKind = iota // of a version not known here
	entryMalformed                  // of a known version, and not base64 of the right length
	entryMAC
	entryEd25519
)

func parseEntry(entry string) (entryKind, []byte) {
	kind, size := entryMAC, sha256.Size
	text, ok := strings.CutPrefix(entry, version1)
	if !ok {
		if text, ok = strings.CutPrefix(entry, version1a); !ok {
			return entryUnknown, nil
		}
		kind, size = entryEd25519, ed25519.SignatureSize
	}
	if len(text) != base64.StdEncoding.EncodedLen(size) {
		return entryMalformed, nil
	}
	sum, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(sum) != size { // shorter with line breaks in it
		return entryMalformed, nil
	}
	return kind, sum
}

// haveMAC computes the MAC once, however many entries there are.
func (es *entries) haveMAC(secret, head, body []byte) bool {
	if len(es.macs) == 0 {
		return false
	}
	want := appendMAC(nil, hmac.New(sha256.New, secret), head, body)
	for _, sum := range es.macs {
		if hmac.Equal(want, sum) {
			return true
		}
	}
	return false
}

func (es *entries) haveEd25519(public ed25519.PublicKey, whole []byte) bool {
	for _, sum := range es.ed25519 {
		if ed25519.Verify(public, whole, sum) {
			return true
		}
	}
	return false
}
