package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/pkg/control"
	"github.com/sluicehq/sluice/pkg/control/client"
	"github.com/sluicehq/sluice/pkg/event"
	"github.com/sluicehq/sluice/store"
)

func newDeliveries(g *global) *cobra.Command {
	a := &api{global: g}
	cmd := newDeliveriesList(a)
	cmd.Use, cmd.Short, cmd.GroupID = "deliveries", "See where events went, and try again", groupLook
	cmd.Long = `A delivery is what became, or becomes, of an event at one endpoint: queued, delivered, dead or canceled.
Without a command it lists them, those of the newest event first.`
	cmd.Example = `  sluice deliveries
  sluice deliveries --endpoint billing --state dead --since 24h
  sluice deliveries retry dlv_01k5d3m9q8z6y4x2w0v1t3s5r7000000000000`
	a.bind(cmd)
	cmd.AddCommand(newDeliveriesList(a), newDeliveriesGet(a), newDeliveriesRetry(a))
	return cmd
}

// deliveryColumns shows endpoints by their names, where they have one.
func deliveryColumns(names map[string]string, now time.Time) []column[control.Delivery] {
	return []column[control.Delivery]{
		{"DELIVERY", func(d control.Delivery) cell { return cell{text: d.ID} }},
		{"ENDPOINT", func(d control.Delivery) cell { return cell{text: nameOr(names, d.Endpoint)} }},
		{"STATE", func(d control.Delivery) cell { return cell{d.State, stateColour(d.State)} }},
		{"WHEN", func(d control.Delivery) cell { return cell{text: deliveryTime(d, now)} }},
		{"ATTEMPTS", func(d control.Delivery) cell { return cell{text: fmt.Sprint(d.AttemptCount)} }},
		{"TOOK", func(d control.Delivery) cell { return cell{text: humanMS(d.LastDurationMS)} }},
		{"WHY", func(d control.Delivery) cell { return cell{text: why(d)} }},
	}
}

func nameOr(names map[string]string, id string) string {
	if name := names[id]; name != "" {
		return name
	}
	return id
}

// deliveryTime is when it ended, or when it goes on.
func deliveryTime(d control.Delivery, now time.Time) string {
	switch {
	case !d.FinishedAt.IsZero():
		return humanTime(d.FinishedAt, now)
	case d.NextAt.After(now):
		return "due " + humanTime(d.NextAt, now)
	}
	return "due now"
}

// why says in a few words why the delivery is in its state and how the last attempt ended.
func why(d control.Delivery) string {
	end := ended(d.LastStatus, d.LastError)
	if d.Reason == "" || end == "" {
		return d.Reason + end
	}
	return d.Reason + ": " + end
}

// ended says how an attempt ended. An error that is about a status names it.
func ended(status int, text string) string {
	number := ""
	if status != 0 {
		number = fmt.Sprint(status)
	}
	switch {
	case text == "":
		return number
	case number == "" || strings.Contains(text, number):
		return text
	}
	return number + ", " + text
}

func newDeliveriesList(a *api) *cobra.Command {
	var past pastFlags
	state := choice{of: []string{"queued", "delivered", "dead", "canceled"}}
	f := client.DeliveryFilter{}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List deliveries, those of the newest event first",
		Example: `  sluice deliveries list --state queued
  sluice deliveries list --endpoint billing --since 1h -o json`,
		Args: want(),
		RunE: a.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			if f.Event != "" {
				if _, err := event.ParseID(f.Event); err != nil {
					return usage(cmd, fmt.Errorf("--event: %w", err))
				}
			}
			if f.Endpoint != "" {
				e, err := findEndpoint(cmd.Context(), c, f.Tenant, f.Endpoint)
				if err != nil {
					return err
				}
				f.Endpoint = e.ID
			}
			var names map[string]string
			if past.out.format.value == asTable {
				var err error
				if names, err = endpointsByID(cmd.Context(), c); err != nil {
					return err
				}
			}
			f.State, f.Since, f.Until, f.PageSize = state.value, past.since.at, past.until.at, past.most.pageSize()
			return list(cmd, &past.out, &past.most, c.Deliveries(cmd.Context(), f), deliveryColumns(names, time.Now()), "There are no such deliveries")
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.Endpoint, "endpoint", "", "only to this `ENDPOINT`, a name or id")
	flags.StringVar(&f.Event, "event", "", "only of this `EVENT`, an id")
	state.bind(cmd, "state", "", "only in this state")
	completeFlag(cmd, "endpoint", a.complete(endpointNames))
	completeFlag(cmd, "event", a.complete(eventIDs))
	past.bind(cmd, "of events", &f.Tenant)
	return cmd
}

// mostNames bounds how many endpoints are read to show their names; the others are shown by id.
const mostNames = 1000

