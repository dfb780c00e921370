package postgres

import (
	"errors"
	"testing"

	"github.com/sluicehq/sluice/store"
)

func TestUnreachableServerIsNamedOnce(t *testing.T) {
	t.Parallel()
	err := unreachable{errors.New("h1: refused\nh1: refused\nh2: timeout")}
	if got, want := err.Error(), "h1: refused; h2: timeout"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, store.ErrUnavailable) {
		t.Error("it does not count as unavailable")
	}
}
