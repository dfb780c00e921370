package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/ingress/provider"
	"github.com/sluicehq/sluice/pkg/control"
	"github.com/sluicehq/sluice/pkg/control/client"
)

func newSources(g *global) *cobra.Command {
	a := &api{global: g}
	cmd := newSourcesList(a)
	cmd.Use, cmd.Short, cmd.GroupID = "sources", "See, make and delete sources: the ways in", groupLook
	cmd.Long = `A source is a way in: what a provider calls, with the secrets that verify it. SOURCE is its name or id.
Without a command it lists them.`
	cmd.Example = `  sluice sources
  sluice sources create shop --provider shopify --secret env:SHOPIFY_SECRET
  sluice sources delete shop`
	a.bind(cmd)
	cmd.AddCommand(newSourcesList(a), newSourcesGet(a), newSourcesCreate(a), newSourcesDelete(a))
	return cmd
}

var sourceColumns = []column[control.Source]{
	{"SOURCE", func(s control.Source) cell { return cell{text: s.Name} }},
	{"PROVIDER", func(s control.Source) cell { return cell{text: s.Provider} }},
	{"CALLED AT", func(s control.Source) cell { return cell{text: calledAt(s)} }},
	{"SECRETS", func(s control.Source) cell { return cell{text: fmt.Sprint(s.SecretCount)} }},
	{"MANAGED BY", func(s control.Source) cell { return cell{text: s.ManagedBy} }},
	{"ID", func(s control.Source) cell { return cell{s.ID, dim} }},
}

func calledAt(s control.Source) string {
	if s.URL != "" {
		return s.URL
	}
	return s.Path
}

func newSourcesList(a *api) *cobra.Command {
	var out output
	var most limits
	var tenant string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List sources",
		Example: `  sluice sources list
  sluice sources list -o yaml`,
		Args: want(),
		RunE: a.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			return list(cmd, &out, &most, c.Sources(cmd.Context(), tenant), sourceColumns, "There are no sources. 'sluice sources create' makes one")
		}),
	}
	most.bind(cmd)
	bindTenant(cmd, &tenant)
	out.bind(cmd)
	return cmd
}

func bindTenant(cmd *cobra.Command, tenant *string) {
	cmd.Flags().StringVar(tenant, "tenant", "", "only of this `TENANT`, for keys of scope admin (default all that the key sees)")
}

func newSourcesGet(a *api) *cobra.Command {
	var out output
	var tenant string
	cmd := &cobra.Command{
		Use:               "get SOURCE",
		Short:             "Show a source",
		Example:           "  sluice sources get github",
		Args:              want("SOURCE"),
		ValidArgsFunction: a.completeFirst(sourceNames),
		RunE: a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			s, err := findSource(cmd.Context(), c, tenant, args[0])
			if err != nil {
				return err
			}
			return out.one(cmd.OutOrStdout(), s, func() error { return printSource(cmd, s) })
		}),
	}
	bindTenant(cmd, &tenant)
	out.bind(cmd)
	return cmd
}

func printSource(cmd *cobra.Command, s control.Source) error {
	w := sheet{style: styleOf(cmd.OutOrStdout())}
	w.add("source", s.Name)
	w.add("id", s.ID)
	w.add("tenant", s.Tenant)
	w.add("provider", s.Provider)
	w.add("called at", calledAt(s))
	w.add("secrets", fmt.Sprint(s.SecretCount))
	for _, p := range sortedPairs(s.Params) {
		w.add("param", p)
	}
	w.add("duplicates", map[bool]string{true: "dropped", false: "go through"}[s.Dedupe])
	w.add("managed by", s.ManagedBy)
	w.add("created", humanTime(s.CreatedAt, time.Now()))
	return w.write(cmd.OutOrStdout())
}

// sourceFlags are a source as flags.
type sourceFlags struct {
	file, tenant, provider string
	secrets, params        []string
	dedupe, generate       bool
}

