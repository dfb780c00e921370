package atrest

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/store"
)

// endpointSpec is what of an endpoint is no secret, as column spec has it.
type endpointSpec struct {
	AuthKind      string               `json:"auth_kind,omitempty"`
	AuthUsername  string               `json:"auth_username,omitempty"`
	AuthHeader    string               `json:"auth_header,omitempty"`
	Forward       store.Forward        `json:"forward,omitzero"`
	Subscriptions []store.Subscription `json:"subscriptions,omitempty"`
	RateLimit     store.RateLimit      `json:"rate_limit,omitzero"`
	MaxInFlight   int                  `json:"max_in_flight,omitempty"`
	MaxQueued     int64                `json:"max_queued,omitempty"`
	Timeout       time.Duration        `json:"timeout,omitempty"` // nanoseconds, as those of Retry
	Retry         store.RetryPolicy    `json:"retry,omitzero"`
}

// endpointSecrets is what is sealed: URLs and headers may carry secrets too.
type endpointSecrets struct {
	URL     string            `json:"url,omitempty"`
	Headers map[string]string `json:"headers,omitempty"`
	Signing []signingSecret   `json:"signing,omitempty"`
	Auth    []byte            `json:"auth,omitempty"`
}

type signingSecret struct {
	Secret []byte `json:"secret"`          // not a string: JSON would have it be UTF-8
	Until  int64  `json:"until,omitempty"` // Unix milliseconds
}

// EncodeEndpoint returns columns spec (JSON) and sealed of an endpoint's row: everything but what has a column of its
// own. A deleted one keeps no secrets: its sealed is nil. The ID must be set, as what is sealed is bound to its row.
func EncodeEndpoint(sealer *store.Sealer, e *store.Endpoint) (spec, sealed []byte, err error) {
	if spec, err = json.Marshal(specOf(e)); err != nil {
		return nil, nil, err
	}
	if e.State == store.EndpointDeleted {
		return spec, nil, nil
	}
	sealed, err = seal(sealer, secretsOf(e), endpointsTable, int64(e.ID))
	return spec, sealed, err
}

// DecodeEndpoint reads what EncodeEndpoint wrote into e, whose ID must be set. ErrSealed when the key is not there.
func DecodeEndpoint(sealer *store.Sealer, spec, sealed []byte, e *store.Endpoint) error {
	var plain endpointSpec
	if err := json.Unmarshal(spec, &plain); err != nil {
		return fmt.Errorf("spec of endpoint %s: %w", e.ID, err)
	}
	e.Auth = store.Auth{Kind: plain.AuthKind, Username: plain.AuthUsername, Header: plain.AuthHeader}
	e.Forward, e.Subscriptions, e.RateLimit = plain.Forward, plain.Subscriptions, plain.RateLimit
	e.MaxInFlight, e.MaxQueued, e.Timeout, e.Retry = plain.MaxInFlight, plain.MaxQueued, plain.Timeout, plain.Retry
	var secrets endpointSecrets
	if err := unseal(sealer, sealed, endpointsTable, int64(e.ID), &secrets); err != nil {
		return err
	}
	e.URL, e.Headers, e.Auth.Secret = secrets.URL, secrets.Headers, store.Secret(secrets.Auth)
	for _, secret := range secrets.Signing {
		until := time.Time{}
		if secret.Until != 0 {
			until = time.UnixMilli(secret.Until).UTC()
		}
		e.Secrets = append(e.Secrets, store.SigningSecret{Secret: store.Secret(secret.Secret), Until: until})
	}
	return nil
}

func specOf(e *store.Endpoint) endpointSpec {
	return endpointSpec{
		AuthKind: e.Auth.Kind, AuthUsername: e.Auth.Username, AuthHeader: e.Auth.Header, Forward: e.Forward,
		Subscriptions: e.Subscriptions, RateLimit: e.RateLimit, MaxInFlight: e.MaxInFlight, MaxQueued: e.MaxQueued,
		Timeout: e.Timeout, Retry: e.Retry,
	}
}

func secretsOf(e *store.Endpoint) endpointSecrets {
	secrets := endpointSecrets{URL: e.URL, Headers: e.Headers, Auth: []byte(e.Auth.Secret.Reveal())}
	for _, secret := range e.Secrets {
		until := int64(0)
		if !secret.Until.IsZero() {
			until = secret.Until.UnixMilli()
		}
		secrets.Signing = append(secrets.Signing, signingSecret{[]byte(secret.Secret.Reveal()), until})
	}
	return secrets
}

// The tables and the column that sealed values are bound to.
const (
	endpointsTable = "endpoints"
	sourcesTable   = "sources"
	sealedColumn   = "sealed"
)

// seal seals v as JSON for a row of a table.
func seal(sealer *store.Sealer, v any, table string, row int64) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return sealer.Seal(plain, table, sealedColumn, strconv.FormatInt(row, 10)), nil
}

// unseal reads what seal wrote, and nothing into v for NULL.
func unseal(sealer *store.Sealer, blob []byte, table string, row int64, v any) error {
	if blob == nil {
		return nil
	}
	plain, err := sealer.Open(blob, table, sealedColumn, strconv.FormatInt(row, 10))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(plain, v); err != nil {
		return fmt.Errorf("%s, row %d: what was sealed is not JSON", table, row) // the cause would quote it
	}
	return nil
}
