package main

import (
	"context"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluicehq/sluice/pkg/control"
	"github.com/sluicehq/sluice/pkg/control/client"
)

// Completions are asked for with every press of the tab key.
const (
	completionTime = 500 * time.Millisecond
	completionMost = 100
)

// candidates yields what could stand there, asked of the API.
type candidates func(context.Context, *client.Client) iter.Seq2[cobra.Completion, error]

// complete completes by asking the API. Without an answer in time there is nothing to offer.
func (a *api) complete(ask candidates) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) (out []cobra.Completion, _ cobra.ShellCompDirective) {
		base, err := a.base()
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		c, err := client.New(base, apiKey(a.key))
		if err != nil {
			return nil, cobra.ShellCompDirectiveError
		}
		defer c.Close()
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		for candidate, err := range ask(ctx, c) {
			if err != nil {
				return nil, cobra.ShellCompDirectiveError
			}
			if out = append(out, candidate); len(out) == completionMost {
				break
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// completeFirst is complete for the first argument and no other.
func (a *api) completeFirst(ask candidates) cobra.CompletionFunc {
	first := a.complete(ask)
	return func(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return first(cmd, args, prefix)
	}
}

func sourceNames(ctx context.Context, c *client.Client) iter.Seq2[cobra.Completion, error] {
	return completions(c.Sources(ctx, ""), func(s control.Source) (string, string) { return s.Name, s.Provider })
}

func endpointNames(ctx context.Context, c *client.Client) iter.Seq2[cobra.Completion, error] {
	return completions(c.Endpoints(ctx, ""), func(e control.Endpoint) (string, string) { return e.Name, e.State })
}

func eventIDs(ctx context.Context, c *client.Client) iter.Seq2[cobra.Completion, error] {
	return completions(c.Events(ctx, client.EventFilter{}), func(e control.Event) (string, string) {
		return e.ID, e.Type + ", " + humanTime(e.Time, time.Now())
	})
}

func deliveryIDs(ctx context.Context, c *client.Client) iter.Seq2[cobra.Completion, error] {
	return completions(c.Deliveries(ctx, client.DeliveryFilter{}), func(d control.Delivery) (string, string) {
		return d.ID, d.State + ", " + deliveryTime(d, time.Now())
	})
}

func completions[T any](all iter.Seq2[T, error], by func(T) (text, description string)) iter.Seq2[cobra.Completion, error] {
	return func(yield func(cobra.Completion, error) bool) {
		for item, err := range all {
			text, description := by(item)
			if !yield(cobra.CompletionWithDesc(oneLine(text), oneLine(description)), err) {
				return
			}
		}
	}
}
