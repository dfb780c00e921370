package main

import (
	"errors"
	"fmt"
	"testing"

	"github.com/sluicehq/sluice/store"
)

func TestProblemsAndWarningsOfACheckAreToldApart(t *testing.T) {
	t.Parallel()
	a, b := errors.New("a"), errors.New("b")
	w := store.Warning("w")
	for _, tt := range []struct {
		name               string
		err                error
		problems, warnings string
	}{
		{"nothing", nil, "[]", "[]"},
		{"one", a, "[a]", "[]"},
		{"a warning", w, "[]", "[w]"},
		{"a warning with words around it", fmt.Errorf("x: %w", w), "[]", "[x: w]"},
		{"several, joined and joined again", errors.Join(a, errors.Join(w, b), nil), "[a b]", "[w]"},
		{"two in one sentence", fmt.Errorf("%w and %w", a, b), "[a and b]", "[]"},
	} {
		problems, warnings := sortProblems(tt.err)
		if got := fmt.Sprint(problems); got != tt.problems {
			t.Errorf("%s: problems %s, want %s", tt.name, got, tt.problems)
		}
		if got := fmt.Sprint(warnings); got != tt.warnings {
			t.Errorf("%s: warnings %s, want %s", tt.name, got, tt.warnings)
		}
	}
}