func newSourcesCreate(a *api) *cobra.Command {
	var out output
	f := &sourceFlags{}
	cmd := &cobra.Command{
		Use:   "create [NAME]",
		Short: "Make a source, from flags or a file",
		Long: `Make a source, from flags or from a file: one entry of 'sources:' in the configuration file, in YAML or JSON.

A secret is best given as env:NAME or file:PATH, which this command reads: others on this machine can see command
lines. Where the provider lets you choose it, --generate-secret makes one and prints it, once.

` + providersHelp(),
		Example: `  sluice sources create shop --provider shopify --secret env:SHOPIFY_SECRET
  sluice sources create ci --provider github --generate-secret
  sluice sources create crm --provider hmac --param header=X-Signature --secret file:/run/secrets/crm
  sluice sources create -f source.yaml`,
		Args: wantAtMost("NAME"),
		RunE: a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			spec, err := f.spec(cmd, args)
			if err != nil {
				return err
			}
			var generated string
			if f.generate {
				preset, ok := provider.Get(spec.Provider)
				if !ok {
					return usage(cmd, fmt.Errorf("--provider: want one of %s", strings.Join(provider.Names(), ", ")))
				}
				generated = preset.NewSecret().Reveal()
				spec.Secrets = append(spec.Secrets, control.Secret(generated))
			}
			made, err := c.CreateSource(cmd.Context(), spec)
			if err != nil {
				return exists("source", spec.Name, err)
			}
			if generated != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "Its secret, shown this once: %s\n", generated)
			}
			return out.one(cmd.OutOrStdout(), made, func() error { return printSource(cmd, made) })
		}),
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "file", "f", "", "`FILE` with the source, YAML or JSON; - is standard input")
	flags.StringVar(&f.provider, "provider", "", "`PRESET` of the provider")
	flags.StringArrayVar(&f.secrets, "secret", nil, "verification `SECRET`, or env:NAME or file:PATH; may be repeated, all are tried")
	flags.BoolVar(&f.generate, "generate-secret", false, "make a secret and print it, once")
	flags.StringArrayVar(&f.params, "param", nil, "constant of the preset, `NAME=VALUE`; may be repeated")
	flags.BoolVar(&f.dedupe, "dedupe", true, "drop what comes again with the same id and body within 72 hours")
	flags.StringVar(&f.tenant, "tenant", "", "`TENANT` it belongs to, for keys of scope admin (default the key's own, or default)")
	completeFlag(cmd, "provider", cobra.FixedCompletions(provider.Names(), cobra.ShellCompDirectiveNoFileComp))
	out.bind(cmd)
	return cmd
}

func providersHelp() string {
	var b strings.Builder
	b.WriteString("Presets:\n")
	for _, name := range provider.Names() {
		preset, _ := provider.Get(name)
		fmt.Fprintf(&b, "  %-18s %s", name, preset.Title)
		for _, p := range preset.Params {
			fmt.Fprintf(&b, ", %s=…", p.Name)
		}
		b.WriteByte('\n')
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// spec returns the source that the flags or the file describe.
func (f *sourceFlags) spec(cmd *cobra.Command, args []string) (spec control.SourceSpec, err error) {
	if f.file != "" {
		if err := fileAlone(cmd, args, "provider", "secret", "generate-secret", "param", "dedupe", "tenant"); err != nil {
			return spec, err
		}
		return readSpec[control.SourceSpec](cmd, f.file)
	}
	if len(args) == 0 || f.provider == "" {
		return spec, usage(cmd, errors.New("want NAME and --provider, or -f FILE"))
	}
	spec = control.SourceSpec{Name: args[0], Tenant: f.tenant, Provider: f.provider, Dedupe: &f.dedupe}
	if spec.Params, err = pairs(cmd, "param", "=", f.params); err != nil {
		return spec, err
	}
	spec.Secrets, err = resolveSecrets(cmd, f.secrets)
	return spec, err
}

func newSourcesDelete(a *api) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use:               "delete SOURCE",
		Short:             "Delete a source; what came through it stays in the history",
		Example:           "  sluice sources delete shop",
		Args:              want("SOURCE"),
		ValidArgsFunction: a.completeFirst(sourceNames),
		RunE: a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			s, err := findSource(cmd.Context(), c, tenant, args[0])
			if err != nil {
				return err
			}
			if err := c.DeleteSource(cmd.Context(), s.ID); err != nil {
				return noneOf("source", args[0], err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "source %s (%s) deleted\n", oneLine(s.Name), s.ID)
			return err
		}),
	}
	bindTenant(cmd, &tenant)
	return cmd
}
