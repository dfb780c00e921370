package store

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func newSealer(tb testing.TB, keys ...Secret) *Sealer {
	tb.Helper()
	texts := make([]string, len(keys))
	for i, k := range keys {
		texts[i] = k.Reveal()
	}
	s, err := ParseKeys(Secret(strings.Join(texts, ",")))
	if err != nil {
		tb.Fatalf("ParseKeys: %v", err)
	}
	return s
}

func TestSealedOpensInItsPlaceOnly(t *testing.T) {
	t.Parallel()
	s := newSealer(t, GenerateKey())
	name := rapid.StringN(0, 4, 8)
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "plain")
		place := [3]string{name.Draw(t, "table"), name.Draw(t, "column"), name.Draw(t, "row")}
		other := [3]string{name.Draw(t, "other table"), name.Draw(t, "other column"), name.Draw(t, "other row")}
		blob := s.Seal(plain, place[0], place[1], place[2])
		if got, err := s.Open(blob, place[0], place[1], place[2]); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("Open = %x, %v, want %x", got, err, plain)
		}
		if _, err := s.Open(blob, other[0], other[1], other[2]); (err == nil) != (place == other) {
			t.Fatalf("a blob of %q opened at %q: %v", place, other, err)
		}
	})
}

func TestSealedPlacesDoNotRunIntoEachOther(t *testing.T) {
	t.Parallel()
	s := newSealer(t, GenerateKey())
	blob := s.Seal([]byte("x"), "ab", "c", "1")
	if _, err := s.Open(blob, "a", "bc", "1"); !errors.Is(err, ErrSealed) {
		t.Errorf("a blob of ab.c opened at a.bc: %v", err)
	}
}

func TestAnyFlippedBitOrLostByteFails(t *testing.T) {
	t.Parallel()
	s := newSealer(t, GenerateKey())
	blob := s.Seal([]byte("whsec_secret"), "endpoints", "secrets", "7")
	for i := range len(blob) * 8 {
		damaged := bytes.Clone(blob)
		damaged[i/8] ^= 1 << (i % 8)
		if _, err := s.Open(damaged, "endpoints", "secrets", "7"); !errors.Is(err, ErrSealed) {
			t.Fatalf("bit %d flipped: Open = %v, want ErrSealed", i, err)
		}
	}
	for n := range blob {
		if _, err := s.Open(blob[:n], "endpoints", "secrets", "7"); !errors.Is(err, ErrSealed) {
			t.Fatalf("cut to %d bytes: Open = %v, want ErrSealed", n, err)
		}
	}
}

func TestEveryKeyOpensAndTheFirstSeals(t *testing.T) {
	t.Parallel()
	older, newer := GenerateKey(), GenerateKey()
	before := newSealer(t, older).Seal([]byte("x"), "t", "c", "r")
	rotated := newSealer(t, newer, older)
	if _, err := rotated.Open(before, "t", "c", "r"); err != nil {
		t.Errorf("the older key does not open: %v", err)
	}
	after := rotated.Seal([]byte("x"), "t", "c", "r")
	if _, err := newSealer(t, newer).Open(after, "t", "c", "r"); err != nil {
		t.Errorf("not sealed with the first key: %v", err)
	}
	if _, err := newSealer(t, newer).Open(before, "t", "c", "r"); !errors.Is(err, ErrSealed) {
		t.Errorf("without the key Open = %v, want ErrSealed", err)
	}
}

func TestEqualSecretsSealDifferently(t *testing.T) {
	t.Parallel()
	s := newSealer(t, GenerateKey())
	if a, b := s.Seal([]byte("x"), "t", "c", "r"), s.Seal([]byte("x"), "t", "c", "r"); bytes.Equal(a, b) {
		t.Error("two blobs of one secret are equal: the nonce repeats")
	}
}

func TestWrongKeysAreRefusedAndNotShown(t *testing.T) {
	t.Parallel()
	good := GenerateKey().Reveal()
	tests := []struct{ name, list, want string }{
		{"nothing", "", "encryption key 1: is empty"},
		{"an empty second", good + ",", "encryption key 2: is empty"},
		{"not base64", "hunter2!hunter2!", "encryption key 1: is not base64"},
		{"too short", base64.StdEncoding.EncodeToString([]byte("hunter2")), "has 7 bytes, want 32"},
		{"too long", base64.StdEncoding.EncodeToString(make([]byte, 33)), "has 33 bytes, want 32"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseKeys(Secret(tt.list))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("ParseKeys = %v, want %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), good) {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}

func TestGeneratedKeysAreAsOpenSSLPrintsThem(t *testing.T) {
	t.Parallel()
	key := GenerateKey()
	if len(key.Reveal()) != 44 || key == GenerateKey() {
		t.Errorf("GenerateKey = %d characters, want 44, and never twice the same", len(key.Reveal()))
	}
	if text := fmt.Sprintf("%v %+v %#v", key, key, key); strings.Contains(text, key.Reveal()) {
		t.Errorf("the key prints itself: %s", text)
	}
	newSealer(t, key)
}

func FuzzParseKeys(f *testing.F) {
	f.Add("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	f.Add(" AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=, ")
	f.Fuzz(func(t *testing.T, list string) {
		s, err := ParseKeys(Secret(list))
		if err != nil {
			return
		}
		if got, err := s.Open(s.Seal([]byte("x"), "t", "c", "r"), "t", "c", "r"); err != nil || string(got) != "x" {
			t.Fatalf("ParseKeys(%q) seals what it cannot open: %v", list, err)
		}
	})
}

func FuzzOpen(f *testing.F) {
	s := newSealer(f, GenerateKey())
	f.Add(s.Seal([]byte("x"), "t", "c", "r"))
	f.Fuzz(func(t *testing.T, blob []byte) {
		if plain, err := s.Open(blob, "other", "c", "r"); err == nil {
			t.Fatalf("a blob of another place opened: %x", plain)
		}
	})
}
