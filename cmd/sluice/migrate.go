package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/config"
	storesqlite "github.com/sluicehq/sluice/store/sqlite"
)

func newMigrate(g *global) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema up to date, or say where it stands",
		Long:  "Bring the database's schema up to date, or say where it stands. dev and serve migrate the embedded database themselves.",
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
			path, err := g.storePath()
			if err != nil {
				return err
			}
			n, err := storesqlite.Migrate(cmd.Context(), path, zap.NewNop())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d steps taken, the schema is up to date\n", n)
			return err
		},
	}, &cobra.Command{
		Use:     "status",
		Short:   "List the steps and when they were taken",
		Example: "  sluice migrate status",
		Args:    want(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, err := g.storePath()
			if err != nil {
				return err
			}
			steps, err := storesqlite.Status(cmd.Context(), path)
			if errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("there is no database at %s: 'sluice migrate up', 'sluice serve' or 'sluice dev' makes it", path)
			}
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

func (g *global) storePath() (string, error) {
	cfg, _, err := g.load(config.Defaults(), false)
	if err != nil {
		return "", err
	}
	return filepath.Join(cfg.DataDir, storeFile), nil
}

// openStoreBeside opens the store beside a process that may be running on it.
func openStoreBeside(ctx context.Context, cfg *config.Config) (*storesqlite.Store, error) {
	path := filepath.Join(cfg.DataDir, storeFile)
	sealer, err := openSealer(cfg, false)
	if err != nil {
		return nil, fmt.Errorf("%w; on a new data_dir run 'sluice serve' or 'sluice dev' first, which makes it", err)
	}
	if _, err := storesqlite.Migrate(ctx, path, zap.NewNop()); err != nil {
		return nil, err
	}
	return storesqlite.Open(storesqlite.Config{Path: path, Sealer: sealer}, zap.NewNop(), prometheus.NewRegistry())
}