// endpointsByID returns the names of endpoints.
func endpointsByID(ctx context.Context, c *client.Client) (map[string]string, error) {
	names := map[string]string{}
	for e, err := range c.Endpoints(ctx, "") {
		if err != nil {
			return nil, err
		}
		if names[e.ID] = e.Name; len(names) == mostNames {
			break
		}
	}
	return names, nil
}

func newDeliveriesGet(a *api) *cobra.Command {
	return shows(&cobra.Command{
		Use:               "get DELIVERY",
		Short:             "Show a delivery with its attempts",
		Long:              "Show a delivery with its attempts, and what the endpoint answered to those that failed. DELIVERY is its id.",
		Example:           "  sluice deliveries get dlv_01k5d3m9q8z6y4x2w0v1t3s5r7000000000000",
		Args:              wantID("DELIVERY", store.ParseDeliveryID),
		ValidArgsFunction: a.completeFirst(deliveryIDs),
	}, a, "delivery", (*client.Client).Delivery, printDelivery)
}

var attemptColumns = []column[control.Attempt]{
	{"ATTEMPT", func(a control.Attempt) cell { return cell{text: fmt.Sprint(a.Number)} }},
	{"STARTED", func(a control.Attempt) cell { return cell{text: a.Started.Local().Format("2006-01-02 15:04:05.000")} }},
	{"TOOK", func(a control.Attempt) cell { return cell{text: humanMS(a.DurationMS)} }},
	{"ENDED", attemptEnd},
}

func attemptEnd(a control.Attempt) cell {
	if a.Delivered {
		return cell{ended(a.Status, a.Error), green}
	}
	return cell{ended(a.Status, a.Error), red}
}

func printDelivery(cmd *cobra.Command, c *client.Client, d control.DeliveryDetail) error {
	out := cmd.OutOrStdout()
	w := sheet{style: styleOf(out)}
	w.add("delivery", d.ID)
	w.add("event", d.Event)
	w.add("endpoint", endpointTitle(cmd.Context(), c, d.Endpoint))
	if d.Replay > 0 {
		w.add("replay", fmt.Sprint(d.Replay))
	}
	w.paint("state", d.State, stateColour(d.State))
	w.add("reason", d.Reason)
	w.add("when", deliveryTime(d.Delivery, time.Now()))
	if err := w.write(out); err != nil || len(d.Attempts) == 0 {
		return err
	}
	fmt.Fprintln(out)
	rows := newListWriter(out, asTable, attemptColumns)
	for _, a := range d.Attempts {
		if err := rows.add(a); err != nil {
			return err
		}
	}
	if err := rows.end(); err != nil {
		return err
	}
	return printExcerpt(out, d.Attempts)
}

// endpointTitle returns the endpoint's name and id, or the id alone where it cannot be looked up.
func endpointTitle(ctx context.Context, c *client.Client, id string) string {
	e, err := c.Endpoint(ctx, id)
	if err != nil {
		return id
	}
	return e.Name + " (" + id + ")"
}

// printExcerpt prints what the last attempt that failed was answered.
func printExcerpt(out io.Writer, attempts []control.Attempt) error {
	for i := len(attempts) - 1; i >= 0; i-- {
		if a := attempts[i]; a.Excerpt != "" {
			_, err := fmt.Fprintf(out, "\nThe answer to attempt %d began:\n%s\n", a.Number, indent(printable(a.Excerpt)))
			return err
		}
	}
	return nil
}

func newDeliveriesRetry(a *api) *cobra.Command {
	var out output
	cmd := &cobra.Command{
		Use:   "retry DELIVERY",
		Short: "Try a delivery again now",
		Long: `Try a delivery again. DELIVERY is its id. A queued one is due now, but not before an attempt that may still run has ended.
For a finished one, delivered ones too, a new delivery of the same event is made, with an id of its own.`,
		Example:           "  sluice deliveries retry dlv_01k5d3m9q8z6y4x2w0v1t3s5r7000000000000",
		Args:              wantID("DELIVERY", store.ParseDeliveryID),
		ValidArgsFunction: a.completeFirst(deliveryIDs),
		RunE: a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			d, err := c.RetryDelivery(cmd.Context(), args[0])
			if errors.Is(err, store.ErrGone) {
				return fmt.Errorf("delivery %.80s cannot be repeated, its event's body is no longer kept: %w", oneLine(args[0]), err)
			}
			if err != nil {
				return noneOf("delivery", args[0], err)
			}
			return out.one(cmd.OutOrStdout(), d, func() error {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "delivery %s is %s, %s\n", d.ID, oneLine(d.State), deliveryTime(d, time.Now()))
				return err
			})
		}),
	}
	out.bind(cmd)
	return cmd
}
