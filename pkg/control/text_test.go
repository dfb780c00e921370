package control

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

func sprintAll(v any) string { return fmt.Sprintf("%v %+v %#v", v, v, v) }

func TestDurations(t *testing.T) {
	t.Parallel()
	pattern := regexp.MustCompile(durationPattern)
	tests := map[string]time.Duration{ // -1: refused
		"15s": 15 * time.Second, "14d": 14 * day, "1d12h": 36 * time.Hour, "500ms": 500 * time.Millisecond, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute,
		"0s": 0, "65535d": 65535 * day,
		"": -1, "15": -1, "0": -1, "d": -1, "-5s": -1, "+5s": -1, "1d-5s": -1, "1.5d": -1, "1h1": -1, "1h1d": -1, "1d1d": -1, " 1s": -1, "1 s": -1, "1w": -1, "s": -1, ".5s": -1,
		"65536d": -1, "99999999999h": -1, "1d99999999h": -1,
	}
	for text, want := range tests {
		got, err := ParseDuration(text)
		if want < 0 && err == nil || want >= 0 && (err != nil || got != want) {
			t.Errorf("ParseDuration(%q) = %v, %v, want %v", text, got, err, want)
		}
		if err == nil && !pattern.MatchString(text) {
			t.Errorf("the schema refuses %q, which is a duration", text)
		}
	}
	for d, want := range map[time.Duration]string{
		15 * time.Second: "15s", 14 * day: "14d", 12 * time.Hour: "12h", 90 * time.Minute: "1h30m", 36 * time.Hour: "36h", time.Hour + time.Second: "1h0m1s", 100 * time.Minute: "1h40m", 0: "0s",
	} {
		if got := Duration(d).String(); got != want {
			t.Errorf("%d ns = %q, want %q", d, got, want)
		}
	}
}

func FuzzDuration(f *testing.F) {
	f.Add("1d12h30m15.5s")
	f.Add("65535d")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDuration(text)
		if err != nil {
			return
		}
		if again, err := ParseDuration(Duration(d).String()); d < 0 || err != nil || again != d {
			t.Fatalf("ParseDuration(%q) = %d, which reads back as %d, %v", text, d, again, err)
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add(encodeNumberCursor(sourceCursor, 7))
	f.Add(encodeNumberCursor(endpointCursor, 1<<32-1))
	f.Add(encodeEventCursor(event.NewID(start)))
	f.Add(encodeDeliveryCursor(store.DeliveryID{Event: event.NewID(start), Endpoint: 3, Replay: 4}))
	f.Add(encodeQuarantineCursor(1 << 40))
	f.Fuzz(func(t *testing.T, cursor string) {
		accepted, again := 0, ""
		if n, err := decodeNumberCursor(sourceCursor, cursor); err == nil && n != 0 {
			accepted, again = accepted+1, encodeNumberCursor(sourceCursor, n)
		}
		if n, err := decodeNumberCursor(endpointCursor, cursor); err == nil && n != 0 {
			accepted, again = accepted+1, encodeNumberCursor(endpointCursor, n)
		}
		if id, err := decodeEventCursor(cursor); err == nil && !id.IsZero() {
			accepted, again = accepted+1, encodeEventCursor(id)
		}
		if id, err := decodeDeliveryCursor(cursor); err == nil && id != (store.DeliveryID{}) {
			accepted, again = accepted+1, encodeDeliveryCursor(id)
		}
		if n, err := decodeQuarantineCursor(cursor); err == nil && n != 0 {
			if n < 0 {
				t.Fatalf("cursor %q is row %d", cursor, n)
			}
			accepted, again = accepted+1, encodeQuarantineCursor(n)
		}
		if accepted > 1 || accepted == 1 && !strings.EqualFold(again, cursor) {
			t.Fatalf("cursor %q: %d lists take it, and write it %q", cursor, accepted, again)
		}
	})
}

func TestKeys(t *testing.T) {
	t.Parallel()
	keys := ring{}
	text := keys.add(t, "acme", store.ScopeTenant)
	if key, ok := find(keys, text); !ok || key.Tenant != "acme" || key.Prefix != text[:8] || !strings.HasPrefix(text, "slk_") || len(text) != 56 {
		t.Errorf("key %q is found as %+v", text, key)
	}
	if _, ok := find(keys, text[:55]+"z"); ok {
		t.Error("another key is found")
	}
	if again := keys.add(t, "acme", store.ScopeTenant); again == text {
		t.Error("the same key twice")
	}
	if _, key, err := GenerateKey("ci", "", store.ScopePublish); err != nil || key.Tenant != "default" {
		t.Errorf("publish key without a tenant: %+v, %v", key, err)
	}
	for _, tt := range []struct {
		name, tenant string
		scope        store.Scope
		want         string
	}{
		{"", "", store.ScopeAdmin, "key name"},
		{"a b", "", store.ScopeAdmin, "key name"},
		{"ci", "acme", store.ScopeAdmin, "admin keys are for every tenant"},
		{"ci", "A", store.ScopeTenant, "tenant"},
		{"ci", "", "root", "want admin, tenant or publish"},
	} {
		if _, _, err := GenerateKey(tt.name, tt.tenant, tt.scope); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("GenerateKey(%q, %q, %q) = %v, want %q", tt.name, tt.tenant, tt.scope, err, tt.want)
		}
	}
}

