package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/sluicehq/sluice/pkg/control"
)

func one(noun, id string) string { return "/v1/" + noun + "/" + url.PathEscape(id) }

// CreateSource creates a source.
func (c *Client) CreateSource(ctx context.Context, spec control.SourceSpec) (made control.Source, err error) {
	err = c.ask(ctx, http.MethodPost, "/v1/sources", nil, spec, &made)
	return made, err
}

// Source returns a source by its id.
func (c *Client) Source(ctx context.Context, id string) (src control.Source, err error) {
	err = c.ask(ctx, http.MethodGet, one("sources", id), nil, nil, &src)
	return src, err
}

// DeleteSource deletes a source.
func (c *Client) DeleteSource(ctx context.Context, id string) error {
	return c.ask(ctx, http.MethodDelete, one("sources", id), nil, nil, nil)
}

// CreateEndpoint creates an endpoint. If spec has no secrets, the one that was generated is in the answer, and only
// there.
func (c *Client) CreateEndpoint(ctx context.Context, spec control.EndpointSpec) (made control.CreatedEndpoint, err error) {
	err = c.ask(ctx, http.MethodPost, "/v1/endpoints", nil, spec, &made)
	return made, err
}

// Endpoint returns an endpoint by its id, a deleted one too.
func (c *Client) Endpoint(ctx context.Context, id string) (e control.Endpoint, err error) {
	err = c.ask(ctx, http.MethodGet, one("endpoints", id), nil, nil, &e)
	return e, err
}

// DeleteEndpoint deletes an endpoint.
func (c *Client) DeleteEndpoint(ctx context.Context, id string) error {
	return c.ask(ctx, http.MethodDelete, one("endpoints", id), nil, nil, nil)
}

// PauseEndpoint stops deliveries to an endpoint.
func (c *Client) PauseEndpoint(ctx context.Context, id string) (e control.Endpoint, err error) {
	err = c.ask(ctx, http.MethodPost, one("endpoints", id)+"/pause", nil, nil, &e)
	return e, err
}

// ResumeEndpoint takes a pause back.
func (c *Client) ResumeEndpoint(ctx context.Context, id string) (e control.Endpoint, err error) {
	err = c.ask(ctx, http.MethodPost, one("endpoints", id)+"/resume", nil, nil, &e)
	return e, err
}

// EnableEndpoint takes back that Sluice disabled an endpoint.
func (c *Client) EnableEndpoint(ctx context.Context, id string) (e control.Endpoint, err error) {
	err = c.ask(ctx, http.MethodPost, one("endpoints", id)+"/enable", nil, nil, &e)
	return e, err
}

// Event returns an event with its deliveries.
func (c *Client) Event(ctx context.Context, id string) (e control.EventDetail, err error) {
	err = c.ask(ctx, http.MethodGet, one("events", id), nil, nil, &e)
	return e, err
}

// EventBody writes the exact bytes of an event's body to w.
func (c *Client) EventBody(ctx context.Context, id string, w io.Writer) error {
	resp, err := c.send(ctx, http.MethodGet, one("events", id)+"/body", nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("read body of event %s: %w", id, err)
	}
	return nil
}

// Delivery returns a delivery with its attempts.
func (c *Client) Delivery(ctx context.Context, id string) (d control.DeliveryDetail, err error) {
	err = c.ask(ctx, http.MethodGet, one("deliveries", id), nil, nil, &d)
	return d, err
}

// RetryDelivery makes a queued delivery due now; for a finished one it makes a new delivery. It returns the one that is
// now queued.
func (c *Client) RetryDelivery(ctx context.Context, id string) (d control.Delivery, err error) {
	err = c.ask(ctx, http.MethodPost, one("deliveries", id)+"/retry", nil, nil, &d)
	return d, err
}
