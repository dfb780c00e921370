package main

import (
	"io"
	"os"

	"golang.org/x/term"
)

// style says whether colours are used.
type style struct{ colours bool }

type colour string

// The colours, as SGR parameters. They say nothing that the text does not say too.
const (
	plain  colour = ""
	bold   colour = "1"
	dim    colour = "2"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
)

// styleOf returns how to write to w: in colour if it is a terminal that has them, and NO_COLOR (no-color.org) is not set.
func styleOf(w io.Writer) style {
	return style{colours: isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (s style) paint(c colour, text string) string {
	if !s.colours || c == plain || text == "" {
		return text
	}
	return "\x1b[" + string(c) + "m" + text + "\x1b[0m"
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// stateColour is the colour of a delivery's or endpoint's state.
func stateColour(state string) colour {
	switch state {
	case "delivered", "active":
		return green
	case "queued", "paused":
		return yellow
	case "dead", "disabled":
		return red
	}
	return dim
}
