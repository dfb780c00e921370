package store

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

const (
	sealKeyBytes = 32
	sealVersion  = 1 // first byte of every blob
	sealIDBytes  = 4 // names the key within a blob
	sealHeader   = 1 + sealIDBytes
)

// Sealer keeps secrets at rest: AES-256-GCM with a random 96-bit nonce. A blob is one byte of version, four that name
// the key, the nonce, and the ciphertext with its tag; the table, column and row that it belongs to are authenticated
// with it, so a blob that was damaged or moved to another row does not open. It is safe for concurrent use.
// Random nonces are good for 2³² blobs a key (NIST SP 800-38D §8.3), far more than there will be secrets.
type Sealer struct{ keys []sealKey } // the first seals, all open

type sealKey struct {
	id   [sealIDBytes]byte
	aead cipher.AEAD
}

// GenerateKey returns a new encryption key as text: 32 random bytes in base64, as `openssl rand -base64 32` prints.
func GenerateKey() Secret {
	var key [sealKeyBytes]byte
	rand.Read(key[:]) // crypto/rand.Read never fails since Go 1.24
	return Secret(base64.StdEncoding.EncodeToString(key[:]))
}

// ParseKeys reads a comma-separated list of encryption keys: the first seals, all open. To change keys, put the new one
// in front. Errors number the key that is wrong and never show it.
func ParseKeys(list Secret) (*Sealer, error) {
	s := &Sealer{}
	for i, text := range strings.Split(list.Reveal(), ",") {
		key, err := decodeSealKey(strings.TrimSpace(text))
		if err != nil {
			return nil, fmt.Errorf("encryption key %d: %w", i+1, err)
		}
		s.keys = append(s.keys, newSealKey(key))
	}
	return s, nil
}

func decodeSealKey(text string) ([]byte, error) {
	if text == "" {
		return nil, errors.New("is empty, want 32 bytes in base64 (openssl rand -base64 32)")
	}
	// The decoder's error would quote part of the key.
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, errors.New("is not base64, want 32 bytes in base64 (openssl rand -base64 32)")
	}
	if len(key) != sealKeyBytes {
		return nil, fmt.Errorf("has %d bytes, want 32 (openssl rand -base64 32)", len(key))
	}
	return key, nil
}

func newSealKey(key []byte) sealKey {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for a wrong length, which was checked
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // only for ciphers of other block sizes
	}
	// A digest names the key without telling it.
	sum := sha256.Sum256(append([]byte("sluice encryption key id\x00"), key...))
	return sealKey{id: [sealIDBytes]byte(sum[:]), aead: aead}
}

// Seal returns plain sealed with the first key for one place: a column of a row of a table.
func (s *Sealer) Seal(plain []byte, table, column, row string) []byte {
	key := s.keys[0]
	blob := make([]byte, sealHeader+key.aead.NonceSize(), sealHeader+key.aead.NonceSize()+len(plain)+key.aead.Overhead())
	blob[0] = sealVersion
	copy(blob[1:], key.id[:])
	nonce := blob[sealHeader:]
	rand.Read(nonce) // crypto/rand.Read never fails since Go 1.24
	return key.aead.Seal(blob, nonce, plain, sealPlace(blob[:sealHeader], table, column, row))
}

// Open returns what Seal was given, if the blob was sealed for that place. Otherwise it returns ErrSealed: the key is
// not among these, or the blob was damaged or moved.
func (s *Sealer) Open(blob []byte, table, column, row string) ([]byte, error) {
	if len(blob) < sealHeader || blob[0] != sealVersion {
		return nil, fmt.Errorf("%s.%s of row %s: not a sealed value: %w", table, column, row, ErrSealed)
	}
	known := false
	for _, key := range s.keys {
		if [sealIDBytes]byte(blob[1:sealHeader]) != key.id || len(blob) < sealHeader+key.aead.NonceSize() {
			continue
		}
		known = true
		nonce, sealed := blob[sealHeader:sealHeader+key.aead.NonceSize()], blob[sealHeader+key.aead.NonceSize():]
		if plain, err := key.aead.Open(nil, nonce, sealed, sealPlace(blob[:sealHeader], table, column, row)); err == nil {
			return plain, nil
		}
	}
	if known {
		return nil, fmt.Errorf("%s.%s of row %s: damaged, or moved from another row: %w", table, column, row, ErrSealed)
	}
	return nil, fmt.Errorf("%s.%s of row %s: key %x is not in SLUICE_ENCRYPTION_KEY: %w", table, column, row, blob[1:sealHeader], ErrSealed)
}

// sealPlace is what is authenticated beside the secret. Lengths keep neighbours apart: ("ab", "c") is not ("a", "bc").
func sealPlace(header []byte, parts ...string) []byte {
	place := append([]byte(nil), header...)
	for _, part := range parts {
		place = binary.AppendUvarint(place, uint64(len(part)))
		place = append(place, part...)
	}
	return place
}
