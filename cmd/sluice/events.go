package main

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/pkg/control"
	"github.com/sluicehq/sluice/pkg/control/client"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

func newEvents(g *global) *cobra.Command {
	a := &api{global: g}
	cmd := newEventsList(a)
	cmd.Use, cmd.Short, cmd.GroupID = "events", "See what came in", groupLook
	cmd.Long = "An event is what came in once, from a provider or a publisher. Without a command it lists them, newest first."
	cmd.Example = `  sluice events
  sluice events --source github --since 15m
  sluice events get evt_01k5d3m9q8z6y4x2w0v1t3s5r7
  sluice events body evt_01k5d3m9q8z6y4x2w0v1t3s5r7 > body.json`
	a.bind(cmd)
	cmd.AddCommand(newEventsList(a), newEventsGet(a), newEventsBody(a))
	return cmd
}

func eventColumns(now time.Time) []column[control.Event] {
	return []column[control.Event]{
		{"EVENT", func(e control.Event) cell { return cell{text: e.ID} }},
		{"WHEN", func(e control.Event) cell { return cell{text: humanTime(e.Time, now)} }},
		{"SOURCE", func(e control.Event) cell { return cell{text: e.Source} }},
		{"TYPE", func(e control.Event) cell { return cell{text: e.Type} }},
		{"SIZE", func(e control.Event) cell { return cell{text: humanBytes(e.Size)} }},
		{"ENDPOINTS", func(e control.Event) cell { return cell{text: fmt.Sprint(e.Matched)} }},
		{"COPIES", func(e control.Event) cell { return cell{text: fmt.Sprint(e.Duplicates)} }},
	}
}

func newEventsList(a *api) *cobra.Command {
	var past pastFlags
	f := client.EventFilter{}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List events, newest first",
		Example: `  sluice events list --type invoice.paid --since 24h
  sluice events list --q order-4711
  sluice events list --since 7d --all -o json > events.json`,
		Args: want(),
		RunE: a.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			if _, err := store.ParseSourceID(f.Source); err == nil { // the API wants the name
				src, err := findSource(cmd.Context(), c, f.Tenant, f.Source)
				if err != nil {
					return err
				}
				f.Source = src.Name
			}
			f.Since, f.Until, f.PageSize = past.since.at, past.until.at, past.most.pageSize()
			return list(cmd, &past.out, &past.most, c.Events(cmd.Context(), f), eventColumns(time.Now()), "There are no such events")
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.Type, "type", "", "only of exactly this `TYPE`")
	flags.StringVar(&f.Source, "source", "", "only through this `SOURCE`, a name or id; api is what publishers send")
	flags.StringVar(&f.Query, "q", "", "only with exactly this `TEXT` as id, key, or id given by the sender")
	completeFlag(cmd, "source", a.complete(sourceNames))
	past.bind(cmd, "events", &f.Tenant)
	return cmd
}

func newEventsGet(a *api) *cobra.Command {
	return shows(&cobra.Command{
		Use:               "get EVENT",
		Short:             "Show an event and where it went",
		Long:              "Show an event and where it went. EVENT is its id.",
		Example:           "  sluice events get evt_01k5d3m9q8z6y4x2w0v1t3s5r7",
		Args:              wantID("EVENT", event.ParseID),
		ValidArgsFunction: a.completeFirst(eventIDs),
	}, a, "event", (*client.Client).Event, printEvent)
}

func printEvent(cmd *cobra.Command, c *client.Client, e control.EventDetail) error {
	now := time.Now()
	w := sheet{style: styleOf(cmd.OutOrStdout())}
	w.add("event", e.ID)
	w.add("type", e.Type)
	w.add("source", e.Source)
	w.add("origin", e.Origin)
	w.add("tenant", e.Tenant)
	w.add("key", e.Key)
	w.add("given id", e.GivenID)
	w.add("accepted", e.Time.Local().Format("2006-01-02 15:04:05.000"))
	w.add("body", humanBytes(e.Size)+" "+e.ContentType)
	w.add("request", request(e))
	for _, h := range sortedPairs(e.Headers) {
		w.add("header", h)
	}
	w.add("endpoints", fmt.Sprint(e.Matched))
	w.add("copies", fmt.Sprint(e.Duplicates))
	if err := w.write(cmd.OutOrStdout()); err != nil || len(e.Deliveries) == 0 {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout())
	names, err := endpointsByID(cmd.Context(), c)
	if err != nil {
		return err
	}
	rows := newListWriter(cmd.OutOrStdout(), asTable, deliveryColumns(names, now))
	for _, d := range e.Deliveries {
		if err := rows.add(d); err != nil {
			return err
		}
	}
	if e.DeliveriesCursor != "" {
		fmt.Fprintf(cmd.ErrOrStderr(), "There are more: 'sluice deliveries --event %s --all'\n", e.ID)
	}
	return rows.end()
}

func request(e control.EventDetail) string {
	if e.Method == "" {
		return ""
	}
	text := e.Method + " " + e.Path
	if e.Query != "" {
		text += "?" + e.Query
	}
	return text
}

func newEventsBody(a *api) *cobra.Command {
	return &cobra.Command{
		Use:   "body EVENT",
		Short: "Print the exact bytes of an event's body",
		Long: `Print the exact bytes of an event's body. EVENT is its id. On a terminal, characters that could play with it are replaced;
into a file or pipe the bytes go as they came.`,
		Example: `  sluice events body evt_01k5d3m9q8z6y4x2w0v1t3s5r7 > body.json
  sluice events body evt_01k5d3m9q8z6y4x2w0v1t3s5r7 | sluice verify --provider github --secret "$SECRET" --header "X-Hub-Signature-256: sha256=…"`,
		Args:              wantID("EVENT", event.ParseID),
		ValidArgsFunction: a.completeFirst(eventIDs),
		RunE: a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			out := cmd.OutOrStdout()
			if !isTerminal(out) {
				return noneOf("event", args[0], c.EventBody(cmd.Context(), args[0], out))
			}
			var body bytes.Buffer
			if err := c.EventBody(cmd.Context(), args[0], &body); err != nil {
				return noneOf("event", args[0], err)
			}
			_, err := io.WriteString(out, printable(body.String())+"\n")
			return err
		}),
	}
}
