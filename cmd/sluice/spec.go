package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/pkg/config"
	"github.com/sluicehq/sluice/pkg/control"
)

// readSpec reads a source or endpoint from a file, or from standard input for "-". References are resolved here, not
// by the API.
func readSpec[T control.SourceSpec | control.EndpointSpec](cmd *cobra.Command, path string) (spec T, err error) {
	text, err := readBody(cmd, path)
	if err != nil {
		return spec, err
	}
	return config.ReadSpec[T](config.Input{Path: path, Environ: os.Environ()}, text)
}

// fileAlone complains about a name or flags beside -f, which the file would override.
func fileAlone(cmd *cobra.Command, args []string, flags ...string) error {
	if len(args) > 0 {
		return usage(cmd, fmt.Errorf("-f: the file has the name, leave NAME out"))
	}
	for _, name := range flags {
		if cmd.Flags().Changed(name) {
			return usage(cmd, fmt.Errorf("-f: write it in the file, leave --%s out", name))
		}
	}
	return nil
}

// resolveSecrets returns what secrets given as flags stand for.
func resolveSecrets(cmd *cobra.Command, given []string) ([]control.Secret, error) {
	var out []control.Secret
	for _, text := range given {
		secret, err := config.Resolve(text, os.Environ())
		if err != nil {
			return nil, usage(cmd, fmt.Errorf("--secret: %w", err))
		}
		out = append(out, control.Secret(secret))
	}
	return out, nil
}

// pairs reads flags of the form NAME=VALUE, or with another separator.
func pairs(cmd *cobra.Command, flag, separator string, given []string) (map[string]string, error) {
	if len(given) == 0 {
		return nil, nil
	}
	out := map[string]string{}
	for _, text := range given {
		name, value, ok := strings.Cut(text, separator)
		if !ok || strings.TrimSpace(name) == "" {
			return nil, usage(cmd, fmt.Errorf("--%s: want NAME%sVALUE", flag, separator))
		}
		out[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return out, nil
}

func sortedPairs(m map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, name+": "+m[name])
	}
	return out
}
