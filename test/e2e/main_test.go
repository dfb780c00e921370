// Package e2e drives the real sluice binary as an operator, a provider and a receiver would, and holds what it did against
// ledgers kept outside it.
//
//	SLUICE_E2E_BINARY=PATH  test that binary instead of building one
//	SLUICE_E2E_RACE=1       build it with the race detector
//	SLUICE_E2E_KILLS=20     how often the crash test kills it (5)
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// binary is the sluice under test.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "sluice-e2e-")
	if err == nil {
		binary, err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func build(dir string) (string, error) {
	if given := os.Getenv("SLUICE_E2E_BINARY"); given != "" {
		return filepath.Abs(given)
	}
	path := filepath.Join(dir, "sluice")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/sluice")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if os.Getenv("SLUICE_E2E_RACE") != "" {
		cmd.Args = append(cmd.Args[:2], append([]string{"-race"}, cmd.Args[2:]...)...)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	}
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build sluice: %w\n%s", err, out)
	}
	return path, nil
}
