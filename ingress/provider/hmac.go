package provider

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // some providers still sign with HMAC-SHA-1, which is not broken as HMAC
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"fmt"
	"hash"
	"sync"
	"time"
)

// hmacStep checks a keyed digest of the content.
type hmacStep struct {
	signed
	keys []*macKey
}

// macKey makes digests with one key. States are pooled: a fresh one costs two blocks of hashing.
type macKey struct{ pool sync.Pool }

type macState struct {
	mac  hash.Hash
	sum  []byte // the digest
	text []byte // the digest as the sender writes it
	buf  []byte // scratch
}

var digests = map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}

func newHMACStep(spec *stepSpec, keys []key) (step, error) {
	newHash, ok := digests[spec.Algo]
	if !ok {
		return nil, fmt.Errorf("algo: %q: want sha1, sha256, sha384 or sha512", spec.Algo)
	}
	s := &hmacStep{}
	var err error
	if s.signed, err = newSigned(spec); err != nil {
		return nil, err
	}
	for _, k := range keys {
		s.keys = append(s.keys, newMACKey(newHash, k.raw))
	}
	return s, nil
}

func newMACKey(newHash func() hash.Hash, raw []byte) *macKey {
	k := &macKey{}
	k.pool.New = func() any { return &macState{mac: hmac.New(newHash, raw)} }
	return k
}

func (s *hmacStep) verify(req *Request, now time.Time) error {
	var room [maxItems]string
	in, items, err := s.present(req, room[:0])
	if err != nil {
		return err
	}
	for _, k := range s.keys {
		if k.made(&s.signed, req, &in, items) {
			return s.fresh(&in, now)
		}
	}
	return s.mismatch(len(s.keys))
}

// made reports whether one of items is what the holder of the key would have sent.
func (k *macKey) made(s *signed, req *Request, in *presented, items []string) bool {
	st := k.pool.Get().(*macState)
	defer k.pool.Put(st)
	st.mac.Reset()
	for i := range s.content {
		if p := &s.content[i]; p.kind == wholeBody {
			st.mac.Write(req.Body)
		} else {
			st.buf = p.append(st.buf[:0], req, in)
			st.mac.Write(st.buf)
		}
	}
	st.sum = st.mac.Sum(st.sum[:0])
	st.text = s.sig.enc.appendText(st.text[:0], st.sum)
	for _, item := range items {
		st.buf = append(st.buf[:0], item...)
		if subtle.ConstantTimeCompare(st.buf, st.text) == 1 {
			return true
		}
	}
	return false
}

func (s *hmacStep) sign(req *Request, now time.Time) error {
	st := s.keys[0].pool.Get().(*macState)
	defer s.keys[0].pool.Put(st)
	return s.signWith(req, now, func(message []byte) []byte {
		st.mac.Reset()
		st.mac.Write(message)
		return st.mac.Sum(nil)
	})
}
