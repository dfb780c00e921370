package main

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/pkg/config"
)

// errSaid is a failure that the command has told about already.
var errSaid = errors.New("failed")

// global are the flags that every command has.
type global struct {
	config string
}

// Commands stand in the help in the order they are added: what one needs first comes first. The setting is global.
var _ = func() bool {
	cobra.EnableCommandSorting = false
	return true
}()

func newRoot() *cobra.Command {
	g := &global{}
	root := &cobra.Command{
		Use:   "sluice",
		Short: "The one place where webhooks enter and leave a company",
		Long: `Sluice is a reverse API gateway for webhooks. Providers call its ingress; it verifies, keeps and fans out every
event to the endpoints that subscribe to it, with signing, retries, rate limits and circuit breakers.

Start here:
  sluice dev                        everything in one process, on this machine
  sluice trigger github push        send it a signed sample

Commands exit with 0, with 1 if they failed, and with 2 if the command line makes no sense.`,
		Example: `  sluice dev
  sluice events get --help`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		DisableAutoGenTag: true,
		Args:              want(),
		RunE:              func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().StringVar(&g.config, "config", "", "configuration `FILE` (default ./sluice.yaml if there is one)")
	root.SetFlagErrorFunc(flagError)
	root.AddGroup(&cobra.Group{ID: groupRun, Title: "Run:"}, &cobra.Group{ID: groupLook, Title: "Use a running sluice:"},
		&cobra.Group{ID: groupHelp, Title: "Help yourself:"})
	root.AddCommand(
		newDev(g), newServe(g), newIngress(g), newEgress(g), newControl(g), newCheck(g), newMigrate(g), newApply(g), newKeys(g),
		newTrigger(g), newSend(g), newListen(g), newEvents(g), newDeliveries(g), newSources(g), newEndpoints(g),
		newVerify(), newVersion(),
	)
	root.SetHelpCommand(newHelp(root))
	root.SetHelpCommandGroupID(groupHelp)
	root.SetCompletionCommandGroupID(groupHelp)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			tidyCompletion(cmd)
		}
	}
	return root
}

// newHelp is cobra's, but that a command that does not exist is a mistake.
func newHelp(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]…",
		Short: "Explain a command",
		Example: `  sluice help trigger
  sluice help events list`,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			cmd, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return subcommands(cmd), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := root.Find(args)
			if err != nil {
				return usage(cmd, err)
			}
			if len(rest) > 0 {
				return usage(cmd, unknownCommand(about, rest[0]))
			}
			return about.Help()
		},
	}
}

// tidyCompletion brings cobra's command into our form.
func tidyCompletion(cmd *cobra.Command) {
	cmd.Short = "Print a script that completes commands, names and ids in your shell"
	cmd.Example = "  source <(sluice completion bash)"
	cmd.Args, cmd.RunE = want(), needsSubcommand
	for _, shell := range cmd.Commands() {
		shell.Args = want()
		shell.Short = "Print the completion script for " + shell.Name()
		shell.Example = "  sluice completion " + shell.Name()
	}
}

// The groups of commands in the help.
const (
	groupRun  = "run"
	groupLook = "look"
	groupHelp = "help"
)

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
	environ := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, envControlURL+"=") }) // no setting
	return config.Load(config.Input{Path: path, Environ: environ, Base: base, Resources: resources})
}
