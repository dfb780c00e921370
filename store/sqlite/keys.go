package sqlite

import (
	"context"
	"fmt"

	"github.com/sluicehq/sluice/store"
)

const keyColumns = `id, tenant, name, scope, hash, prefix, created_at, deleted_at`

// readKey reads keyColumns.
func readKey(st *stmt) (k store.Key, deleted bool) {
	k.ID = store.KeyID(st.readInt())
	k.Tenant, k.Name, k.Scope = st.readText(), st.readText(), store.Scope(st.readText())
	copy(k.Hash[:], st.peek())
	k.Prefix, k.CreatedAt = st.readText(), st.readTime()
	return k, !st.readTime().IsZero()
}

const (
	insertKey = `INSERT INTO keys (tenant, name, scope, hash, prefix, created_at, version) VALUES (?, ?, ?, ?, ?, ?, ?)`
	// sameKey uses the unique index on hash.
	sameKey = `SELECT 1 FROM keys WHERE hash = ?`
	// listKeys goes up the key of the table: oldest first.
	listKeys = `SELECT ` + keyColumns + ` FROM keys WHERE deleted_at IS NULL ORDER BY id`
	// changedSinceKeys uses keys_version.
	changedSinceKeys = `SELECT ` + keyColumns + ` FROM keys INDEXED BY keys_version WHERE version > ? ORDER BY id`
	selectKey        = `SELECT 1 FROM keys WHERE id = ? AND deleted_at IS NULL`
	buryKey          = `UPDATE keys SET deleted_at = ?, version = ? WHERE id = ?`
)

// CreateKey stores a key's hash. ErrExists if it is stored already.
func (s *Store) CreateKey(ctx context.Context, k store.Key) (made store.Key, err error) {
	err = s.configure(ctx, func(e *edit) error {
		made = k
		taken, err := e.conn.prepare(sameKey).blob(k.Hash[:]).one(func(*stmt) {})
		if err != nil {
			return err
		}
		if taken {
			return store.ErrExists
		}
		version, err := e.next()
		if err != nil {
			return err
		}
		made.CreatedAt = e.now
		st := e.conn.prepare(insertKey).string(k.Tenant).string(k.Name).string(string(k.Scope)).blob(k.Hash[:])
		if err := st.string(k.Prefix).time(made.CreatedAt).int(version).run(); err != nil {
			return err
		}
		made.ID = store.KeyID(e.conn.lastRowid())
		return nil
	})
	if err != nil {
		return store.Key{}, fmt.Errorf("create key %q: %w", k.Name, err)
	}
	return made, nil
}

// ListKeys returns the keys in force.
func (s *Store) ListKeys(ctx context.Context) (keys []store.Key, err error) {
	err = s.read(ctx, func(c *conn) error {
		keys = nil
		st := c.prepare(listKeys)
		for st.next() {
			k, _ := readKey(st)
			keys = append(keys, k)
		}
		return st.end()
	})
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return keys, nil
}

func changedKeys(c *conn, since int64, ch *store.Changes) error {
	st := c.prepare(changedSinceKeys).int(since)
	for st.next() {
		switch k, deleted := readKey(st); {
		case !deleted:
			ch.Keys = append(ch.Keys, k)
		case !ch.Full:
			ch.DeletedKeys = append(ch.DeletedKeys, k.ID)
		}
	}
	return st.end()
}

// DeleteKey leaves a tombstone for Changes.
func (s *Store) DeleteKey(ctx context.Context, id store.KeyID) error {
	err := s.configure(ctx, func(e *edit) error {
		found, err := e.conn.prepare(selectKey).int(int64(id)).one(func(*stmt) {})
		if err != nil {
			return err
		}
		if !found {
			return store.ErrNotFound
		}
		version, err := e.next()
		if err != nil {
			return err
		}
		return e.conn.prepare(buryKey).time(e.now).int(version).int(int64(id)).run()
	})
	if err != nil {
		return fmt.Errorf("delete key %s: %w", id, err)
	}
	return nil
}
