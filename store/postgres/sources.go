package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/atrest"
)

const sourceColumns = `id, tenant, name, provider, params, sealed, dedupe, managed_by, created_at, updated_at, deleted_at IS NOT NULL`

// eachSource reads sourceColumns and opens the secrets.
func (s *Store) eachSource(ctx context.Context, tx pgx.Tx, take func(src store.Source, deleted bool), text string, args ...any) error {
	rows, err := tx.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	var id int32
	var src store.Source
	var params, sealed []byte
	var createdAt, updatedAt int64
	var deleted bool
	_, err = pgx.ForEachRow(rows, []any{
		&id, &src.Tenant, &src.Name, &src.Provider, &params, &sealed, &src.Dedupe, &src.ManagedBy, &createdAt, &updatedAt, &deleted,
	}, func() error {
		found := src
		found.ID, found.CreatedAt, found.UpdatedAt = store.SourceID(id), millis(createdAt), millis(updatedAt)
		if err := atrest.DecodeSource(s.sealer, params, sealed, &found); err != nil {
			return err
		}
		take(found, deleted)
		return nil
	})
	return err
}

// source reads the one source that a statement finds; ErrNotFound if there is none.
func (s *Store) source(ctx context.Context, tx pgx.Tx, text string, args ...any) (src store.Source, err error) {
	missing := store.ErrNotFound
	err = s.eachSource(ctx, tx, func(found store.Source, _ bool) { src, missing = found, nil }, text, args...)
	if err != nil {
		return src, err
	}
	return src, missing
}

const (
	// listSources goes up the key; sources are few, a tenant's are filtered.
	listSources = `SELECT ` + sourceColumns + ` FROM sources WHERE id > $1::bigint AND deleted_at IS NULL AND ($2 = '' OR tenant = $2) ORDER BY id LIMIT $3`
	// selectSource uses the key.
	selectSource = `SELECT ` + sourceColumns + ` FROM sources WHERE id = $1::bigint AND deleted_at IS NULL`
	// changedSinceSources uses sources_version.
	changedSinceSources = `SELECT ` + sourceColumns + ` FROM sources WHERE version > $1 ORDER BY id`
	// nextSource comes first: what is sealed is bound to the number.
	nextSource   = `SELECT nextval(pg_get_serial_sequence('sources', 'id'))::integer`
	insertSource = `INSERT INTO sources (id, tenant, name, provider, params, sealed, dedupe, managed_by, created_at, updated_at, version)
		OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)`
	updateSource = `UPDATE sources SET provider = $2, params = $3, sealed = $4, dedupe = $5, managed_by = $6, updated_at = $7, version = $8 WHERE id = $1`
	// burySource leaves a tombstone without secrets.
	burySource = `UPDATE sources SET deleted_at = $2, params = NULL, sealed = NULL, version = $3 WHERE id = $1`
)

// ListSources lists sources by id.
func (s *Store) ListSources(ctx context.Context, tenant string, after store.SourceID, limit int) (sources []store.Source, err error) {
	err = s.read(ctx, func(tx pgx.Tx) error {
		sources = nil
		take := func(src store.Source, _ bool) { sources = append(sources, src) }
		return s.eachSource(ctx, tx, take, listSources, int64(after), tenant, max(limit, 0))
	})
	if err != nil {
		return nil, s.describe("list sources", err)
	}
	return sources, nil
}

func (s *Store) changedSources(ctx context.Context, tx pgx.Tx, since int64, ch *store.Changes) error {
	return s.eachSource(ctx, tx, func(src store.Source, deleted bool) {
		switch {
		case !deleted:
			ch.Sources = append(ch.Sources, src)
		case !ch.Full:
			ch.DeletedSources = append(ch.DeletedSources, src.ID)
		}
	}, changedSinceSources, since)
}

// GetSource returns one source.
func (s *Store) GetSource(ctx context.Context, id store.SourceID) (src store.Source, err error) {
	err = s.read(ctx, func(tx pgx.Tx) error {
		src, err = s.source(ctx, tx, selectSource, int64(id))
		return err
	})
	if err != nil {
		return store.Source{}, s.describe(fmt.Sprintf("source %s", id), err)
	}
	return src, nil
}

// CreateSource stores a new source.
func (s *Store) CreateSource(ctx context.Context, src store.Source) (made store.Source, err error) {
	err = s.configure(ctx, func(e *edit) error {
		made = src
		if made.ManagedBy == "" {
			made.ManagedBy = store.ManagedByAPI
		}
		return s.insertSource(ctx, e, &made)
	})
	if err != nil {
		return store.Source{}, s.describe(fmt.Sprintf("create source %q", src.Name), err)
	}
	return made, nil
}

// insertSource stores a source and sets its ID and times.
func (s *Store) insertSource(ctx context.Context, e *edit, src *store.Source) error {
	id, err := e.number(ctx, nextSource)
	if err != nil {
		return err
	}
	src.ID, src.CreatedAt, src.UpdatedAt = store.SourceID(id), e.now, e.now
	params, sealed, err := atrest.EncodeSource(s.sealer, src)
	if err != nil {
		return err
	}
	return e.insert(ctx, insertSource, id, src.Tenant, src.Name, src.Provider, params, sealed, src.Dedupe, string(src.ManagedBy),
		e.now.UnixMilli(), e.version)
}

// updateSource writes everything but tenant, name and creation, and sets UpdatedAt.
func (s *Store) updateSource(ctx context.Context, e *edit, src *store.Source) error {
	if err := e.begin(ctx); err != nil {
		return err
	}
	src.UpdatedAt = e.now
	params, sealed, err := atrest.EncodeSource(s.sealer, src)
	if err != nil {
		return err
	}
	return e.run(ctx, updateSource, int64(src.ID), src.Provider, params, sealed, src.Dedupe, string(src.ManagedBy), e.now.UnixMilli(), e.version)
}

// DeleteSource leaves a tombstone for Changes.
func (s *Store) DeleteSource(ctx context.Context, id store.SourceID) error {
	err := s.configure(ctx, func(e *edit) error {
		src, err := s.source(ctx, e.tx, selectSource, int64(id))
		if err != nil {
			return err
		}
		if src.ManagedBy == store.ManagedByFile {
			return store.ErrManaged
		}
		return e.burySource(ctx, id)
	})
	return s.describe(fmt.Sprintf("delete source %s", id), err)
}

func (e *edit) burySource(ctx context.Context, id store.SourceID) error {
	if err := e.begin(ctx); err != nil {
		return err
	}
	return e.run(ctx, burySource, int64(id), e.now.UnixMilli(), e.version)
}
