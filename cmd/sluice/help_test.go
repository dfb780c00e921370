package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// walk visits all commands.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		walk(sub, visit)
	}
}

func TestEveryCommandHasAnExampleAndAPlaceInTheHelp(t *testing.T) {
	walk(newRoot(), func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short text %q, want one without a full stop", path, cmd.Short)
		}
		if cmd.Example == "" {
			t.Errorf("%s has no example", path)
		}
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			if !strings.HasPrefix(line, "  ") || !strings.Contains(line, "sluice") {
				t.Errorf("%s: example line %q", path, line)
			}
		}
		if parent := cmd.Parent(); parent != nil && !parent.HasParent() && cmd.GroupID == "" {
			t.Errorf("%s is in no group", path)
		}
		if cmd.Args == nil && cmd.Name() != "help" {
			t.Errorf("%s takes whatever arguments", path)
		}
	})
}

func TestExamplesAreCommandsThatExist(t *testing.T) {
	root := newRoot()
	examples := []string{}
	for _, next := range nextCommands {
		examples = append(examples, next[0])
	}
	walk(root, func(cmd *cobra.Command) { examples = append(examples, strings.Split(cmd.Example, "\n")...) })
	for _, line := range examples {
		line, _, _ = strings.Cut(line, "| sluice")
		words := strings.Fields(line)
		for len(words) > 0 && words[0] != "sluice" {
			words = words[1:]
		}
		if len(words) == 0 {
			continue // TestEveryCommandHasAnExample… finds that
		}
		cmd, rest, err := root.Find(words[1:])
		if err != nil || cmd == root {
			t.Errorf("%s: %v", line, err)
			continue
		}
		for _, word := range rest {
			name, isFlag := strings.CutPrefix(word, "--")
			if name, _, _ = strings.Cut(name, "="); isFlag && name != "help" && cmd.Flag(strings.Trim(name, ")")) == nil {
				t.Errorf("%s: %s has no flag %s", strings.TrimSpace(line), cmd.CommandPath(), word)
			}
		}
	}
}

func TestHelp(t *testing.T) {
	t.Setenv(envKey, "slk_0123456789abcdefghjkmnpqrstvwxyz")
	var all strings.Builder
	walk(newRoot(), func(cmd *cobra.Command) {
		if parent := cmd.Parent(); parent != nil && parent.Name() == "completion" {
			return // cobra's
		}
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		r := sluice(t, args...)
		if r.code != exitOK || r.err != "" {
			t.Errorf("%v: code %d, stderr %q", args, r.code, r.err)
		}
		all.WriteString("$ sluice " + strings.Join(args, " ") + "\n" + r.out + "\n")
	})
	if strings.Contains(all.String(), "slk_0") {
		t.Error("the help prints the API key of the environment")
	}
	wantGolden(t, "help.txt", all.String())
}
