package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/pkg/control"
	"github.com/sluicehq/sluice/pkg/control/client"
)

func newEndpoints(g *global) *cobra.Command {
	a := &api{global: g}
	cmd := newEndpointsList(a)
	cmd.Use, cmd.Short, cmd.GroupID = "endpoints", "See, make, pause and delete endpoints: the ways out", groupLook
	cmd.Long = `An endpoint is a way out: a URL, with what it subscribes to and how deliveries to it are signed, limited and retried.
ENDPOINT is its name or id. Without a command it lists them.`
	cmd.Example = `  sluice endpoints
  sluice endpoints create billing --url https://billing.example.com/hooks --type 'invoice.**'
  sluice endpoints pause billing`
	a.bind(cmd)
	cmd.AddCommand(newEndpointsList(a), newEndpointsGet(a), newEndpointsCreate(a), newEndpointsDelete(a))
	for _, s := range []struct {
		verb, short string
		do          func(*client.Client, context.Context, string) (control.Endpoint, error)
	}{
		{"pause", "Send nothing to an endpoint until it is resumed; its events are queued and do not age", (*client.Client).PauseEndpoint},
		{"resume", "Take a pause back: what was queued is sent at a rising rate", (*client.Client).ResumeEndpoint},
		{"enable", "Take back that sluice disabled an endpoint, for 5 days of failures or an answer 410", (*client.Client).EnableEndpoint},
	} {
		cmd.AddCommand(newEndpointsState(a, s.verb, s.short, s.do))
	}
	return cmd
}

var endpointColumns = []column[control.Endpoint]{
	{"ENDPOINT", func(e control.Endpoint) cell { return cell{text: e.Name} }},
	{"STATE", func(e control.Endpoint) cell { return cell{e.State, stateColour(e.State)} }},
	{"URL", func(e control.Endpoint) cell { return cell{text: e.URL} }},
	{"GETS", func(e control.Endpoint) cell { return cell{text: gets(e.Subscriptions)} }},
	{"MANAGED BY", func(e control.Endpoint) cell { return cell{text: e.ManagedBy} }},
	{"ID", func(e control.Endpoint) cell { return cell{e.ID, dim} }},
}

// gets says what an endpoint subscribes to.
func gets(subs []control.SubscriptionSpec) string {
	var parts []string
	for _, s := range subs {
		part := strings.Join(s.Types, ", ")
		if part == "" {
			part = "everything"
		}
		if len(s.Sources) > 0 {
			part += " from " + strings.Join(s.Sources, ", ")
		}
		parts = append(parts, part)
	}
	if len(parts) == 0 {
		return "nothing"
	}
	return strings.Join(parts, "; ")
}

func newEndpointsList(a *api) *cobra.Command {
	var out output
	var most limits
	var tenant string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List endpoints",
		Example: `  sluice endpoints list
  sluice endpoints list -o json | jq -r '.data[].url'`,
		Args: want(),
		RunE: a.run(func(cmd *cobra.Command, c *client.Client, _ []string) error {
			return list(cmd, &out, &most, c.Endpoints(cmd.Context(), tenant), endpointColumns, "There are no endpoints. 'sluice endpoints create' makes one")
		}),
	}
	most.bind(cmd)
	bindTenant(cmd, &tenant)
	out.bind(cmd)
	return cmd
}

func newEndpointsGet(a *api) *cobra.Command {
	var out output
	var tenant string
	cmd := &cobra.Command{
		Use:               "get ENDPOINT",
		Short:             "Show an endpoint",
		Example:           "  sluice endpoints get billing",
		Args:              want("ENDPOINT"),
		ValidArgsFunction: a.completeFirst(endpointNames),
		RunE: a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			e, err := findEndpoint(cmd.Context(), c, tenant, args[0])
			if err != nil {
				return err
			}
			return out.one(cmd.OutOrStdout(), e, func() error { return printEndpoint(cmd, e) })
		}),
	}
	bindTenant(cmd, &tenant)
	out.bind(cmd)
	return cmd
}

func printEndpoint(cmd *cobra.Command, e control.Endpoint) error {
	now := time.Now()
	w := sheet{style: styleOf(cmd.OutOrStdout())}
	w.add("endpoint", e.Name)
	w.add("id", e.ID)
	w.add("tenant", e.Tenant)
	w.add("url", e.URL)
	w.paint("state", e.State+" since "+humanTime(e.StateSince, now), stateColour(e.State))
	w.add("reason", e.StateReason)
	w.add("gets", gets(e.Subscriptions))
	w.add("secrets", fmt.Sprint(e.SecretCount))
	if e.Auth.Kind != "none" {
		w.add("auth", strings.TrimSpace(e.Auth.Kind+" "+e.Auth.Username+e.Auth.Header))
	}
	for _, h := range sortedPairs(e.Headers) {
		w.add("header", h)
	}
	if r := e.RateLimit; r != nil {
		w.add("rate limit", fmt.Sprintf("%g per second, burst %d", r.PerSecond, r.Burst))
	}
	if e.MaxInFlight > 0 {
		w.add("in flight", fmt.Sprintf("at most %d", e.MaxInFlight))
	}
	w.add("queued", fmt.Sprintf("at most %d", e.MaxQueued))
	w.add("timeout", e.Timeout.String())
	w.add("retry", fmt.Sprintf("after %s, times %g up to %s, for %s", e.Retry.Base, e.Retry.Factor, e.Retry.Cap, e.Retry.MaxAge))
	w.add("managed by", e.ManagedBy)
	w.add("created", humanTime(e.CreatedAt, now))
	return w.write(cmd.OutOrStdout())
}

func newEndpointsDelete(a *api) *cobra.Command {
	var tenant string
	cmd := &cobra.Command{
		Use:               "delete ENDPOINT",
		Short:             "Delete an endpoint; what waits for it is canceled",
		Example:           "  sluice endpoints delete billing",
		Args:              want("ENDPOINT"),
		ValidArgsFunction: a.completeFirst(endpointNames),
		RunE: a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			e, err := findEndpoint(cmd.Context(), c, tenant, args[0])
			if err != nil {
				return err
			}
			if err := c.DeleteEndpoint(cmd.Context(), e.ID); err != nil {
				return noneOf("endpoint", args[0], err)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "endpoint %s (%s) deleted\n", oneLine(e.Name), e.ID)
			return err
		}),
	}
	bindTenant(cmd, &tenant)
	return cmd
}

func newEndpointsState(a *api, verb, short string, do func(*client.Client, context.Context, string) (control.Endpoint, error)) *cobra.Command {
	var out output
	var tenant string
	cmd := &cobra.Command{
		Use:               verb + " ENDPOINT",
		Short:             short,
		Example:           "  sluice endpoints " + verb + " billing",
		Args:              want("ENDPOINT"),
		ValidArgsFunction: a.completeFirst(endpointNames),
		RunE: a.run(func(cmd *cobra.Command, c *client.Client, args []string) error {
			e, err := findEndpoint(cmd.Context(), c, tenant, args[0])
			if err != nil {
				return err
			}
			if e, err = do(c, cmd.Context(), e.ID); err != nil {
				return noneOf("endpoint", args[0], err)
			}
			return out.one(cmd.OutOrStdout(), e, func() error {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "endpoint %s (%s) is %s\n", oneLine(e.Name), e.ID, oneLine(e.State))
				return err
			})
		}),
	}
	bindTenant(cmd, &tenant)
	out.bind(cmd)
	return cmd
}
