package webhook

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Prefixes of secrets.
const (
	prefixShared  = "whsec_"
	prefixPrivate = "whsk_"
	prefixPublic  = "whpk_"
)

// Sizes of a shared secret in bytes that a Signer takes. The specification says 24 to 64; up to 75 are in use.
const (
	minShared = 24
	maxShared = 75
)

// maxSecret bounds the text of a secret before it is decoded.
const maxSecret = 1024

// key is a decoded secret; one of its fields is set.
type key struct {
	shared  []byte             // HMAC-SHA256
	private ed25519.PrivateKey // signs
	public  ed25519.PublicKey  // verifies
}

// GenerateSecret returns a new shared secret of 32 random bytes, written whsec_….
func GenerateSecret() string {
	var b [32]byte
	rand.Read(b[:]) // crypto/rand.Read never fails since Go 1.24
	return prefixShared + base64.StdEncoding.EncodeToString(b[:])
}

// GenerateKeyPair returns a new ed25519 key pair: the sender's whsk_… and the whpk_… to hand to receivers.
func GenerateKeyPair() (private, public string) {
	var seed [ed25519.SeedSize]byte
	rand.Read(seed[:]) // crypto/rand.Read never fails since Go 1.24
	k := ed25519.NewKeyFromSeed(seed[:])
	return prefixPrivate + base64.StdEncoding.EncodeToString(k), formatPublic(k)
}

// PublicKey returns the whpk_… that verifies what private, a whsk_…, signs.
func PublicKey(private string) (string, error) {
	k, err := parseSecret(private)
	if err != nil {
		return "", err
	}
	if k.private == nil {
		return "", fmt.Errorf("no private key: want %s…", prefixPrivate)
	}
	return formatPublic(k.private), nil
}

func formatPublic(k ed25519.PrivateKey) string {
	return prefixPublic + base64.StdEncoding.EncodeToString(publicOf(k))
}

func publicOf(k ed25519.PrivateKey) ed25519.PublicKey {
	return ed25519.PublicKey(k[ed25519.SeedSize:])
}

// parseSecret reads a secret with its prefix.
func parseSecret(s string) (key, error) {
	if len(s) > maxSecret {
		return key{}, fmt.Errorf("secret has %d characters, more than the %d any has", len(s), maxSecret)
	}
	if rest, ok := strings.CutPrefix(s, prefixShared); ok {
		return parseShared(rest)
	}
	if rest, ok := strings.CutPrefix(s, prefixPrivate); ok {
		return parsePrivate(rest)
	}
	if rest, ok := strings.CutPrefix(s, prefixPublic); ok {
		return parsePublic(rest)
	}
	return key{}, fmt.Errorf("secret without prefix: want %s…, %s… or %s…", prefixShared, prefixPrivate, prefixPublic)
}

func parseShared(text string) (key, error) {
	b, err := decodeSecret(text)
	if err != nil {
		return key{}, err
	}
	if len(b) == 0 {
		return key{}, errors.New("secret is empty")
	}
	return key{shared: b}, nil
}

func parsePrivate(text string) (key, error) {
	b, err := decodeSecret(text)
	if err != nil {
		return key{}, err
	}
	switch len(b) {
	case ed25519.SeedSize:
		return key{private: ed25519.NewKeyFromSeed(b)}, nil
	case ed25519.PrivateKeySize:
		k := ed25519.NewKeyFromSeed(b[:ed25519.SeedSize])
		// A key whose halves do not belong together signs what nobody can verify, and leaks its seed doing so.
		if !bytes.Equal(k, b) {
			return key{}, errors.New("private key does not belong to the public key behind it")
		}
		return key{private: k}, nil
	}
	return key{}, fmt.Errorf("private key has %d bytes, want %d or %d", len(b), ed25519.SeedSize, ed25519.PrivateKeySize)
}

func parsePublic(text string) (key, error) {
	b, err := decodeSecret(text)
	if err != nil {
		return key{}, err
	}
	if len(b) == ed25519.PublicKeySize {
		return key{public: b}, nil
	}
	if parsed, err := x509.ParsePKIXPublicKey(b); err == nil {
		if public, ok := parsed.(ed25519.PublicKey); ok {
			return key{public: public}, nil
		}
	}
	return key{}, fmt.Errorf("public key: want %d bytes of ed25519, or their X.509 form", ed25519.PublicKeySize)
}

func decodeSecret(text string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("secret is not base64 with padding") // err would quote where, and so a part of it
	}
	return b, nil
}
