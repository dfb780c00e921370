// Package fleet runs several dispatchers, in one process and in processes of their own, on one PostgreSQL database, and
// holds what a receiver saw against what was queued. A process of a fleet is this test binary, started again with
// SLUICE_FLEET_NODE set.
package fleet

import (
	"os"
	"testing"

	"github.com/sluicehq/sluice/test/pgtest"
)

func TestMain(m *testing.M) {
	if text := os.Getenv(nodeVariable); text != "" {
		os.Exit(nodeMain(text))
	}
	pgtest.Main(m)
}
