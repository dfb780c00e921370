package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/ingress/provider"
	"github.com/sluicehq/sluice/pkg/config"
	"github.com/sluicehq/sluice/pkg/control"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/pkg/webhook"
	"github.com/sluicehq/sluice/store"
)

// devReceiver is the name of the endpoint that dev has built in.
const devReceiver = "dev-receiver"

func newDev(g *global) *cobra.Command {
	quiet := false
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on this machine, ready to be tried: no keys, a source for each provider, a receiver that prints",
		Long: `Run everything in one process on loopback: no API keys, deliveries to http and loopback allowed, a ready-made source for
each provider with its secret, and a built-in receiver that prints what arrives. It is as durable as serve: what it
accepted survives a kill. Settings of a configuration file and of the environment hold here too.`,
		Example: `  sluice dev
  sluice trigger github push                                 # in another terminal
  sluice send --type order.paid --data '{"amount": 12}'`,
		GroupID: groupRun,
		Args:    want(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, log, err := g.prepare(devDefaults(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return dev(cmd.Context(), cfg, log, cmd.OutOrStdout(), !quiet)
		},
	}
	cmd.Flags().BoolVar(&quiet, "no-receiver", false, "leave the built-in receiver out")
	return cmd
}

// devDefaults are the production defaults, less what stands in the way on a laptop.
func devDefaults() config.Config {
	c := config.Defaults()
	c.Ingress.Listen = "127.0.0.1:8080"
	c.Control.Auth = control.AuthNone
	c.Network.Allow = []string{"127.0.0.0/8", "::1/128"}
	c.Network.AllowHTTP = true
	c.Telemetry.LogLevel = "warn"
	return c
}

func dev(ctx context.Context, cfg *config.Config, log *zap.Logger, out io.Writer, receive bool) error {
	opened := func(p *process) error {
		sources, err := p.devSources(ctx)
		if err != nil {
			return err
		}
		p.snapshot.Wake()
		return p.greet(out, sources, receive)
	}
	all := roles{ingress: true, egress: true, control: true}
	if !receive {
		return serve(ctx, cfg, all, log, opened)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("receiver: %w", err)
	}
	r := &receiver{out: out, style: styleOf(out), secret: webhook.GenerateSecret(), status: http.StatusOK}
	cfg.Resources.Endpoints = append(cfg.Resources.Endpoints, r.endpoint(ln))
	beside, stop := context.WithCancel(context.WithoutCancel(ctx)) // it outlives the drain
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- r.run(beside, ln, log) }()
	err = serve(ctx, cfg, all, log, opened)
	stop()
	return errors.Join(err, <-ended)
}

// endpoint is the receiver as an endpoint, on the port it got this time.
func (r *receiver) endpoint(ln net.Listener) store.Endpoint {
	return store.Endpoint{
		Tenant: event.DefaultTenant, Name: devReceiver, URL: "http://" + ln.Addr().String() + "/",
		Secrets:       []store.SigningSecret{{Secret: store.Secret(r.secret)}},
		Subscriptions: []store.Subscription{{}}, MaxQueued: store.DefaultMaxQueued, Timeout: store.DefaultTimeout, Retry: store.DefaultRetry(),
		State: store.EndpointActive, ManagedBy: store.ManagedByFile,
	}
}

// devSources makes the sources that are missing, one for each provider, and returns all, with their secrets.
func (p *process) devSources(ctx context.Context) ([]store.Source, error) {
	for _, name := range provider.Names() {
		preset, _ := provider.Get(name)
		params := map[string]string{}
		for _, param := range preset.Params {
			if param.Required && param.Default == "" {
				params[param.Name] = devParam(param)
			}
		}
		_, err := p.store.CreateSource(ctx, store.Source{
			Tenant: event.DefaultTenant, Name: name, Provider: name, Params: params, Secrets: []store.Secret{preset.NewSecret()}, Dedupe: true,
			ManagedBy: store.ManagedByAPI,
		})
		if err != nil && !errors.Is(err, store.ErrExists) {
			return nil, fmt.Errorf("source %s: %w", name, err)
		}
	}
	return p.store.ListSources(ctx, event.DefaultTenant, 0, 250)
}

// devParam makes up a required parameter.
func devParam(param provider.Param) string {
	if len(param.Values) > 0 {
		return param.Values[0]
	}
	return "X-Signature"
}

// greet tells people where everything is and what to type next.
func (p *process) greet(out io.Writer, sources []store.Source, receive bool) error {
	base := localURL(p.ingressOn.Addr().String())
	st := styleOf(out)
	w := &lines{out: out}
	w.add("%s What it keeps is in %s.", st.paint(bold, "Sluice "+version+" is ready."), p.cfg.DataDir)
	w.add("")
	w.add("  ingress   %s/in/SOURCE, and POST %s/v1/events", base, base)
	w.add("  control   %s/v1/…, described at /openapi.json", localURL(p.controlOn.Addr().String()))
	w.add("  ops       %s/metrics, /readyz, /healthz", localURL(p.opsOn.Addr().String()))
	w.add("")
	w.add("%s", st.paint(bold, "A source for each provider, with its secret:"))
	w.add("")
	width := 0
	for _, s := range sources {
		width = max(width, len(s.Name))
	}
	for _, s := range sources {
		secret := "(in the configuration file)"
		if s.ManagedBy != store.ManagedByFile && len(s.Secrets) > 0 {
			secret = s.Secrets[0].Reveal()
		}
		w.add("  %-*s  %s/in/%-*s  %s", width, s.Name, base, width, s.Name, st.paint(dim, secret))
	}
	w.add("")
	w.add("%s", st.paint(bold, "Type next, in another terminal:"))
	w.add("")
	for _, next := range nextCommands {
		w.add("  %-56s %s", next[0], st.paint(dim, "# "+next[1]))
	}
	if receive {
		w.add("")
		w.add("%s", st.paint(bold, "What is delivered is printed here. Ctrl-C stops."))
	}
	return w.err
}

// nextCommands are what a newcomer should try, and what each does.
var nextCommands = [][2]string{
	{"sluice trigger github push", "a sample, signed as GitHub signs"},
	{`sluice send --type order.paid --data '{"amount": 12}'`, "an event of your own"},
	{"sluice events", "what came in"},
	{"sluice deliveries", "where it went"},
	{"sluice listen --type 'order.**' --fail-first 2", "another receiver, to see retries"},
}

// lines writes lines until one fails.
type lines struct {
	out io.Writer
	err error
}

func (l *lines) add(format string, args ...any) {
	if l.err == nil {
		_, l.err = fmt.Fprintf(l.out, format+"\n", args...)
	}
}
