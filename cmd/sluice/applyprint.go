package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/sluicehq/sluice/store"
)

// appliedView is what apply prints.
type appliedView struct {
	DryRun  bool         `json:"dry_run"`
	Changes []changeView `json:"changes"`
}

type changeView struct {
	Action store.ChangeAction `json:"action"`
	Kind   string             `json:"kind"`
	Tenant string             `json:"tenant"`
	Name   string             `json:"name"`
	ID     string             `json:"id,omitempty"` // none yet in a dry run
	Fields []fieldView        `json:"fields,omitempty"`
}

// fieldView is a setting that differs. Of one with a secret, Before and After are what of it is none, and may be the
// same.
type fieldView struct {
	Field         string `json:"field"`
	Before        string `json:"before"`
	After         string `json:"after"`
	SecretChanged bool   `json:"secret_changed,omitempty"`
}

func viewApplied(applied *store.Applied, dryRun bool) appliedView {
	sources := viewChanges(applied.Sources, func(s *store.Source) changeView {
		return changeView{Kind: "source", Tenant: s.Tenant, Name: s.Name, ID: idUnless(s.ID == 0, s.ID)}
	}, sourceSettings)
	endpoints := viewChanges(applied.Endpoints, func(e *store.Endpoint) changeView {
		return changeView{Kind: "endpoint", Tenant: e.Tenant, Name: e.Name, ID: idUnless(e.ID == 0, e.ID)}
	}, endpointSettings)
	return appliedView{DryRun: dryRun, Changes: append(sources, endpoints...)}
}

func viewChanges[T store.Source | store.Endpoint](changes []store.Change[T], view func(*T) changeView, settings func(*T) []setting) []changeView {
	views := []changeView{}
	for i := range changes {
		c := &changes[i]
		one := &c.After
		if c.Action == store.ChangeDeleted {
			one = &c.Before
		}
		v := view(one)
		v.Action = c.Action
		if c.Action == store.ChangeUpdated {
			v.Fields = differ(settings(&c.Before), settings(&c.After))
		}
		views = append(views, v)
	}
	return views
}

func idUnless(none bool, id fmt.Stringer) string {
	if none {
		return ""
	}
	return id.String()
}

func printApplied(out io.Writer, format string, applied *store.Applied, dryRun bool) error {
	view := viewApplied(applied, dryRun)
	if format == asTable {
		return view.write(out)
	}
	doc, err := encodeAs(format, view)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, doc)
	return err
}

// marks are how actions begin a line.
var marks = map[store.ChangeAction]struct {
	text   string
	colour colour
}{
	store.ChangeCreated: {"+", green}, store.ChangeUpdated: {"~", yellow}, store.ChangeReleased: {"=", dim}, store.ChangeDeleted: {"-", red},
}

// write prints a line for each change, below it one for each setting that differs, and how many there were.
func (v *appliedView) write(out io.Writer) error {
	var b strings.Builder
	style, counts := styleOf(out), map[store.ChangeAction]int{}
	for _, c := range v.Changes {
		counts[c.Action]++
		line := marks[c.Action].text + " " + c.Kind + " " + oneLine(place(c.Tenant, c.Name))
		if c.Action == store.ChangeReleased {
			line += ", released to the API"
		}
		b.WriteString(style.paint(marks[c.Action].colour, line) + "\n")
		for _, f := range c.Fields {
			b.WriteString("    " + f.Field + ": " + oneLine(f.text()) + "\n")
		}
	}
	var parts []string
	for _, a := range []store.ChangeAction{store.ChangeCreated, store.ChangeUpdated, store.ChangeReleased, store.ChangeDeleted} {
		if counts[a] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", counts[a], a))
		}
	}
	switch {
	case len(parts) == 0:
		b.WriteString("nothing to change")
	case v.DryRun:
		b.WriteString("would be: " + strings.Join(parts, ", "))
	default:
		b.WriteString(strings.Join(parts, ", "))
	}
	b.WriteByte('\n')
	_, err := io.WriteString(out, b.String())
	return err
}

func (f *fieldView) text() string {
	shown := func(text string) string {
		if text == "" {
			return "none"
		}
		return text
	}
	text := shown(f.Before)
	if f.Before != f.After {
		text += " → " + shown(f.After)
	}
	if f.SecretChanged {
		text += ", secret changed"
	}
	return text
}

// place is how people name what may be another tenant's.
func place(tenant, name string) string {
	if tenant == defaultTenant {
		return name
	}
	return tenant + "/" + name
}
