package sqlite

import (
	"context"
	"fmt"

	"github.com/sluicehq/sluice/store"
	"github.com/sluicehq/sluice/store/atrest"
)

const sourceColumns = `id, tenant, name, provider, params, sealed, dedupe, managed_by, created_at, updated_at, deleted_at`

// readSource reads sourceColumns and opens the secrets.
func (s *Store) readSource(st *stmt) (src store.Source, deleted bool, err error) {
	src.ID = store.SourceID(st.readInt())
	src.Tenant, src.Name, src.Provider = st.readText(), st.readText(), st.readText()
	params, sealed := st.readBlob(), st.readBlob()
	src.Dedupe, src.ManagedBy = st.readBool(), store.ManagedBy(st.readText())
	src.CreatedAt, src.UpdatedAt = st.readTime(), st.readTime()
	if deleted = !st.readTime().IsZero(); deleted {
		return src, true, nil
	}
	err = atrest.DecodeSource(s.sealer, params, sealed, &src)
	return src, false, err
}

const (
	// listSources goes up the key; sources are few, a tenant's are filtered.
	listSources = `SELECT ` + sourceColumns + ` FROM sources WHERE id > ?1 AND deleted_at IS NULL AND (?2 IS NULL OR tenant = ?2) ORDER BY id LIMIT ?3`
	// selectSource uses the key.
	selectSource = `SELECT ` + sourceColumns + ` FROM sources WHERE id = ? AND deleted_at IS NULL`
	// namedSource uses sources_name.
	namedSource = `SELECT ` + sourceColumns + ` FROM sources WHERE tenant = ? AND name = ? AND deleted_at IS NULL`
	// changedSinceSources uses sources_version.
	changedSinceSources = `SELECT ` + sourceColumns + ` FROM sources INDEXED BY sources_version WHERE version > ? ORDER BY id`
	// insertSource makes the row: what is sealed is bound to its number.
	insertSource = `INSERT INTO sources (tenant, name, provider, dedupe, managed_by, created_at, updated_at, version)
		VALUES (?, ?, '', 0, '', 0, 0, 0)`
	updateSource = `UPDATE sources SET provider = ?, params = ?, sealed = ?, dedupe = ?, managed_by = ?,
		created_at = ?, updated_at = ?, version = ? WHERE id = ?`
	// burySource leaves a tombstone without secrets.
	burySource = `UPDATE sources SET deleted_at = ?, params = NULL, sealed = NULL, version = ? WHERE id = ?`
)

// ListSources lists sources by id.
func (s *Store) ListSources(ctx context.Context, tenant string, after store.SourceID, limit int) (sources []store.Source, err error) {
	err = s.read(ctx, func(c *conn) error {
		sources = nil
		return s.eachSource(c.prepare(listSources).int(int64(after)).text(tenant).int(int64(max(limit, 0))), func(src store.Source, _ bool) {
			sources = append(sources, src)
		})
	})
	if err != nil {
		return nil, fmt.Errorf("list sources: %w", err)
	}
	return sources, nil
}

func (s *Store) eachSource(st *stmt, take func(src store.Source, deleted bool)) error {
	for st.next() {
		src, deleted, err := s.readSource(st)
		if err != nil {
			st.err = err
			break
		}
		take(src, deleted)
	}
	return st.end()
}

func (s *Store) changedSources(c *conn, since int64, ch *store.Changes) error {
	return s.eachSource(c.prepare(changedSinceSources).int(since), func(src store.Source, deleted bool) {
		switch {
		case !deleted:
			ch.Sources = append(ch.Sources, src)
		case !ch.Full:
			ch.DeletedSources = append(ch.DeletedSources, src.ID)
		}
	})
}

// source reads the one source that st finds; ErrNotFound if there is none.
func (s *Store) source(st *stmt) (src store.Source, err error) {
	err = store.ErrNotFound
	each := s.eachSource(st, func(found store.Source, _ bool) { src, err = found, nil })
	if each != nil {
		return src, each
	}
	return src, err
}

// GetSource returns one source.
func (s *Store) GetSource(ctx context.Context, id store.SourceID) (src store.Source, err error) {
	err = s.read(ctx, func(c *conn) error {
		src, err = s.source(c.prepare(selectSource).int(int64(id)))
		return err
	})
	if err != nil {
		return store.Source{}, fmt.Errorf("source %s: %w", id, err)
	}
	return src, nil
}

// CreateSource stores a new source.
func (s *Store) CreateSource(ctx context.Context, src store.Source) (store.Source, error) {
	var made store.Source
	err := s.configure(ctx, func(e *edit) error {
		made = src
		if made.ManagedBy == "" {
			made.ManagedBy = store.ManagedByAPI
		}
		return s.insertSource(e, &made)
	})
	if err != nil {
		return store.Source{}, fmt.Errorf("create source %q: %w", src.Name, err)
	}
	return made, nil
}

// insertSource stores a source and sets its ID and times.
func (s *Store) insertSource(e *edit, src *store.Source) error {
	taken, err := e.conn.prepare(namedSource).string(src.Tenant).string(src.Name).one(func(*stmt) {})
	if err != nil {
		return err
	}
	if taken {
		return store.ErrExists
	}
	if err := e.conn.prepare(insertSource).string(src.Tenant).string(src.Name).run(); err != nil {
		return err
	}
	src.ID, src.CreatedAt = store.SourceID(e.conn.lastRowid()), e.now
	return s.updateSource(e, src)
}

// updateSource writes everything but tenant and name, and sets UpdatedAt.
func (s *Store) updateSource(e *edit, src *store.Source) error {
	version, err := e.next()
	if err != nil {
		return err
	}
	src.UpdatedAt = e.now
	params, sealed, err := atrest.EncodeSource(s.sealer, src)
	if err != nil {
		return err
	}
	st := e.conn.prepare(updateSource).string(src.Provider).text(string(params)).blob(sealed).bool(src.Dedupe).string(string(src.ManagedBy))
	return st.time(src.CreatedAt).time(src.UpdatedAt).int(version).int(int64(src.ID)).run()
}

// DeleteSource leaves a tombstone for Changes.
func (s *Store) DeleteSource(ctx context.Context, id store.SourceID) error {
	err := s.configure(ctx, func(e *edit) error {
		src, err := s.source(e.conn.prepare(selectSource).int(int64(id)))
		if err != nil {
			return err
		}
		if src.ManagedBy == store.ManagedByFile {
			return store.ErrManaged
		}
		return e.burySource(id)
	})
	if err != nil {
		return fmt.Errorf("delete source %s: %w", id, err)
	}
	return nil
}

func (e *edit) burySource(id store.SourceID) error {
	version, err := e.next()
	if err != nil {
		return err
	}
	return e.conn.prepare(burySource).time(e.now).int(version).int(int64(id)).run()
}
