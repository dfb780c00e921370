package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/sluicehq/sluice/pkg/control"
	"github.com/sluicehq/sluice/pkg/control/client"
	"github.com/sluicehq/sluice/store"
)

// endpointAPI is what a registration needs of the API.
type endpointAPI interface {
	CreateEndpoint(ctx context.Context, spec control.EndpointSpec) (control.CreatedEndpoint, error)
	Endpoint(ctx context.Context, id string) (control.Endpoint, error)
	DeleteEndpoint(ctx context.Context, id string) error
}

// registration keeps an endpoint registered while somebody listens.
type registration struct {
	api   endpointAPI
	say   *lines
	spec  control.EndpointSpec
	every time.Duration // between looks whether it is still there

	id    string
	state string // as last seen
	away  bool   // the API did not answer when last asked
}

// requestTime bounds each request of a registration.
const requestTime = 10 * time.Second

// run registers the endpoint, looks after it until ctx ends, and deletes it.
func (r *registration) run(ctx context.Context) error {
	if err := r.register(ctx); err != nil {
		return err
	}
	ticker := time.NewTicker(r.every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := r.look(ctx); err != nil {
				return errors.Join(err, r.leave(ctx))
			}
		case <-ctx.Done():
			return r.leave(ctx)
		}
	}
}

// register makes the endpoint. It sees the answer even if ctx ends meanwhile: an endpoint that nobody knows of would stay.
func (r *registration) register(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTime)
	defer cancel()
	made, err := r.api.CreateEndpoint(ctx, r.spec)
	if err != nil {
		return r.refused(err)
	}
	r.id, r.state = made.ID, made.State
	r.say.add("%s (%s) listens on %s and gets %s. Ctrl-C ends it and deletes it.", r.spec.Name, r.id, r.spec.URL, gets(r.spec.Subscriptions))
	return r.say.err
}

// refused says what to do about an endpoint that the API does not take.
func (r *registration) refused(err error) error {
	var answer *client.Error
	if !errors.As(err, &answer) {
		return err
	}
	switch {
	case answer.Status == http.StatusConflict:
		return advise(fmt.Errorf("there is an endpoint %s already", oneLine(r.spec.Name)),
			"choose another --name; if it is left over from a listen that was killed: 'sluice endpoints delete %s'", oneLine(r.spec.Name))
	case slices.ContainsFunc(answer.Problems, func(p client.Problem) bool { return p.Location == "body.url" }):
		return advise(fmt.Errorf("deliveries to %s are refused: %s", r.spec.URL, oneLine(answer.Problems[0].Message)),
			"use 'sluice dev', or allow it in the configuration: network: {allow_http: true, allow: [127.0.0.0/8]}")
	}
	return err
}

// look sees whether the endpoint is still there, and registers it again if not. While the API does not answer it waits.
func (r *registration) look(ctx context.Context) error {
	ask, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	e, err := r.api.Endpoint(ask, r.id)
	switch {
	case ctx.Err() != nil:
		return nil
	case errors.Is(err, store.ErrNotFound), err == nil && !r.ours(e):
		r.say.add("The endpoint is gone from sluice; registering it again.")
		if err = r.register(ctx); err == nil {
			r.away = false
			return nil
		}
	case err == nil:
		return r.seen(e.State)
	}
	if final(err) {
		return err
	}
	return r.lost()
}

// ours reports whether e, of our id, is our endpoint: with another store behind the API the id may be somebody else's.
func (r *registration) ours(e control.Endpoint) bool {
	return e.Name == r.spec.Name && e.State != string(store.EndpointDeleted)
}

// final reports whether waiting does not help: sluice has answered, and said no.
func final(err error) bool {
	var answer *client.Error
	return errors.As(err, new(*advice)) || errors.As(err, &answer) && answer.Status < http.StatusInternalServerError
}

// lost notes that the API does not answer.
func (r *registration) lost() error {
	if !r.away {
		r.away = true
		r.say.add("Sluice does not answer; waiting for it.")
	}
	return r.say.err
}

// seen notes that the endpoint is there.
func (r *registration) seen(state string) error {
	if r.away {
		r.away = false
		r.say.add("Sluice answers again.")
	}
	if state != r.state {
		r.state = state
		r.say.add("The endpoint is now %s.", oneLine(state))
	}
	return r.say.err
}

// leave deletes the endpoint.
func (r *registration) leave(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTime)
	defer cancel()
	e, err := r.api.Endpoint(ctx, r.id)
	if err == nil && r.ours(e) {
		err = r.api.DeleteEndpoint(ctx, r.id)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return advise(fmt.Errorf("endpoint %s is not deleted: %w", oneLine(r.spec.Name), err),
			"when sluice runs again: 'sluice endpoints delete %s'", oneLine(r.spec.Name))
	}
	if r.say.err == nil {
		r.say.add("%s is deleted.", r.spec.Name)
	}
	return nil
}
