package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/sluicehq/sluice/pkg/config"
	"github.com/sluicehq/sluice/pkg/telemetry"
)

func newServe(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run everything in one process, with production defaults",
		Long: `Run ingress, egress and control in one process, on an embedded broker and database under data_dir. With store.url
postgres://… the database is PostgreSQL; bring its schema up to date with 'sluice migrate up' before.

The management API needs a key: make the first with 'sluice keys create'. SIGTERM stops it in order: no new requests,
running deliveries end or are queued, everything is recorded. A second signal ends it at once, and loses nothing either.`,
		Example: `  sluice serve
  sluice serve --config /etc/sluice.yaml
  SLUICE_DATA_DIR=/var/lib/sluice sluice serve`,
		GroupID: groupRun,
		Args:    want(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, log, err := g.prepare(config.Defaults(), cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, roles{ingress: true, egress: true, control: true}, log, func(*process) error { return nil })
		},
	}
}

// prepare loads the configuration with its resources and makes the logger.
func (g *global) prepare(base config.Config, errOut io.Writer) (*config.Config, *zap.Logger, error) {
	cfg, warnings, err := g.load(base, true)
	if err != nil {
		return nil, nil, err
	}
	log, err := telemetry.NewLogger(errOut, cfg.Telemetry.LogFormat, cfg.Telemetry.LogLevel)
	if err != nil {
		return nil, nil, err
	}
	for _, w := range warnings {
		log.Warn(w)
	}
	return cfg, log, nil
}

// serve opens the process, tells opened, and runs until ctx ends.
func serve(ctx context.Context, cfg *config.Config, rs roles, log *zap.Logger, opened func(*process) error) (err error) {
	start := time.Now()
	p, err := open(ctx, cfg, rs, log)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := p.close(context.WithoutCancel(ctx)); err == nil {
			err = closeErr
		}
		log.Info("stopped")
	}()
	fields := []zap.Field{zap.String("version", version), zap.String("data_dir", cfg.DataDir), zap.Duration("took", time.Since(start))}
	if p.ingressOn != nil {
		fields = append(fields, zap.String("ingress", "http://"+p.ingressOn.Addr().String()))
	}
	if p.controlOn != nil {
		fields = append(fields, zap.String("control", "http://"+p.controlOn.Addr().String()))
	}
	log.Info("started", append(fields, zap.String("ops", "http://"+p.opsOn.Addr().String()))...)
	if err := opened(p); err != nil {
		return err
	}
	return p.run(ctx)
}

// newRole is one of the processes of a fleet. This version has no broker that processes can share.
func newRole(g *global, name, short string) *cobra.Command {
	return &cobra.Command{
		Use:     name,
		Short:   short,
		Example: "  sluice " + name + " --config /etc/sluice.yaml",
		GroupID: groupRun,
		Args:    want(),
		RunE: func(*cobra.Command, []string) error {
			cfg, _, err := g.load(config.Defaults(), false)
			if err != nil {
				return err
			}
			db, err := databaseOf(cfg)
			if err != nil {
				return err
			}
			return fmt.Errorf(`separate processes share nothing but broker and store, and the embedded broker is for one process alone:
  broker.url: %s
  store: %s
Run 'sluice serve' for all roles in one process. A fleet needs store.url postgres://, and broker.url kafka://, sqs:// or
pubsub://, which this version does not have yet`, cfg.Broker.URL, db)
		},
	}
}

func newIngress(g *global) *cobra.Command {
	return newRole(g, "ingress", "Run the front door of a fleet: receive, verify, publish")
}

func newEgress(g *global) *cobra.Command {
	return newRole(g, "egress", "Run a dispatcher of a fleet: consume, fan out, deliver")
}

func newControl(g *global) *cobra.Command {
	return newRole(g, "control", "Run the management API of a fleet")
}
