package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/pkg/config"
	"github.com/sluicehq/sluice/store"
)

func newApply(g *global) *cobra.Command {
	var file string
	var prune, dryRun bool
	format := choice{asTable, []string{asTable, asJSON, asYAML}}
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Make sources and endpoints what a file says",
		Long: `Create, update and take over the sources and endpoints that FILE names, all of them or none. The file manages them from
then on: the API shows them and does not change them, but for pausing, resuming and enabling. What the file managed before
and no longer names stays in force and is released to the API, with a warning; --prune deletes it instead.

FILE is written like the configuration file, which is what is read without -f. What FILE does not set, such as store.url,
is taken from --config. It is written to the store, beside running processes, which take it in within two seconds. Secrets
are not printed: of a secret that differs it is said that it does.`,
		Example: `  sluice apply --dry-run
  sluice apply -f webhooks.yaml --prune
  sluice apply -f webhooks.yaml --dry-run -o json`,
		GroupID: groupRun,
		Args:    want(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, warnings, err := g.loadResources(cmd, file)
			if err != nil {
				return err
			}
			for _, w := range warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
			}
			if cfg.Sources == nil && cfg.Endpoints == nil { // the wrong file would release, or delete, everything
				return advise(errors.New("the file names neither sources nor endpoints"), "write 'sources: []' to say that there are none")
			}
			applied, err := applyResources(cmd.Context(), cfg, prune, dryRun)
			if err != nil {
				return err
			}
			becomes := "the API manages it from now on; --prune would have deleted it"
			if dryRun {
				becomes = "the API would manage it; --prune would delete it"
			}
			for _, name := range applied.Released {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: the file no longer names %s: %s\n", oneLine(name), becomes)
			}
			return printApplied(cmd.OutOrStdout(), format.value, &applied, dryRun)
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "`FILE` with the sources and endpoints (default the configuration file)")
	cmd.Flags().BoolVar(&prune, "prune", false, "delete what the file managed and no longer names; what is queued for an endpoint is canceled")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "change nothing, and print what would change")
	format.bind(cmd, "output", "o", "how it is printed")
	return cmd
}

// loadResources loads the configuration with the sources and endpoints of a file, whose settings come before those of
// the configuration file.
func (g *global) loadResources(cmd *cobra.Command, file string) (*config.Config, []string, error) {
	if file == "" {
		if _, err := os.Stat(config.DefaultPath); g.config == "" && errors.Is(err, fs.ErrNotExist) {
			// Nothing named would release, or delete, everything.
			return nil, nil, usage(cmd, fmt.Errorf("want -f FILE: there is no %s either", config.DefaultPath))
		}
		return g.load(config.Defaults(), true)
	}
	cfg, _, err := g.load(config.Defaults(), false)
	if err != nil {
		return nil, nil, err
	}
	base := *cfg
	base.Sources, base.Endpoints = nil, nil
	return (&global{config: file}).load(base, true)
}

// applyResources writes to the store beside processes that may be running on it.
func applyResources(ctx context.Context, cfg *config.Config, prune, dryRun bool) (applied store.Applied, err error) {
	var options []store.ApplyOption
	if prune {
		options = append(options, store.ApplyPrune)
	}
	if dryRun {
		options = append(options, store.ApplyDryRun)
	}
	st, err := openStoreToApply(ctx, cfg, dryRun)
	if err != nil {
		return applied, err
	}
	applied, err = st.ApplyFile(ctx, cfg.Resources.Sources, cfg.Resources.Endpoints, options...)
	return applied, errors.Join(err, st.Close())
}

// openStoreToApply makes the embedded store if need be, as the first start would, but not for a dry run.
func openStoreToApply(ctx context.Context, cfg *config.Config, dryRun bool) (store.Store, error) {
	if db, err := databaseOf(cfg); err != nil {
		return nil, err
	} else if own, ok := db.(embedded); ok && dryRun {
		if _, err := os.Stat(own.path); errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no database at %s yet, so all of it would be created", own.path)
		}
	}
	return openStoreFirst(ctx, cfg, !dryRun)
}
