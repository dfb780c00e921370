package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/ingress/provider"
	"github.com/sluicehq/sluice/pkg/config"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

const (
	postTimeout = 15 * time.Second
	answerBytes = 64 << 10
)

func newTrigger(g *global) *cobra.Command {
	var base, source, secret string
	cmd := &cobra.Command{
		Use:   "trigger PROVIDER EVENT",
		Short: "Send a running sluice a signed sample, as the provider would",
		Long: `Post a sample of an event, as the provider documents it and signed as the provider signs, to the local ingress. The secret
is the source's: it is read from the store, or given with --secret.

` + samplesHelp(),
		Example: `  sluice trigger github push
  sluice trigger stripe invoice.paid --source billing
  sluice trigger shopify orders/create --url https://hooks.example.com --secret "$SECRET"`,
		GroupID: groupLook,
		Args:    want("PROVIDER", "EVENT"),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return provider.Names(), cobra.ShellCompDirectiveNoFileComp
			}
			return sampleNames(args[0]), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, _, err := g.load(devDefaults(), false)
			if err != nil {
				return err
			}
			preset, ok := provider.Get(args[0])
			if !ok {
				return usage(cmd, fmt.Errorf("provider %q: want one of %s", args[0], strings.Join(provider.Names(), ", ")))
			}
			sample, ok := preset.Sample(args[1])
			if !ok {
				return usage(cmd, fmt.Errorf("event %q: %s has %s", args[1], preset.Name, strings.Join(sampleNames(preset.Name), ", ")))
			}
			if source == "" {
				source = preset.Name
			}
			if base == "" {
				base = localURL(cfg.Ingress.Listen)
			}
			src := store.Source{Name: source, Provider: preset.Name, Secrets: []store.Secret{store.Secret(secret)}}
			if secret == "" {
				if src, err = sourceWithSecrets(cmd.Context(), cfg, source, preset.Name); err != nil {
					return err
				}
			}
			return trigger(cmd, preset, src, sample, strings.TrimSuffix(base, "/")+"/in/"+source)
		},
	}
	cmd.Flags().StringVar(&base, "url", "", "`URL` of the ingress (default from ingress.listen)")
	cmd.Flags().StringVar(&source, "source", "", "`NAME` of the source (default the provider's)")
	cmd.Flags().StringVar(&secret, "secret", "", "`SECRET` of the source (default from the store)")
	return cmd
}

func sampleNames(name string) []string {
	preset, ok := provider.Get(name)
	if !ok {
		return nil
	}
	var out []string
	for _, s := range preset.Samples() {
		out = append(out, s.Event)
	}
	return out
}

func samplesHelp() string {
	var b strings.Builder
	b.WriteString("Providers and their events:\n")
	for _, name := range provider.Names() {
		fmt.Fprintf(&b, "  %-18s %s\n", name, strings.Join(sampleNames(name), ", "))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// localURL is how a listener is reached from this machine.
func localURL(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "http://" + listen // validated: it does not happen
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// sourceWithSecrets reads a source with its secrets from the store, beside the process that runs on it.
func sourceWithSecrets(ctx context.Context, cfg *config.Config, name, preset string) (store.Source, error) {
	db, err := databaseOf(cfg)
	if err != nil {
		return store.Source{}, err
	}
	st, err := openStoreBeside(ctx, cfg)
	if err != nil {
		return store.Source{}, fmt.Errorf("read the source's secret: %w; or give it with --secret", err)
	}
	defer st.Close() //nolint:errcheck // it was only read
	changes, err := st.Changes(ctx, 0)
	if err != nil {
		return store.Source{}, err
	}
	for _, s := range changes.Sources {
		if s.Tenant == event.DefaultTenant && s.Name == name {
			if s.Provider != preset {
				return s, fmt.Errorf("source %s is of provider %s, not %s: name another with --source", name, s.Provider, preset)
			}
			return s, nil
		}
	}
	return store.Source{}, advise(fmt.Errorf("there is no source %s in %v", oneLine(name), db),
		"name another with --source, or make it: 'sluice sources create %s --provider %s --generate-secret'", oneLine(name), preset)
}

// trigger signs the sample and posts it.
func trigger(cmd *cobra.Command, preset *provider.Preset, src store.Source, sample provider.Sample, url string) error {
	scheme, err := preset.Bind(src.Params, src.Secrets)
	if err != nil {
		return err
	}
	now := time.Now()
	req := sample.Request(now)
	req.URL = url
	if err := scheme.Sign(req, now); err != nil {
		return fmt.Errorf("sign as %s: %w", preset.Name, err)
	}
	status, answer, err := post(cmd.Context(), url, req.Header, req.Body)
	if err != nil {
		return err
	}
	if status/100 != 2 {
		return fmt.Errorf("%s answered %d: %s", shownURL(url), status, strings.TrimSpace(printable(string(answer))))
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s %s → %s answered %d: accepted, and durable\n", preset.Name, sample.Event, shownURL(url), status)
	return err
}

// post sends a request to a sluice.
func post(ctx context.Context, url string, header http.Header, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header = header
	client := http.Client{Timeout: postTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, advise(unreachable(url, err), "start 'sluice dev' or 'sluice serve', or say where it is with --url")
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(res.Body, answerBytes))
	return res.StatusCode, answer, err
}
