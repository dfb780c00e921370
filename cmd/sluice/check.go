package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"go.uber.org/zap"

	brokersqlite "github.com/sluicehq/sluice/broker/sqlite"
	"github.com/sluicehq/sluice/ingress/provider"
	"github.com/sluicehq/sluice/pkg/config"
	"github.com/sluicehq/sluice/pkg/dialguard"
)

const checkTimeout = 10 * time.Second

func newCheck(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Validate the configuration and probe what it names; print every problem",
		Long: `Validate the configuration file and the environment, probe broker, store and the endpoints' addresses, and print every
problem. It changes nothing and may run beside a running sluice. Exits 1 if there is a problem; warnings do not count.`,
		Example: "  sluice check --config /etc/sluice.yaml",
		GroupID: groupRun,
		Args:    want(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, warnings, err := g.load(config.Defaults(), true)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), checkTimeout)
			defer cancel()
			c := &checker{cfg: cfg, warnings: warnings}
			c.all(ctx)
			for _, w := range c.warnings {
				fmt.Fprintf(cmd.OutOrStdout(), "warning: %s\n", w)
			}
			for _, p := range c.problems {
				fmt.Fprintf(cmd.OutOrStdout(), "problem: %v\n", p)
			}
			if len(c.problems) > 0 {
				return errSaid
			}
			fmt.Fprintln(cmd.OutOrStdout(), "ok")
			return nil
		},
	}
}

type checker struct {
	cfg      *config.Config
	warnings []string
	problems []error
}

func (c *checker) problem(err error) {
	if err != nil {
		c.problems = append(c.problems, err)
	}
}

// found notes what the Check of a part reports, one by one, behind what it does not say itself.
func (c *checker) found(prefix string, err error) {
	problems, warnings := sortProblems(err)
	for _, w := range warnings {
		c.warnings = append(c.warnings, prefix+w.Error())
	}
	for _, p := range problems {
		c.problems = append(c.problems, fmt.Errorf("%s%w", prefix, p))
	}
}

// sortProblems takes apart what a Check has joined. Warnings are errors that say so, as store.Warning does.
func sortProblems(err error) (problems, warnings []error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		if list := joined.Unwrap(); err.Error() == errors.Join(list...).Error() { // else it has words of its own
			for _, e := range list {
				p, w := sortProblems(e)
				problems, warnings = append(problems, p...), append(warnings, w...)
			}
			return problems, warnings
		}
	}
	var w interface{ IsWarning() bool }
	switch {
	case err == nil:
		return nil, nil
	case errors.As(err, &w) && w.IsWarning():
		return nil, []error{err}
	}
	return []error{err}, nil
}

func (c *checker) all(ctx context.Context) {
	c.secrets()
	c.endpoints(ctx)
	if _, err := os.Stat(c.cfg.DataDir); errors.Is(err, fs.ErrNotExist) {
		c.warnings = append(c.warnings, fmt.Sprintf("data_dir: %s is not there yet, it is made at the first start", c.cfg.DataDir))
	} else {
		c.broker(ctx)
	}
	c.store(ctx)
}

// secrets warns about secrets that are easily guessed.
func (c *checker) secrets() {
	for i, s := range c.cfg.Resources.Sources {
		preset, ok := provider.Get(s.Provider)
		if !ok {
			continue // validation has said so
		}
		_, warnings := preset.Validate(s.Params, s.Secrets)
		for _, w := range warnings {
			c.warnings = append(c.warnings, fmt.Sprintf("sources[%d].%v", i, w))
		}
	}
}

// endpoints looks the endpoints' hosts up, as deliveries will.
func (c *checker) endpoints(ctx context.Context) {
	guard, err := dialguard.New(c.cfg.ForDialGuard())
	if err != nil {
		c.problem(err)
		return
	}
	for i, e := range c.cfg.Resources.Endpoints {
		if len(e.Subscriptions) == 0 {
			c.warnings = append(c.warnings, fmt.Sprintf(`endpoints[%d].subscriptions: none, so it gets nothing; everything is - types: ["*"]`, i))
		}
		at := fmt.Sprintf("endpoints[%d].url", i)
		u, err := url.Parse(e.URL)
		if err != nil {
			c.problem(fmt.Errorf("%s: not a URL", at)) // the error would quote it
			continue
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		}
		conn, err := guard.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
		if err != nil {
			c.problem(fmt.Errorf("%s: %w", at, err))
			continue
		}
		c.problem(conn.Close())
	}
}

func (c *checker) store(ctx context.Context) {
	db, err := databaseOf(c.cfg)
	if err == nil {
		err = db.check(ctx)
	}
	c.found("store: ", err)
}

// broker opens the broker if no process has it; one that is running has checked it.
func (c *checker) broker(ctx context.Context) {
	cfg, err := brokersqlite.Parse(c.cfg.Broker.URL, c.cfg.DataDir)
	if err != nil {
		c.problem(err)
		return
	}
	unlock, err := openDataDir(c.cfg.DataDir)
	if errors.Is(err, errInUse) {
		c.warnings = append(c.warnings, fmt.Sprintf("broker: not checked: the sluice that runs on %s has it", c.cfg.DataDir))
		return
	}
	if err != nil {
		c.problem(err)
		return
	}
	defer unlock()
	b, err := brokersqlite.Open(ctx, cfg, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		c.problem(fmt.Errorf("broker: %w", err))
		return
	}
	c.found("", errors.Join(b.Check(ctx), b.Close(ctx)))
}
