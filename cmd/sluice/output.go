package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/pkg/control/client"
)

// Formats of output.
const (
	asTable = "table"
	asJSON  = "json"
	asYAML  = "yaml"
)

// output is how a command prints what the API answered.
type output struct{ format choice }

func (o *output) bind(cmd *cobra.Command) {
	o.format = choice{asTable, []string{asTable, asJSON, asYAML}}
	o.format.bind(cmd, "output", "o", "how it is printed; json and yaml have all that the API says")
}

// one prints one thing: as the API has it, or with text.
func (o *output) one(out io.Writer, v any, text func() error) error {
	if o.format.value == asTable {
		return text()
	}
	doc, err := encodeAs(o.format.value, v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, doc)
	return err
}

// shows makes cmd print what get returns for the id it is given, which names a kind.
func shows[T any](
	cmd *cobra.Command, a *api, kind string, get func(c *client.Client, ctx context.Context, id string) (T, error),
	text func(*cobra.Command, *client.Client, T) error,
) *cobra.Command {
	var out output
	cmd.RunE = a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
		v, err := get(c, cmd.Context(), args[0])
		if err != nil {
			return noneOf(kind, args[0], err)
		}
		return out.one(cmd.OutOrStdout(), v, func() error { return text(cmd, c, v) })
	})
	out.bind(cmd)
	return cmd
}

func encodeAs(format string, v any) (string, error) {
	if format == asYAML {
		return toYAML(v)
	}
	return toJSON(v)
}

// limits are the flags of lists that say how much is printed.
type limits struct {
	most count
	all  bool
}

// maxPage is the most the API answers at once.
const maxPage = 250

func (l *limits) bind(cmd *cobra.Command) {
	l.most = count{50, 1, 1_000_000}
	cmd.Flags().Var(&l.most, "limit", "print so many at most")
	cmd.Flags().BoolVar(&l.all, "all", false, "print all of them")
}

// pageSize is how many to ask for at once: one more than are printed, to know whether there are more.
func (l *limits) pageSize() int {
	if l.all {
		return maxPage
	}
	return min(l.most.value+1, maxPage)
}

// pastFlags are the flags of lists of what happened.
type pastFlags struct {
	out          output
	most         limits
	since, until moment
}

// bind binds them. what says which things the times are of.
func (f *pastFlags) bind(cmd *cobra.Command, what string, tenant *string) {
	cmd.Flags().Var(&f.since, "since", "only "+what+" accepted since then: how long ago (15m, 24h, 7d) or RFC 3339")
	cmd.Flags().Var(&f.until, "until", "only "+what+" accepted before, likewise")
	f.most.bind(cmd)
	bindTenant(cmd, tenant)
	f.out.bind(cmd)
}

// column is one of a table.
type column[T any] struct {
	name string
	cell func(T) cell
}

// list prints what seq yields, as far as the limits go, while it comes. Nothing but a page is in memory.
func list[T any](cmd *cobra.Command, o *output, l *limits, seq iter.Seq2[T, error], columns []column[T], none string) error {
	w := newListWriter(cmd.OutOrStdout(), o.format.value, columns)
	n, more := 0, false
	for item, err := range seq {
		if err != nil {
			return w.broken(err)
		}
		if more = !l.all && n == l.most.value; more {
			break
		}
		if err := w.add(item); err != nil {
			return err
		}
		n++
	}
	if n == 0 && o.format.value == asTable {
		fmt.Fprintln(cmd.ErrOrStderr(), none)
		return nil
	}
	if err := w.end(); err != nil {
		return err
	}
	if more {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d printed, and there are more: see --limit, --all\n", n)
	}
	return nil
}

// listWriter writes a list, page by page.
type listWriter[T any] struct {
	out     io.Writer
	format  string
	columns []column[T]
	table   table
	page    [][]cell
	started bool
}

func newListWriter[T any](out io.Writer, format string, columns []column[T]) *listWriter[T] {
	return &listWriter[T]{out: out, format: format, columns: columns, table: table{out: out, style: styleOf(out)}}
}

func (w *listWriter[T]) add(item T) error {
	if w.format != asTable {
		return w.document(item)
	}
	if !w.started {
		w.started = true
		names := make([]string, len(w.columns))
		for i, c := range w.columns {
			names[i] = c.name
		}
		w.page = append(w.page, heading(names))
	}
	row := make([]cell, len(w.columns))
	for i, c := range w.columns {
		row[i] = c.cell(item)
	}
	if w.page = append(w.page, row); len(w.page) < maxPage {
		return nil
	}
	return w.flush()
}

func (w *listWriter[T]) flush() error {
	page := w.page
	w.page = nil
	return w.table.write(page...)
}

// document writes an item as part of {"data": […]}, the API's form of a list.
func (w *listWriter[T]) document(item T) error {
	var text string
	var err error
	if w.format == asYAML {
		text, err = toYAML([]T{item})
		text = "\n" + text
	} else {
		text, err = toJSON(item)
		text = "\n    " + strings.ReplaceAll(text, "\n", "\n    ")
	}
	if err != nil {
		return err
	}
	switch {
	case w.started && w.format == asJSON:
		text = "," + text
	case !w.started && w.format == asJSON:
		text = "{\n  \"data\": [" + text
	case !w.started:
		text = "data:" + text
	}
	w.started = true
	_, err = io.WriteString(w.out, text)
	return err
}

func (w *listWriter[T]) end() error {
	text := ""
	switch {
	case w.format == asTable:
		return w.flush()
	case w.format == asJSON && w.started:
		text = "\n  ]\n}\n"
	case w.format == asJSON:
		text = "{\n  \"data\": []\n}\n"
	case w.started:
		text = "\n"
	default:
		text = "data: []\n"
	}
	_, err := io.WriteString(w.out, text)
	return err
}

// broken ends a list that broke off with err. What came is printed; a document is left open, so that nobody takes it
// for whole.
func (w *listWriter[T]) broken(err error) error {
	if w.format == asTable && len(w.page) > 0 {
		if err := w.flush(); err != nil {
			return err
		}
	}
	return err
}
