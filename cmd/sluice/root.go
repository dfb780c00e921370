package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/pkg/config"
)

// usageError is a command line that makes no sense.
type usageError struct {
	command string // with a space behind it; empty: sluice itself
	err     error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// errSaid is a failure that the command has told about already.
var errSaid = errors.New("failed")

// global are the flags that every command has.
type global struct {
	config string
}

func newRoot() *cobra.Command {
	g := &global{}
	root := &cobra.Command{
		Use:   "sluice",
		Short: "The one place where webhooks enter and leave a company",
		Long: `Sluice is a reverse API gateway for webhooks. Providers call its ingress; it verifies, keeps and fans out every
event to the endpoints that subscribe to it, with signing, retries, rate limits and circuit breakers.

Start here:
  sluice dev                        everything in one process, on this machine
  sluice trigger github push        send it a signed sample`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVar(&g.config, "config", "", "configuration file (default ./sluice.yaml if there is one)")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, err) })
	root.AddGroup(&cobra.Group{ID: groupRun, Title: "Run:"}, &cobra.Group{ID: groupLook, Title: "Use a running Sluice:"},
		&cobra.Group{ID: groupHelp, Title: "Help yourself:"})
	root.AddCommand(newDev(g), newServe(g), newIngress(g), newEgress(g), newControl(g), newMigrate(g), newCheck(g), newKeys(g), newVersion(),
		newVerify(), newTrigger(g), newSend(g))
	root.SetHelpCommandGroupID(groupHelp)
	root.SetCompletionCommandGroupID(groupHelp)
	argsAreUsage(root)
	return root
}

// The groups of commands in the help.
const (
	groupRun  = "run"
	groupLook = "look"
	groupHelp = "help"
)

// usage marks err as a mistake in the command line.
func usage(cmd *cobra.Command, err error) error {
	_, path, _ := strings.Cut(cmd.CommandPath(), " ")
	if path != "" {
		path += " "
	}
	return &usageError{command: path, err: err}
}

// argsAreUsage has every command's complaint about its arguments count as a usage error.
func argsAreUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usage(cmd, err)
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		argsAreUsage(sub)
	}
}

// load reads the configuration on top of base, and returns what to warn about.
func (g *global) load(base config.Config, resources bool) (*config.Config, []string, error) {
	path := g.config
	if path == "" {
		if _, err := os.Stat(config.DefaultPath); err == nil {
			path = config.DefaultPath
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
	}
	return config.Load(config.Input{Path: path, Environ: os.Environ(), Base: base, Resources: resources})
}
