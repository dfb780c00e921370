package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/pkg/control"
	"github.com/sluicehq/sluice/pkg/control/client"
	"github.com/sluicehq/sluice/pkg/listener"
	"github.com/sluicehq/sluice/store"
)

// Variables of the environment that the command line reads beside the settings.
const (
	envKey        = "SLUICE_API_KEY"
	envControlURL = "SLUICE_CONTROL_URL"
)

// api is how commands reach the management API.
type api struct {
	global *global
	url    string
	key    string
}

// bind adds the flags to a command and those below it.
func (a *api) bind(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&a.url, "control-url", "", "`URL` of the management API (default $"+envControlURL+", or from control.listen)")
	bindKey(cmd, &a.key)
}

// bindKey adds the flag of the API key. Its default is no default of the flag: the help would print it.
func bindKey(cmd *cobra.Command, key *string) {
	cmd.PersistentFlags().StringVar(key, "api-key", "", "API `KEY` (default $"+envKey+", which other people on this machine cannot see)")
}

func apiKey(flag string) control.Secret {
	if flag != "" {
		return control.Secret(flag)
	}
	return control.Secret(os.Getenv(envKey))
}

// base returns the URL of the API.
func (a *api) base() (string, error) {
	if a.url != "" {
		return a.url, nil
	}
	if url := os.Getenv(envControlURL); url != "" {
		return url, nil
	}
	cfg, _, err := a.global.load(devDefaults(), false)
	if err != nil {
		return "", err
	}
	return localURL(cfg.Control.Listen), nil
}

// call is a command that asks the API.
type call func(cmd *cobra.Command, c *client.Client, args []string) error

// run makes a cobra command's RunE of a call.
func (a *api) run(do call) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, base, err := a.open(cmd)
		if err != nil {
			return err
		}
		defer c.Close()
		return explain(base, do(cmd, c, args))
	}
}

// open returns a client and where it asks.
func (a *api) open(cmd *cobra.Command) (c *client.Client, base string, err error) {
	if base, err = a.base(); err != nil {
		return nil, "", err
	}
	key := apiKey(a.key)
	if c, err = client.New(base, key); err != nil {
		return nil, "", usage(cmd, err)
	}
	if u, err := url.Parse(base); err == nil && u.Scheme == "http" && key != "" && !listener.LoopbackHost(u.Host) {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: the API key goes to %s unencrypted, use https\n", shownURL(base))
	}
	return c, base, nil
}

// explain says in words for people why the API at base did not do it.
func explain(base string, err error) error {
	var answer *client.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answer):
		return explainAnswer(answer, err)
	case errors.Is(err, syscall.ECONNREFUSED):
		return advise(unreachable(base, err), "start 'sluice dev' or 'sluice serve', or say where it is: --control-url or %s", envControlURL)
	}
	return err
}

func explainAnswer(answer *client.Error, err error) error {
	switch answer.Status {
	case http.StatusUnauthorized:
		if os.Getenv(envKey) == "" {
			return advise(errors.New("the management API wants an API key"), "make one with 'sluice keys create', and set %s", envKey)
		}
		return advise(errors.New("the management API does not take this API key"), "make one with 'sluice keys create'; a new one is known within two seconds")
	case http.StatusUnprocessableEntity:
		return problemsOf(answer, err)
	case http.StatusServiceUnavailable:
		return fmt.Errorf("the management API is not available: %w", err)
	}
	return err
}

// problemsOf says what is wrong with a request: in the line of the error if it is one thing.
func problemsOf(answer *client.Error, err error) error {
	switch len(answer.Problems) {
	case 0:
		return err
	case 1:
		return errors.New(printable(answer.Problems[0].String()))
	}
	text := fmt.Sprintf("%d problems:", len(answer.Problems))
	for _, p := range answer.Problems {
		text += "\n  " + oneLine(p.String())
	}
	return errors.New(text)
}

// exists says which name is taken, where the API only says that it is.
func exists(kind, name string, err error) error {
	var answer *client.Error
	if errors.As(err, &answer) && answer.Status == http.StatusConflict {
		return fmt.Errorf("%s %s: %w", kind, oneLine(name), err)
	}
	return err
}

// findSource returns the source of an id or name.
func findSource(ctx context.Context, c *client.Client, tenant, text string) (control.Source, error) {
	if _, err := store.ParseSourceID(text); err == nil {
		src, err := c.Source(ctx, text)
		return src, noneOf("source", text, err)
	}
	return findByName("source", text, c.Sources(ctx, tenant), func(s control.Source) named { return named{s.Name, s.ID, s.Tenant} })
}

// findEndpoint returns the endpoint of an id or name.
func findEndpoint(ctx context.Context, c *client.Client, tenant, text string) (control.Endpoint, error) {
	if _, err := store.ParseEndpointID(text); err == nil {
		e, err := c.Endpoint(ctx, text)
		return e, noneOf("endpoint", text, err)
	}
	return findByName("endpoint", text, c.Endpoints(ctx, tenant), func(e control.Endpoint) named { return named{e.Name, e.ID, e.Tenant} })
}

// noneOf says which thing there is none of, where the API only says that there is none.
func noneOf(kind, id string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("there is no %s %s", kind, oneLine(fmt.Sprintf("%.80s", id)))
	}
	return err
}

// named is what something is found by.
type named struct{ name, id, tenant string }

func findByName[T any](kind, name string, all iter.Seq2[T, error], by func(T) named) (found T, err error) {
	var seen []named
	for item, err := range all {
		if err != nil {
			return found, err
		}
		if n := by(item); n.name == name {
			found, seen = item, append(seen, n)
		}
	}
	switch len(seen) {
	case 0:
		return found, advise(noneOf(kind, name, store.ErrNotFound), "'sluice %ss list' shows those that there are", kind)
	case 1:
		return found, nil
	}
	var ids []string
	for _, n := range seen {
		ids = append(ids, fmt.Sprintf("%s (tenant %s)", n.id, n.tenant))
	}
	return found, advise(fmt.Errorf("%d %ss are called %s: %s", len(seen), kind, name, strings.Join(ids, ", ")), "give its id, or --tenant")
}