// liar finds a key for every hash.
type liar struct{ key store.Key }

func (l liar) Key([32]byte) (*store.Key, bool) { return &l.key, true }

func TestAKeyringThatFindsTheWrongKeyIsNotBelieved(t *testing.T) {
	t.Parallel()
	text, _, err := GenerateKey("a", "", store.ScopeAdmin)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := find(liar{}, text); ok {
		t.Error("a key with another hash was taken")
	}
}

func FuzzBearer(f *testing.F) {
	f.Add("Bearer slk_" + strings.Repeat("0", 52))
	f.Add("bearer  slk_x")
	f.Add("Basic c2xr")
	f.Fuzz(func(t *testing.T, header string) {
		if text, ok := bearer([]string{header}); ok && (len(text) != 56 || !strings.HasPrefix(text, "slk_") || !strings.HasSuffix(strings.TrimRight(header, " "), text)) {
			t.Fatalf("bearer(%q) = %q", header, text)
		}
	})
}

func TestTwoAuthorizationsAreNone(t *testing.T) {
	t.Parallel()
	good := "Bearer slk_" + strings.Repeat("0", 52)
	if _, ok := bearer([]string{good}); !ok {
		t.Error("one is not taken")
	}
	if _, ok := bearer([]string{good, good}); ok {
		t.Error("two are taken, and a proxy may have read the other")
	}
}

func FuzzCheckJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":null}],"c":"d"}`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Add([]byte(`[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]`))
	f.Add([]byte(`{}{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		err := jsonFormat.Unmarshal(data, &v)
		if err != nil {
			return
		}
		if !json.Valid(data) || bytes.Contains(data, []byte{0xff}) {
			t.Fatalf("%q was taken", data)
		}
		if n := depth(v); n > maxJSONDepth {
			t.Fatalf("%q was taken, %d deep", data, n)
		}
	})
}

func depth(v any) (n int) {
	switch v := v.(type) {
	case map[string]any:
		for _, child := range v {
			n = max(n, depth(child))
		}
		return n + 1
	case []any:
		for _, child := range v {
			n = max(n, depth(child))
		}
		return n + 1
	}
	return 0
}

func TestLongAndBrokenValuesAreShortened(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"":                             "",
		"a\r\nb\x00":                   "a��b�",
		"\xff":                         "�",
		strings.Repeat("x", 200):       strings.Repeat("x", 80) + "…",
		strings.Repeat("ä", 100):       strings.Repeat("ä", 40) + "…",
		"x" + strings.Repeat("ä", 100): "x" + strings.Repeat("ä", 39) + "…",
	} {
		if got := shorten(given); got != want {
			t.Errorf("shorten(%q) = %q, want %q", given, got, want)
		}
	}
}
