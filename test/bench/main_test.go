package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestMain lets the test binary play the roles that the benchmark starts itself again for.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], "role-") {
		if err := start(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
