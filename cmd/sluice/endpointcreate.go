package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/pkg/control"
	"github.com/sluicehq/sluice/pkg/control/client"
)

// endpointFlags are an endpoint as flags.
type endpointFlags struct {
	file, tenant, url               string
	types, sources, secrets, header []string
	rate                            float64
	inFlight                        int
	timeout                         span
}

func newEndpointsCreate(a *api) *cobra.Command {
	var out output
	f := &endpointFlags{}
	cmd := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Make an endpoint, from flags or a file",
		Long: `Make an endpoint, from flags or from a file: one entry of 'endpoints:' in the configuration file, in YAML or JSON, which
has everything that an endpoint can have.

Deliveries are signed with its secrets (whsec_…, Standard Webhooks). Without any, one is made and shown, once. A secret is
best given as env:NAME or file:PATH, which this command reads: others on this machine can see command lines.`,
		Example: `  sluice endpoints create billing --url https://billing.example.com/hooks --type 'order.**' --type invoice.paid --source shop
  sluice endpoints create audit --url https://audit.example.com/ --type '*'
  sluice endpoints create -f endpoint.yaml`,
		Args: wantAtMost("NAME"),
		RunE: a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			spec, err := f.spec(cmd, args)
			if err != nil {
				return err
			}
			made, err := c.CreateEndpoint(cmd.Context(), spec)
			if err != nil {
				return exists("endpoint", spec.Name, err)
			}
			if out.format.value != asTable {
				return out.one(cmd.OutOrStdout(), made, nil)
			}
			for _, secret := range made.Secrets {
				fmt.Fprintf(cmd.ErrOrStderr(), "Its signing secret, shown this once: %s\n", secret)
			}
			return printEndpoint(cmd, made.Endpoint)
		}),
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "file", "f", "", "`FILE` with the endpoint, YAML or JSON; - is standard input")
	flags.StringVar(&f.url, "url", "", "`URL` that deliveries are posted to")
	flags.StringArrayVar(&f.types, "type", nil, "`PATTERN` of event types it gets: invoice.paid, 'order.*' (one segment), 'order.**', '*' (any); may be repeated")
	flags.StringArrayVar(&f.sources, "source", nil, "`SOURCE` that its events come through; may be repeated (default any)")
	flags.StringArrayVar(&f.secrets, "secret", nil, "signing `SECRET`, or env:NAME or file:PATH; may be repeated (default one is made)")
	flags.StringArrayVar(&f.header, "header", nil, "header of each delivery, `'NAME: VALUE'`; may be repeated")
	flags.Float64Var(&f.rate, "rate", 0, "at most `N` deliveries per second (default no limit)")
	flags.IntVar(&f.inFlight, "max-in-flight", 0, "at most `N` attempts at once (default adaptive)")
	flags.Var(&f.timeout, "timeout", "of one attempt, 1s to 60s (default 15s)")
	flags.StringVar(&f.tenant, "tenant", "", "`TENANT` it belongs to, for keys of scope admin (default the key's own, or default)")
	completeFlag(cmd, "source", a.complete(sourceNames))
	out.bind(cmd)
	return cmd
}

// spec returns the endpoint that the flags or the file describe.
func (f *endpointFlags) spec(cmd *cobra.Command, args []string) (spec control.EndpointSpec, err error) {
	if f.file != "" {
		if err := fileAlone(cmd, args, "url", "type", "source", "secret", "header", "rate", "max-in-flight", "timeout", "tenant"); err != nil {
			return spec, err
		}
		return readSpec[control.EndpointSpec](cmd, f.file)
	}
	switch {
	case len(args) == 0 || f.url == "":
		return spec, usage(cmd, errors.New("want NAME and --url, or -f FILE"))
	case len(f.types) == 0 && len(f.sources) == 0: // who forgets it should not get everybody's events
		return spec, usage(cmd, errors.New("say what it gets: --type PATTERN, --source SOURCE, or --type '*' for everything"))
	}
	spec = control.EndpointSpec{
		Name: args[0], Tenant: f.tenant, URL: f.url, MaxInFlight: f.inFlight, Timeout: control.Duration(time.Duration(f.timeout)),
		Subscriptions: []control.SubscriptionSpec{{Types: f.types, Sources: f.sources}},
	}
	if cmd.Flags().Changed("rate") {
		spec.RateLimit = &control.RateLimitSpec{PerSecond: f.rate}
	}
	if spec.Headers, err = pairs(cmd, "header", ":", f.header); err != nil {
		return spec, err
	}
	spec.Secrets, err = resolveSecrets(cmd, f.secrets)
	return spec, err
}
