package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/atrest"
)

const (
	// concernedSources and concernedEndpoints read what the file managed before and what it names now. The tables are small.
	concernedSources = `SELECT ` + sourceColumns + ` FROM sources WHERE deleted_at IS NULL AND (managed_by = 'file'
		OR (tenant, name) IN (SELECT * FROM unnest($1::text[], $2::text[]))) ORDER BY id`
	concernedEndpoints = `SELECT ` + endpointColumns + ` FROM endpoints WHERE state <> 'deleted' AND (managed_by = 'file'
		OR (tenant, name) IN (SELECT * FROM unnest($1::text[], $2::text[]))) ORDER BY id`
)

// ApplyFile makes sources and endpoints as the file says.
func (s *Store) ApplyFile(ctx context.Context, sources []store.Source, endpoints []store.Endpoint, options ...store.ApplyOption) (applied store.Applied, err error) {
	want := atrest.Resources{Sources: sources, Endpoints: endpoints}
	plan := func(tx pgx.Tx) error {
		have, err := s.concerned(ctx, tx, want)
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
			if err := plan(e.tx); err != nil {
				return err
			}
			return s.apply(ctx, e, &applied)
		})
	}
	if err != nil {
		return store.Applied{}, s.describe("apply the configuration file", err)
	}
	return applied, nil
}

func (s *Store) concerned(ctx context.Context, tx pgx.Tx, want atrest.Resources) (have atrest.Resources, err error) {
	var tenants, names []string
	for i := range want.Sources {
		tenants, names = append(tenants, want.Sources[i].Tenant), append(names, want.Sources[i].Name)
	}
	takeSource := func(src store.Source, _ bool) { have.Sources = append(have.Sources, src) }
	if err := s.eachSource(ctx, tx, takeSource, concernedSources, tenants, names); err != nil {
		return have, err
	}
	tenants, names = nil, nil
	for i := range want.Endpoints {
		tenants, names = append(tenants, want.Endpoints[i].Tenant), append(names, want.Endpoints[i].Name)
	}
	takeEndpoint := func(e store.Endpoint) { have.Endpoints = append(have.Endpoints, e) }
	err = s.eachEndpoint(ctx, tx, takeEndpoint, concernedEndpoints, tenants, names)
	return have, err
}

func (s *Store) apply(ctx context.Context, e *edit, applied *store.Applied) error {
	err := atrest.WriteSources(applied.Sources,
		func(src *store.Source) error { return s.insertSource(ctx, e, src) },
		func(src *store.Source) error { return s.updateSource(ctx, e, src) },
		func(src *store.Source) error { return e.burySource(ctx, src.ID) })
	if err != nil {
		return err
	}
	return atrest.WriteEndpoints(applied.Endpoints,
		func(ep *store.Endpoint) error { return s.insertEndpoint(ctx, e, ep) },
		func(ep *store.Endpoint) error { return s.updateEndpoint(ctx, e, ep) },
		func(ep *store.Endpoint) error { return s.buryEndpoint(ctx, e, ep) })
}
