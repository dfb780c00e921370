package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/config"
)

func newMigrate(g *global) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema up to date, or say where it stands",
		Long: `Bring the database's schema up to date, or say where it stands. dev and serve migrate the embedded database themselves;
on PostgreSQL nothing does, and processes refuse to start on a schema that is older than they are. Run 'up' with the new
binary before it is started: those of the version before work on beside the new schema.`,
		Example: `  sluice migrate status
  sluice migrate up`,
		GroupID: groupRun,
		Args:    want(),
		RunE:    needsSubcommand,
	}
	cmd.AddCommand(&cobra.Command{
		Use:     "up",
		Short:   "Take every step that is missing",
		Example: "  sluice migrate up --config /etc/sluice.yaml",
		Args:    want(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, err := g.database()
			if err != nil {
				return err
			}
			n, err := db.migrate(cmd.Context(), zap.NewNop())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d steps taken, the schema of %s is up to date\n", n, db)
			return err
		},
	}, &cobra.Command{
		Use:     "status",
		Short:   "List the steps and when they were taken",
		Example: "  sluice migrate status",
		Args:    want(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, err := g.database()
			if err != nil {
				return err
			}
			steps, err := db.status(cmd.Context())
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "VERSION\tNAME\tTAKEN")
			for _, s := range steps {
				taken := "not yet"
				if !s.AppliedAt.IsZero() {
					taken = s.AppliedAt.Format(time.RFC3339)
				}
				fmt.Fprintf(w, "%d\t%s\t%s\n", s.Version, s.Name, taken)
			}
			return w.Flush()
		},
	})
	return cmd
}

// database reads the configuration for the store it names.
func (g *global) database() (database, error) {
	cfg, _, err := g.load(config.Defaults(), false)
	if err != nil {
		return nil, err
	}
	return databaseOf(cfg)
}
