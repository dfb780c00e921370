package atrest

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/sluicehq/sluice/store"
)

func newSealer(t *testing.T) *store.Sealer {
	t.Helper()
	sealer, err := store.ParseKeys(store.GenerateKey())
	if err != nil {
		t.Fatal(err)
	}
	return sealer
}

// The rows of released versions, as they are: nobody may need to migrate what only the key can open.
func TestRowsOfBeforeAreRead(t *testing.T) {
	t.Parallel()
	sealer := newSealer(t)
	e := store.Endpoint{ID: 7}
	err := DecodeEndpoint(sealer, []byte(`{"auth_kind":"basic","auth_username":"u","forward":{"Headers":true,"Query":false,"Path":true},
		"subscriptions":[{"Types":["order.**"],"Sources":null}],"rate_limit":{"PerSecond":2.5,"Burst":10},"max_in_flight":3,"max_queued":77,
		"timeout":7000000000,"retry":{"Base":1000000000,"Factor":1.5,"Cap":3600000000000,"MaxAge":86400000000000}}`),
		sealer.Seal([]byte(`{"url":"https://example.com/x","headers":{"x-team":"b"},"signing":[{"secret":"d2hzZWNfYQ==","until":1790000000000}],"auth":"cP8="}`),
			"endpoints", "sealed", "7"), &e)
	if err != nil {
		t.Fatal(err)
	}
	want := store.Endpoint{
		ID: 7, URL: "https://example.com/x", Headers: map[string]string{"x-team": "b"},
		Secrets: []store.SigningSecret{{Secret: "whsec_a", Until: time.UnixMilli(1790000000000).UTC()}},
		Auth:    store.Auth{Kind: store.AuthBasic, Username: "u", Secret: "p\xff"}, Forward: store.Forward{Headers: true, Path: true},
		Subscriptions: []store.Subscription{{Types: []string{"order.**"}}}, RateLimit: store.RateLimit{PerSecond: 2.5, Burst: 10},
		MaxInFlight: 3, MaxQueued: 77, Timeout: 7 * time.Second,
		Retry: store.RetryPolicy{Base: time.Second, Factor: 1.5, Cap: time.Hour, MaxAge: 24 * time.Hour},
	}
	if !reflect.DeepEqual(e, want) {
		t.Errorf("endpoint = %+v, want %+v", e, want)
	}
	src := store.Source{ID: 9}
	err = DecodeSource(sealer, []byte(`{"header":"x-sig"}`), sealer.Seal([]byte(`["b25l","/wA="]`), "sources", "sealed", "9"), &src)
	if err != nil {
		t.Fatal(err)
	}
	if want := (store.Source{ID: 9, Params: map[string]string{"header": "x-sig"}, Secrets: []store.Secret{"one", "\xff\x00"}}); !reflect.DeepEqual(src, want) {
		t.Errorf("source = %+v, want %+v", src, want)
	}
}

func TestSecretsOpenInTheirRowAlone(t *testing.T) {
	t.Parallel()
	sealer := newSealer(t)
	_, sealed, err := EncodeEndpoint(sealer, &store.Endpoint{ID: 7, URL: "https://example.com/canary"})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("canary")) {
		t.Error("what is sealed can be read")
	}
	if err := DecodeEndpoint(sealer, []byte(`{}`), sealed, &store.Endpoint{ID: 8}); !errors.Is(err, store.ErrSealed) {
		t.Errorf("in another row: %v, want %v", err, store.ErrSealed)
	}
	if err := DecodeSource(sealer, nil, sealed, &store.Source{ID: 7}); !errors.Is(err, store.ErrSealed) {
		t.Errorf("in another table: %v, want %v", err, store.ErrSealed)
	}
	if _, sealed, err := EncodeEndpoint(sealer, &store.Endpoint{ID: 7, URL: "x", State: store.EndpointDeleted}); err != nil || sealed != nil {
		t.Errorf("a deleted one's = %x, %v, want nothing", sealed, err)
	}
}

func TestReleasedOnesAreNamedWithTheirTenant(t *testing.T) {
	t.Parallel()
	have := Resources{
		Sources:   []store.Source{{Tenant: "default", Name: "s", ManagedBy: store.ManagedByFile}, {Tenant: "default", Name: "t", ManagedBy: store.ManagedByAPI}},
		Endpoints: []store.Endpoint{{Tenant: "acme", Name: "e", ManagedBy: store.ManagedByFile}},
	}
	applied, err := PlanFile(have, Resources{})
	if want := []string{"source s", "endpoint acme/e"}; err != nil || !reflect.DeepEqual(applied.Released, want) {
		t.Errorf("Released = %q, %v, want %q", applied.Released, err, want)
	}
}

func TestWhatCannotBeWrittenIsNamed(t *testing.T) {
	t.Parallel()
	applied, err := PlanFile(Resources{}, Resources{Endpoints: []store.Endpoint{{Tenant: "acme", Name: "e"}}})
	if err != nil {
		t.Fatal(err)
	}
	refuse := func(*store.Endpoint) error { return store.ErrData }
	err = WriteEndpoints(applied.Endpoints, refuse, nil, nil)
	if !errors.Is(err, store.ErrData) || err.Error() != "endpoint acme/e: refused for its data" {
		t.Errorf("error = %v", err)
	}
}
