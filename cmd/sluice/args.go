package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// usageError is a command line that makes no sense.
type usageError struct {
	command string // with a space behind it; empty: sluice itself
	err     error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usage marks err as a mistake in the command line.
func usage(cmd *cobra.Command, err error) error {
	_, path, _ := strings.Cut(cmd.CommandPath(), " ")
	if path != "" {
		path += " "
	}
	return &usageError{command: path, err: err}
}

// want is the check of a command's arguments: as many as have a name. Arguments are not quoted, as one may be a secret
// that lost its flag.
func want(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == len(names):
			return nil
		case len(names) > 0:
			return usage(cmd, fmt.Errorf("want %s, got %s", strings.Join(names, " "), countArgs(len(args))))
		case cmd.HasAvailableSubCommands():
			return usage(cmd, unknownCommand(cmd, args[0]))
		}
		return usage(cmd, fmt.Errorf("takes no arguments, got %d; options begin with --", len(args)))
	}
}

// wantID is want for one argument, an id in the form that parse reads.
func wantID[ID any](name string, parse func(string) (ID, error)) cobra.PositionalArgs {
	one := want(name)
	return func(cmd *cobra.Command, args []string) error {
		if err := one(cmd, args); err != nil {
			return err
		}
		if _, err := parse(args[0]); err != nil {
			return usage(cmd, fmt.Errorf("want %s: %w", name, err))
		}
		return nil
	}
}

// wantAtMost is want with the names that may be left out in the end.
func wantAtMost(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > len(names) {
			return usage(cmd, fmt.Errorf("want %s, got %s", strings.Join(names, " "), countArgs(len(args))))
		}
		return nil
	}
}

func countArgs(n int) string {
	if n == 0 {
		return "nothing"
	}
	return plural(n, "argument")
}

func unknownCommand(cmd *cobra.Command, name string) error {
	if len(name) > 20 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz-") != "" {
		return errors.New("no such command, want " + either(subcommands(cmd))) // it may be a secret
	}
	cmd.SuggestionsMinimumDistance = 2
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		return fmt.Errorf("there is no command %s, did you mean %s?", name, either(near))
	}
	return fmt.Errorf("there is no command %s, want %s", name, either(subcommands(cmd)))
}

func subcommands(cmd *cobra.Command) []string {
	var names []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			names = append(names, sub.Name())
		}
	}
	return names
}

// needsSubcommand is what a command does that only has subcommands.
func needsSubcommand(cmd *cobra.Command, _ []string) error {
	return usage(cmd, errors.New("want "+either(subcommands(cmd))))
}

// either returns "a, b or c".
func either(names []string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// flagError says what is wrong with a flag in words for people.
func flagError(cmd *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	var missing *pflag.ValueRequiredError
	var number *strconv.NumError
	switch {
	case errors.As(err, &missing):
		err = fmt.Errorf("--%s: its value is missing", missing.GetFlag().Name)
	case errors.As(err, &invalid):
		reason := invalid.Unwrap().Error()
		switch kind := invalid.GetFlag().Value.Type(); {
		case errors.As(err, &number) && kind == "bool":
			reason = "want true or false"
		case errors.As(err, &number):
			reason = "want a number"
		}
		err = fmt.Errorf("--%s: %.40q: %s", invalid.GetFlag().Name, invalid.GetValue(), reason)
	}
	return usage(cmd, err)
}

// onlyOne complains if more than one of the flags was given.
func onlyOne(cmd *cobra.Command, names ...string) error {
	var given []string
	for _, name := range names {
		if cmd.Flags().Changed(name) {
			given = append(given, "--"+name)
		}
	}
	if len(given) > 1 {
		return usage(cmd, fmt.Errorf("%s: give one of them alone", strings.Join(given, " and ")))
	}
	return nil
}
