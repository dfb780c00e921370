package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/atrest"
)

const (
	// fileSources and fileEndpoints read what the file managed before; both tables are small.
	fileSources   = `SELECT ` + sourceColumns + ` FROM sources WHERE managed_by = 'file' AND deleted_at IS NULL ORDER BY id`
	fileEndpoints = `SELECT ` + endpointColumns + ` FROM endpoints WHERE managed_by = 'file' AND state <> 'deleted' ORDER BY id`
)

// ApplyFile makes sources and endpoints as the file says.
func (s *Store) ApplyFile(ctx context.Context, sources []store.Source, endpoints []store.Endpoint, options ...store.ApplyOption) (applied store.Applied, err error) {
	want := atrest.Resources{Sources: sources, Endpoints: endpoints}
	plan := func(c *conn) error {
		have, err := s.concerned(c, want)
		if err != nil {
			return err
		}
		applied, err = atrest.PlanFile(have, want, options...)
		return err
	}
	if slices.Contains(options, store.ApplyDryRun) {
		err = s.read(ctx, plan)
	} else {
		err = s.configure(ctx, func(e *edit) error {
			if err := plan(e.conn); err != nil {
				return err
			}
			return s.apply(e, &applied)
		})
	}
	if err != nil {
		return store.Applied{}, fmt.Errorf("apply the configuration file: %w", err)
	}
	return applied, nil
}

// concerned reads what the file managed before and what it names now, by id.
func (s *Store) concerned(c *conn, want atrest.Resources) (have atrest.Resources, err error) {
	err = s.eachSource(c.prepare(fileSources), func(src store.Source, _ bool) { have.Sources = append(have.Sources, src) })
	if err != nil {
		return have, err
	}
	err = s.eachEndpoint(c.prepare(fileEndpoints), func(e store.Endpoint) { have.Endpoints = append(have.Endpoints, e) })
	if err != nil {
		return have, err
	}
	for i := range want.Sources {
		src, err := s.source(c.prepare(namedSource).string(want.Sources[i].Tenant).string(want.Sources[i].Name))
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return have, err
		case src.ManagedBy != store.ManagedByFile:
			have.Sources = append(have.Sources, src)
		}
	}
	for i := range want.Endpoints {
		e, err := s.endpoint(c.prepare(namedEndpoint).string(want.Endpoints[i].Tenant).string(want.Endpoints[i].Name))
		switch {
		case errors.Is(err, store.ErrNotFound):
		case err != nil:
			return have, err
		case e.ManagedBy != store.ManagedByFile:
			have.Endpoints = append(have.Endpoints, e)
		}
	}
	return have, nil
}

func (s *Store) apply(e *edit, applied *store.Applied) error {
	err := atrest.WriteSources(applied.Sources,
		func(src *store.Source) error { return s.insertSource(e, src) },
		func(src *store.Source) error { return s.updateSource(e, src) },
		func(src *store.Source) error { return e.burySource(src.ID) })
	if err != nil {
		return err
	}
	return atrest.WriteEndpoints(applied.Endpoints,
		func(ep *store.Endpoint) error { return s.insertEndpoint(e, ep) },
		func(ep *store.Endpoint) error { return s.updateEndpoint(e, ep) },
		func(ep *store.Endpoint) error { return s.buryEndpoint(e, ep) })
}
