package client

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sluicehq/sluice/pkg/control"
)

var errLoop = errors.New("the management API answers the same page for ever")

// list yields what a list has, page by page, until it ends, the caller stops, or an error is yielded.
func list[T any](ctx context.Context, c *Client, path string, query url.Values, pageSize int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if pageSize > 0 {
			query.Set("limit", strconv.Itoa(pageSize))
		}
		for {
			var page control.Page[T]
			if err := c.ask(ctx, http.MethodGet, path, query, nil, &page); err != nil {
				yield(*new(T), err)
				return
			}
			for _, item := range page.Data {
				if !yield(item, nil) {
					return
				}
			}
			switch page.NextCursor {
			case "":
				return
			case query.Get("cursor"):
				yield(*new(T), errLoop)
				return
			}
			query.Set("cursor", page.NextCursor)
		}
	}
}

// values makes a query of pairs of name and value, without those whose value is empty.
func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// EventFilter selects events; zero fields do not.
type EventFilter struct {
	Tenant   string // for admin keys
	Type     string
	Source   string    // its name
	Since    time.Time // accepted then or later
	Until    time.Time // accepted before
	Query    string    // exactly its id, key, or id given by the sender
	PageSize int       // asked for at once, 1 to 250; 0: 50
}

// Events yields events, newest first.
func (c *Client) Events(ctx context.Context, f EventFilter) iter.Seq2[control.Event, error] {
	return list[control.Event](ctx, c, "/v1/events", values(
		"tenant", f.Tenant, "type", f.Type, "source", f.Source, "since", timeText(f.Since), "until", timeText(f.Until), "q", f.Query,
	), f.PageSize)
}

// DeliveryFilter selects deliveries; zero fields do not.
type DeliveryFilter struct {
	Tenant   string // for admin keys
	Endpoint string // its id
	Event    string // its id
	State    string // queued, delivered, dead or canceled
	Since    time.Time
	Until    time.Time
	PageSize int // asked for at once, 1 to 250; 0: 50
}

// Deliveries yields deliveries, those of the newest event first.
func (c *Client) Deliveries(ctx context.Context, f DeliveryFilter) iter.Seq2[control.Delivery, error] {
	return list[control.Delivery](ctx, c, "/v1/deliveries", values(
		"tenant", f.Tenant, "endpoint", f.Endpoint, "event", f.Event, "state", f.State, "since", timeText(f.Since), "until", timeText(f.Until),
	), f.PageSize)
}

// Sources yields sources, oldest first; tenant is for admin keys, empty is all.
func (c *Client) Sources(ctx context.Context, tenant string) iter.Seq2[control.Source, error] {
	return list[control.Source](ctx, c, "/v1/sources", values("tenant", tenant), 0)
}

// Endpoints yields endpoints, oldest first; tenant is for admin keys, empty is all.
func (c *Client) Endpoints(ctx context.Context, tenant string) iter.Seq2[control.Endpoint, error] {
	return list[control.Endpoint](ctx, c, "/v1/endpoints", values("tenant", tenant), 0)
}

// Quarantine yields quarantined messages, newest first.
func (c *Client) Quarantine(ctx context.Context) iter.Seq2[control.Quarantined, error] {
	return list[control.Quarantined](ctx, c, "/v1/quarantine", url.Values{}, 0)
}

// Providers returns all presets, by name.
func (c *Client) Providers(ctx context.Context) ([]control.Provider, error) {
	var page control.Page[control.Provider]
	err := c.ask(ctx, http.MethodGet, "/v1/providers", nil, nil, &page)
	return page.Data, err
}
