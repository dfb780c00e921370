package pgtest_test

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/sluicehq/sluice/test/pgtest"
)

func TestNewLeavesNothingBehind(t *testing.T) {
	within, err := os.MkdirTemp("", "pgtest-new-") //nolint:usetesting // the server's user must be able to go there
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(within) }()
	if err := os.Chmod(within, 0o755); err != nil {
		t.Fatal(err)
	}
	server, err := pgtest.New(pgtest.Options{Within: within, Settings: map[string]string{"shared_buffers": "64MB"}})
	if errors.Is(err, pgtest.ErrMissing) {
		pgtest.Binary(t, "initdb") // skips, or fails where it must
	}
	if err != nil {
		t.Fatal(err)
	}
	url := server.URL("postgres")
	do(t, url, "CREATE TABLE here()")
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if err := try(url, time.Second, "SELECT 1"); err == nil {
		t.Error("a closed server answers")
	}
	if left, err := os.ReadDir(within); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v, want nothing", left, err)
	}
}
