package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/ingress/provider"
	"github.com/sluicehq/sluice/store"
)

// maxVerifyBody bounds what verify reads, in bytes.
const maxVerifyBody = 32 << 20

// verifyFlags are a request and what it is verified with.
type verifyFlags struct {
	provider, publicKey, method, url, body, at string
	secrets, params, headers                   []string
}

func newVerify() *cobra.Command {
	f := &verifyFlags{}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check a provider's signature offline, with the engine that ingress uses",
		Long: `Check a provider's signature over the exact bytes of a body, with the engine that ingress uses. Prints "valid" and exits
0, or prints "invalid: REASON" and exits 1. Nothing is sent anywhere.`,
		Example: `  sluice verify --provider github --secret "$SECRET" --header "X-Hub-Signature-256: sha256=…" --body payload.json
  curl -s localhost/raw | sluice verify --provider stripe --secret whsec_… --header "Stripe-Signature: t=…,v1=…" --at 1732480000
  sluice verify --provider hmac --param header=X-Signature --secret s3cret… --header "X-Signature: …" --at ""`,
		GroupID: groupHelp,
		Args:    want(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			scheme, err := f.scheme(cmd)
			if err != nil {
				return err
			}
			req, err := f.request(cmd)
			if err != nil {
				return err
			}
			at, err := parseAt(f.at)
			if err != nil {
				return usage(cmd, err)
			}
			var invalid *provider.InvalidError
			switch err := scheme.Verify(req, at); {
			case err == nil:
				fmt.Fprintln(cmd.OutOrStdout(), "valid")
				return nil
			case errors.As(err, &invalid):
				fmt.Fprintf(cmd.OutOrStdout(), "invalid: %s: %v\n", invalid.Reason, err)
				return errSaid
			default:
				return err
			}
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.provider, "provider", "", "`PRESET` of the provider: "+strings.Join(provider.Names(), ", "))
	flags.StringArrayVar(&f.secrets, "secret", nil, "verification `SECRET`; several are all tried")
	flags.StringVar(&f.publicKey, "public-key", "", "verification `KEY` of providers that sign with a private one")
	flags.StringArrayVar(&f.params, "param", nil, "constant of the preset, `NAME=VALUE`; may be repeated")
	flags.StringVar(&f.method, "method", http.MethodPost, "`METHOD` of the request")
	flags.StringVar(&f.url, "url", "", "public `URL` that the provider called")
	flags.StringArrayVar(&f.headers, "header", nil, "header of the request, `'NAME: VALUE'`; may be repeated")
	flags.StringVar(&f.body, "body", "-", "`FILE` with the exact body; - is standard input")
	flags.StringVar(&f.at, "at", "now", "`WHEN` it is checked for: now, Unix seconds or RFC 3339; \"\" skips the time check")
	return cmd
}

// scheme binds the preset to what the flags say.
func (f *verifyFlags) scheme(cmd *cobra.Command) (*provider.Scheme, error) {
	preset, ok := provider.Get(f.provider)
	if !ok {
		return nil, usage(cmd, fmt.Errorf("--provider %q: want one of %s", f.provider, strings.Join(provider.Names(), ", ")))
	}
	params := map[string]string{}
	for _, p := range f.params {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return nil, usage(cmd, fmt.Errorf("--param %q: want NAME=VALUE", p))
		}
		params[name] = value
	}
	var secrets []store.Secret
	for _, s := range f.secrets {
		secrets = append(secrets, store.Secret(s))
	}
	if f.publicKey != "" {
		secrets = append(secrets, store.Secret(f.publicKey))
	}
	scheme, err := preset.Bind(params, secrets)
	if err != nil {
		return nil, usage(cmd, err)
	}
	return scheme, nil
}

// request reads the request that the flags describe.
func (f *verifyFlags) request(cmd *cobra.Command) (*provider.Request, error) {
	req := &provider.Request{Method: f.method, URL: f.url, Header: http.Header{}}
	if u, err := url.Parse(f.url); err != nil {
		return nil, usage(cmd, errors.New("--url: not a URL"))
	} else if u != nil {
		req.Query = u.RawQuery
	}
	for _, h := range f.headers {
		name, value, ok := strings.Cut(h, ":")
		if !ok {
			return nil, usage(cmd, errors.New("--header: want 'NAME: VALUE'"))
		}
		req.Header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	var err error
	req.Body, err = readBody(cmd, f.body)
	return req, err
}

// readBody reads a file, or standard input for "-".
func readBody(cmd *cobra.Command, path string) ([]byte, error) {
	in := cmd.InOrStdin()
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close() //nolint:errcheck // it was only read
		in = file
	}
	body, err := io.ReadAll(io.LimitReader(in, maxVerifyBody+1))
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	if len(body) > maxVerifyBody {
		return nil, fmt.Errorf("body: larger than %d MiB", maxVerifyBody>>20)
	}
	return body, nil
}

// parseAt reads a moment; the zero time skips the check.
func parseAt(at string) (time.Time, error) {
	switch at {
	case "":
		return time.Time{}, nil
	case "now":
		return time.Now(), nil
	}
	if sec, err := strconv.ParseInt(at, 10, 64); err == nil {
		return time.Unix(sec, 0), nil
	}
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return time.Time{}, fmt.Errorf("--at %q: want Unix seconds, RFC 3339, or an empty text", at)
	}
	return t, nil
}
