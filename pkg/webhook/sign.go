package webhook

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"sync"
	"time"
)

// Names of the headers of a webhook.
const (
	HeaderID        = "webhook-id"        // the same at every attempt
	HeaderTimestamp = "webhook-timestamp" // of this attempt, Unix seconds
	HeaderSignature = "webhook-signature" // one entry per secret, separated by spaces
)

// Versions of signatures, as entries of webhook-signature begin.
const (
	version1  = "v1,"  // HMAC-SHA256
	version1a = "v1a," // ed25519
)

// ErrID says that the id is empty, or has a dot, a space or something unprintable. A dot would let one signature be read two
// ways: what stands behind it in the id could as well be a timestamp, and the timestamp the start of the body.
var ErrID = errors.New("webhook id must be printable ASCII without dots and spaces")

// maxKept is how large a buffer may be to be kept for the next signature, in bytes.
const maxKept = 64 << 10

// Signer signs with a set of secrets, made ready once. It is safe for concurrent use.
type Signer struct {
	keys []key
	pool sync.Pool // *scratch
}

// scratch is what one call of Sign needs.
type scratch struct {
	macs []hash.Hash // for the shared secrets, in order
	text []byte      // what is signed
	sum  []byte      // one of macs
	out  []byte
}

// NewSigner returns a Signer for secrets whsec_… (24 to 75 bytes) and whsk_…; it needs one at least.
func NewSigner(secrets ...string) (*Signer, error) {
	if len(secrets) == 0 {
		return nil, errors.New("no secret to sign with")
	}
	s := &Signer{}
	for i, secret := range secrets {
		k, err := parseSecret(secret)
		switch {
		case err != nil:
		case k.public != nil:
			err = fmt.Errorf("a public key cannot sign: want %s… or %s…", prefixShared, prefixPrivate)
		case k.shared != nil && (len(k.shared) < minShared || len(k.shared) > maxShared):
			err = fmt.Errorf("secret has %d bytes, want %d to %d", len(k.shared), minShared, maxShared)
		}
		if err != nil {
			return nil, fmt.Errorf("signing secret %d of %d: %w", i+1, len(secrets), err)
		}
		s.keys = append(s.keys, k)
	}
	s.pool.New = s.newScratch
	return s, nil
}

func (s *Signer) newScratch() any {
	sc := &scratch{}
	for _, k := range s.keys {
		if k.shared != nil {
			sc.macs = append(sc.macs, hmac.New(sha256.New, k.shared))
		}
	}
	return sc
}

// Sign returns the value of header webhook-signature for a webhook with this id that is sent at this time: one entry
// per secret, in their order. It allocates what it returns, and 64 bytes for each private key. The error is ErrID.
func (s *Signer) Sign(id string, at time.Time, body []byte) (string, error) {
	if !validID(id) {
		return "", ErrID
	}
	sc := s.pool.Get().(*scratch) // nothing else is in it
	sc.text = appendSigned(sc.text[:0], id, at.Unix())
	sc.out = sc.out[:0]
	head, mac := len(sc.text), 0
	for i := range s.keys {
		if i > 0 {
			sc.out = append(sc.out, ' ')
		}
		if k := &s.keys[i]; k.private != nil {
			if len(sc.text) == head {
				sc.text = append(sc.text, body...) // ed25519 reads twice what it signs, so it must be in one piece
			}
			sc.out = append(sc.out, version1a...)
			sc.out = base64.StdEncoding.AppendEncode(sc.out, ed25519.Sign(k.private, sc.text))
			continue
		}
		sc.sum = appendMAC(sc.sum[:0], sc.macs[mac], sc.text[:head], body)
		sc.out = append(sc.out, version1...)
		sc.out = base64.StdEncoding.AppendEncode(sc.out, sc.sum)
		mac++
	}
	signature := string(sc.out)
	if cap(sc.text) <= maxKept {
		s.pool.Put(sc)
	}
	return signature, nil
}

// appendSigned appends what stands before the body in what is signed.
func appendSigned(dst []byte, id string, seconds int64) []byte {
	dst = append(dst, id...)
	dst = append(dst, '.')
	dst = strconv.AppendInt(dst, seconds, 10)
	return append(dst, '.')
}

func appendMAC(dst []byte, mac hash.Hash, head, body []byte) []byte {
	mac.Reset()
	mac.Write(head)
	mac.Write(body)
	return mac.Sum(dst)
}

func validID(id string) bool {
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c >= 0x7f || c == '.' {
			return false
		}
	}
	return id != ""
}
