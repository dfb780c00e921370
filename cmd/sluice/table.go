package main

import (
	"io"
	"strings"
	"unicode/utf8"
)

// cell is one value of a table. Its text may come from outside.
type cell struct {
	text   string
	colour colour
}

// table writes rows in columns, page by page: widths hold until a later page needs more.
type table struct {
	out    io.Writer
	style  style
	widths []int
}

// heading returns the names of columns as a row.
func heading(names []string) []cell {
	row := make([]cell, len(names))
	for i, name := range names {
		row[i] = cell{name, bold}
	}
	return row
}

// write writes rows, which all have as many cells.
func (t *table) write(rows ...[]cell) error {
	for _, row := range rows {
		for i := range row {
			if row[i].text = oneLine(row[i].text); row[i].text == "" {
				row[i].text = "-"
			}
			if i == len(t.widths) {
				t.widths = append(t.widths, 0)
			}
			t.widths[i] = max(t.widths[i], utf8.RuneCountInString(row[i].text))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, c := range row {
			b.WriteString(t.style.paint(c.colour, c.text))
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(c.text)+2))
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(t.out, b.String())
	return err
}

// sheet writes what one thing is, a line for each of its values; those that are empty are left out.
type sheet struct {
	style style
	rows  []field
}

type field struct {
	name  string
	value cell
}

func (s *sheet) add(name, text string) { s.paint(name, text, plain) }

func (s *sheet) paint(name, text string, c colour) {
	if text != "" {
		s.rows = append(s.rows, field{name, cell{text, c}})
	}
}

func (s *sheet) write(out io.Writer) error {
	width := 0
	for _, f := range s.rows {
		width = max(width, utf8.RuneCountInString(f.name))
	}
	var b strings.Builder
	for _, f := range s.rows {
		b.WriteString(s.style.paint(dim, f.name) + strings.Repeat(" ", width-utf8.RuneCountInString(f.name)+2))
		b.WriteString(s.style.paint(f.value.colour, oneLine(f.value.text)) + "\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}
