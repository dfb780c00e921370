package sqlite

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sluicehq/sluice/store"
)

const (
	// fileSources and fileEndpoints read what the file managed before; both tables are small.
	fileSources   = `SELECT ` + sourceColumns + ` FROM sources WHERE managed_by = 'file' AND deleted_at IS NULL ORDER BY id`
	fileEndpoints = `SELECT ` + endpointColumns + ` FROM endpoints WHERE managed_by = 'file' AND state <> 'deleted' ORDER BY id`
)

type named struct{ tenant, name string }

// ApplyFile makes sources and endpoints as the file says.
func (s *Store) ApplyFile(ctx context.Context, sources []store.Source, endpoints []store.Endpoint) (applied store.Applied, err error) {
	err = s.configure(ctx, func(e *edit) error {
		applied = store.Applied{}
		if err := s.applySources(e, sources, &applied); err != nil {
			return err
		}
		return s.applyEndpoints(e, endpoints, &applied)
	})
	if err != nil {
		return store.Applied{}, fmt.Errorf("apply the configuration file: %w", err)
	}
	return applied, nil
}

func (s *Store) applySources(e *edit, sources []store.Source, applied *store.Applied) error {
	kept := map[named]bool{}
	for _, want := range sources {
		if kept[named{want.Tenant, want.Name}] {
			return fmt.Errorf("source %s is named twice: %w", want.Name, store.ErrExists)
		}
		kept[named{want.Tenant, want.Name}] = true
		want.ManagedBy = store.ManagedByFile
		have, err := s.source(e.conn.prepare(namedSource).string(want.Tenant).string(want.Name))
		switch {
		case errors.Is(err, store.ErrNotFound):
			applied.Created = append(applied.Created, "source "+want.Name)
			err = s.insertSource(e, &want)
		case err != nil:
		default:
			want.ID, want.CreatedAt, want.UpdatedAt = have.ID, have.CreatedAt, have.UpdatedAt
			if equalSources(&have, &want) {
				continue
			}
			applied.Updated = append(applied.Updated, "source "+want.Name)
			err = s.updateSource(e, &want)
		}
		if err != nil {
			return fmt.Errorf("source %s: %w", want.Name, err)
		}
	}
	var managed []store.Source
	if err := s.eachSource(e.conn.prepare(fileSources), func(src store.Source, _ bool) { managed = append(managed, src) }); err != nil {
		return err
	}
	for _, src := range managed {
		if kept[named{src.Tenant, src.Name}] {
			continue
		}
		src.ManagedBy = store.ManagedByAPI
		if err := s.updateSource(e, &src); err != nil {
			return err
		}
		applied.Released = append(applied.Released, "source "+src.Name)
	}
	return nil
}

func (s *Store) applyEndpoints(e *edit, endpoints []store.Endpoint, applied *store.Applied) error {
	kept := map[named]bool{}
	for _, want := range endpoints {
		if kept[named{want.Tenant, want.Name}] {
			return fmt.Errorf("endpoint %s is named twice: %w", want.Name, store.ErrExists)
		}
		kept[named{want.Tenant, want.Name}] = true
		want.ManagedBy = store.ManagedByFile
		have, err := s.endpoint(e.conn.prepare(namedEndpoint).string(want.Tenant).string(want.Name))
		switch {
		case errors.Is(err, store.ErrNotFound):
			applied.Created = append(applied.Created, "endpoint "+want.Name)
			err = s.insertEndpoint(e, &want)
		case err != nil:
		default:
			want.ID, want.CreatedAt, want.UpdatedAt = have.ID, have.CreatedAt, have.UpdatedAt
			want.State, want.StateReason, want.StateSince = have.State, have.StateReason, have.StateSince
			if equalEndpoints(&have, &want) {
				continue
			}
			applied.Updated = append(applied.Updated, "endpoint "+want.Name)
			err = s.updateEndpoint(e, &want)
		}
		if err != nil {
			return fmt.Errorf("endpoint %s: %w", want.Name, err)
		}
	}
	var managed []store.Endpoint
	if err := s.eachEndpoint(e.conn.prepare(fileEndpoints), func(ep store.Endpoint) { managed = append(managed, ep) }); err != nil {
		return err
	}
	for _, ep := range managed {
		if kept[named{ep.Tenant, ep.Name}] {
			continue
		}
		ep.ManagedBy = store.ManagedByAPI
		if err := s.updateEndpoint(e, &ep); err != nil {
			return err
		}
		applied.Released = append(applied.Released, "endpoint "+ep.Name)
	}
	return nil
}

// equalSources compares what a row would hold: nil and empty are one.
func equalSources(a, b *store.Source) bool {
	type row struct {
		Provider  string
		Params    map[string]string `json:",omitempty"`
		Secrets   [][]byte          `json:",omitempty"`
		Dedupe    bool
		ManagedBy store.ManagedBy
	}
	rowOf := func(s *store.Source) row {
		r := row{Provider: s.Provider, Params: s.Params, Dedupe: s.Dedupe, ManagedBy: s.ManagedBy}
		for _, secret := range s.Secrets {
			r.Secrets = append(r.Secrets, []byte(secret.Reveal()))
		}
		return r
	}
	return equalJSON(rowOf(a), rowOf(b))
}

func equalEndpoints(a, b *store.Endpoint) bool {
	type row struct {
		Spec      endpointSpec
		Secrets   endpointSecrets
		ManagedBy store.ManagedBy
	}
	return equalJSON(row{specOf(a), secretsOf(a), a.ManagedBy}, row{specOf(b), secretsOf(b), b.ManagedBy})
}

func equalJSON(a, b any) bool {
	left, errLeft := json.Marshal(a)
	right, errRight := json.Marshal(b)
	return errLeft == nil && errRight == nil && bytes.Equal(left, right)
}
