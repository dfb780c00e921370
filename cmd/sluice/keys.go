package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/pkg/config"
	"github.com/sluicehq/sluice/pkg/control"
	"github.com/sluicehq/sluice/store"
)

func newKeys(g *global) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "keys",
		Short:   "Make API keys",
		Long:    "Make API keys. They are written to the store, beside a running sluice, which takes them in within two seconds.",
		Example: "  sluice keys create",
		GroupID: groupRun,
		Args:    want(),
		RunE:    needsSubcommand,
	}
	var name, tenant, scope string
	create := &cobra.Command{
		Use:   "create",
		Short: "Make a key and print it, once",
		Example: `  sluice keys create --scope admin
  sluice keys create --scope publish --tenant acme --name backend`,
		Args: want(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			text, key, err := control.GenerateKey(name, tenant, store.Scope(scope))
			if err != nil {
				return usage(cmd, err)
			}
			cfg, _, err := g.load(config.Defaults(), false)
			if err != nil {
				return err
			}
			st, err := openStoreFirst(cmd.Context(), cfg, true)
			if err != nil {
				return err
			}
			made, err := st.CreateKey(cmd.Context(), key)
			if err = errors.Join(err, st.Close()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s, scope %s. It is shown this once:\n", made.ID, made.Scope)
			_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
			return err
		},
	}
	create.Flags().StringVar(&name, "name", "cli", "`NAME` that people call it by")
	create.Flags().StringVar(&tenant, "tenant", "", "`TENANT` it is bound to (default \"default\"; none for admin)")
	create.Flags().StringVar(&scope, "scope", string(store.ScopeAdmin), "`SCOPE`: admin, tenant or publish")
	cmd.AddCommand(create)
	return cmd
}
