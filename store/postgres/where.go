package postgres

import (
	"strconv"
	"strings"
)

// conditions are what a statement asks for, and its parameters.
type conditions struct {
	parts []string
	args  []any
}

// add adds a condition in which each ? is one of the values.
func (c *conditions) add(text string, values ...any) {
	for _, v := range values {
		text = strings.Replace(text, "?", c.param(v), 1)
	}
	c.parts = append(c.parts, text)
}

// param adds a parameter and returns its name.
func (c *conditions) param(v any) string {
	c.args = append(c.args, v)
	return param(len(c.args))
}

func param(n int) string { return "$" + strconv.Itoa(n) }

func (c *conditions) String() string { return strings.Join(c.parts, " AND ") }
