package provider

import (
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"time"
)

// ed25519Step checks a signature that only the sender can make.
type ed25519Step struct {
	signed
	keys    []ed25519.PublicKey
	private ed25519.PrivateKey // for sign; nil: none was given
}

func newEd25519Step(spec *stepSpec, keys []key) (step, error) {
	s := &ed25519Step{}
	var err error
	if s.signed, err = newSigned(spec); err != nil {
		return nil, err
	}
	for _, k := range keys {
		public, private, err := parseEd25519(k)
		if err != nil {
			return nil, keyError{k.index, err}
		}
		s.keys = append(s.keys, public)
		if s.private == nil {
			s.private = private
		}
	}
	return s, nil
}

// parseEd25519 reads the forms that senders hand out: 32 bytes or X.509 SubjectPublicKeyInfo for a public key; a seed of
// 32 bytes, or seed and public key, for a private one.
func parseEd25519(k key) (ed25519.PublicKey, ed25519.PrivateKey, error) {
	if k.private {
		if len(k.raw) != ed25519.SeedSize && len(k.raw) != ed25519.PrivateKeySize {
			return nil, nil, errors.New("is not an ed25519 private key of 32 or 64 bytes")
		}
		private := ed25519.NewKeyFromSeed(k.raw[:ed25519.SeedSize])
		public := private.Public().(ed25519.PublicKey)
		if len(k.raw) == ed25519.PrivateKeySize && !public.Equal(ed25519.PublicKey(k.raw[ed25519.SeedSize:])) {
			return nil, nil, errors.New("is an ed25519 private key whose halves do not belong together")
		}
		return public, private, nil
	}
	if len(k.raw) == ed25519.PublicKeySize {
		return ed25519.PublicKey(k.raw), nil, nil
	}
	parsed, err := x509.ParsePKIXPublicKey(k.raw)
	if public, ok := parsed.(ed25519.PublicKey); err == nil && ok {
		return public, nil, nil
	}
	return nil, nil, errors.New("is not an ed25519 public key")
}

func (s *ed25519Step) verify(req *Request, now time.Time) error {
	var room [maxItems]string
	in, items, err := s.present(req, room[:0])
	if err != nil {
		return err
	}
	message := s.content.render(req, &in)
	for _, item := range items {
		raw, err := s.sig.enc.decode(item)
		if err != nil || len(raw) != ed25519.SignatureSize {
			continue // one that we cannot read does not spoil the others
		}
		for _, public := range s.keys {
			if ed25519.Verify(public, message, raw) {
				return s.fresh(&in, now)
			}
		}
	}
	return s.mismatch(len(s.keys))
}

func (s *ed25519Step) sign(req *Request, now time.Time) error {
	if s.private == nil {
		return errors.New("sign: a public key cannot sign, give the private one")
	}
	return s.signWith(req, now, func(message []byte) []byte { return ed25519.Sign(s.private, message) })
}
