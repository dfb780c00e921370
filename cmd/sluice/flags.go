package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/pkg/control"
)

// choice is a flag with few values.
type choice struct {
	value string
	of    []string
}

// String returns the value.
func (c *choice) String() string { return c.value }

// Type is what the help calls the value.
func (c *choice) Type() string { return strings.Join(c.of, "|") }

// Set takes one of the values.
func (c *choice) Set(text string) error {
	if !slices.Contains(c.of, text) {
		return errors.New("want " + either(c.of))
	}
	c.value = text
	return nil
}

// bind adds the flag to a command, with completion.
func (c *choice) bind(cmd *cobra.Command, name, short, help string) {
	cmd.Flags().VarP(c, name, short, help)
	completeFlag(cmd, name, func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return c.of, cobra.ShellCompDirectiveNoFileComp
	})
}

func completeFlag(cmd *cobra.Command, name string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(name, f); err != nil {
		panic(err) // a flag that is not there
	}
}

// moment is a flag that is a point in time, given as one or as how long ago.
type moment struct {
	at   time.Time
	text string
}

// String returns what was given.
func (m *moment) String() string { return m.text }

// Type is what the help calls the value.
func (m *moment) Type() string { return "WHEN" }

// Set takes a duration such as 15m or 7d, counted back from now, or RFC 3339.
func (m *moment) Set(text string) (err error) {
	m.text = text
	if d, err := control.ParseDuration(text); err == nil {
		m.at = time.Now().Add(-d)
		return nil
	}
	if m.at, err = time.Parse(time.RFC3339, text); err != nil {
		return errors.New("want how long ago, such as 15m, 24h or 7d, or a time such as 2026-10-01T12:00:00Z")
	}
	return nil
}

// span is a flag that is a duration.
type span time.Duration

// String returns the duration.
func (s *span) String() string {
	if *s == 0 {
		return ""
	}
	return control.Duration(*s).String()
}

// Type is what the help calls the value.
func (s *span) Type() string { return "DURATION" }

// Set takes a duration such as 500ms or 5s.
func (s *span) Set(text string) error {
	d, err := control.ParseDuration(text)
	*s = span(d)
	return err
}

// count is a flag that is a whole number from low to high.
type count struct{ value, low, high int }

// String returns the number.
func (c *count) String() string { return fmt.Sprint(c.value) }

// Type is what the help calls the value.
func (c *count) Type() string { return "N" }

// Set takes a number.
func (c *count) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < c.low || n > c.high {
		return fmt.Errorf("want a number from %d to %d", c.low, c.high)
	}
	c.value = n
	return nil
}
