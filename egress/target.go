package egress

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/sluicehq/sluice/pkg/dialguard"
	"github.com/sluicehq/sluice/pkg/webhook"
	"github.com/sluicehq/sluice/store"
)

// errUnsendable: the endpoint as it is configured has no request that could be sent.
var errUnsendable = errors.New("cannot be sent")

// target is what all requests to an endpoint have in common, prepared once. It is immutable.
type target struct {
	endpoint *store.Endpoint
	err      error // why nothing can be sent; then the rest is empty

	key     poolKey         // where to connect
	path    string          // as in the request line; starts with a slash
	query   string          // without its question mark
	headers []byte          // the lines that never change
	names   map[string]bool // of the endpoint's own headers and its auth, in lower case

	signer *webhook.Signer // nil: the endpoint has no secret in force
	until  time.Time       // a secret retires then, and the target with it; zero: never
	hidden []string        // what must not be shown, should the endpoint echo it
}

// newTarget prepares what goes to endpoint from now on. It always returns a target; its err says what is wrong.
func newTarget(endpoint *store.Endpoint, guard *dialguard.Guard, userAgent string, now time.Time) *target {
	t := &target{endpoint: endpoint, names: make(map[string]bool)}
	for _, prepare := range []func() error{
		func() error { return t.setURL(guard) },
		func() error { return t.setHeaders(userAgent) },
		func() error { return t.setSigner(now) },
	} {
		if err := prepare(); err != nil {
			return &target{endpoint: endpoint, err: fmt.Errorf("%w: %w", errUnsendable, err)}
		}
	}
	return t
}

func (t *target) setURL(guard *dialguard.Guard) error {
	u, err := guard.ParseURL(t.endpoint.URL)
	if err != nil {
		return err
	}
	port := u.Port()
	if u.Scheme == "https" {
		t.key.host = u.Hostname()
		port = cmp.Or(port, "443")
	}
	t.key.address = net.JoinHostPort(u.Hostname(), cmp.Or(port, "80"))
	t.headers = appendHeader(t.headers, "host", strings.TrimSuffix(u.Host, ":"))
	t.path, t.query = requestPath(u), u.RawQuery
	return nil
}

func requestPath(u *url.URL) string {
	if path := u.EscapedPath(); path != "" {
		return path
	}
	return "/"
}

func (t *target) setHeaders(userAgent string) error {
	authName, authValue, err := authHeader(t.endpoint.Auth)
	if err != nil {
		return err
	}
	hasAuth := t.endpoint.Auth.Kind != "" && t.endpoint.Auth.Kind != store.AuthNone
	if hasAuth {
		if err := checkHeader(authName, authValue); err != nil {
			return fmt.Errorf("auth: %w", err)
		}
		t.names[strings.ToLower(authName)] = true
		t.hidden = append(t.hidden, authValue, t.endpoint.Auth.Secret.Reveal())
	}
	for name, value := range t.endpoint.Headers {
		if err := checkHeader(name, value); err != nil {
			return err
		}
		lower := strings.ToLower(name)
		if hasAuth && lower == strings.ToLower(authName) {
			continue // auth has the last word
		}
		t.names[lower] = true
		t.headers = appendHeader(t.headers, name, value)
	}
	if !t.names["user-agent"] {
		t.headers = appendHeader(t.headers, "user-agent", userAgent)
	}
	if hasAuth {
		t.headers = appendHeader(t.headers, authName, authValue)
	}
	return nil
}

// authHeader returns the header that auth asks for; name is empty for none.
func authHeader(auth store.Auth) (name, value string, err error) {
	secret := auth.Secret.Reveal()
	switch auth.Kind {
	case "", store.AuthNone:
		return "", "", nil
	case store.AuthBasic:
		return "authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(auth.Username+":"+secret)), nil
	case store.AuthBearer:
		return "authorization", "Bearer " + secret, nil
	case store.AuthHeader:
		return auth.Header, secret, nil
	}
	return "", "", fmt.Errorf("auth of kind %q, want none, basic, bearer or header", auth.Kind)
}

// setSigner takes the secrets that are in force now, and notes when the first of them retires.
func (t *target) setSigner(now time.Time) (err error) {
	var secrets []string
	for _, s := range t.endpoint.Secrets {
		if !s.Until.IsZero() && !now.Before(s.Until) {
			continue
		}
		secrets = append(secrets, s.Secret.Reveal())
		if !s.Until.IsZero() && (t.until.IsZero() || s.Until.Before(t.until)) {
			t.until = s.Until
		}
	}
	if len(secrets) == 0 {
		return nil
	}
	t.signer, err = webhook.NewSigner(secrets...)
	return err
}

// serves reports whether t is still what a request to endpoint must be made from.
func (t *target) serves(endpoint *store.Endpoint, now time.Time) bool {
	return t.endpoint == endpoint && (t.until.IsZero() || now.Before(t.until))
}
