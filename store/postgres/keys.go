package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sluicehq/sluice/store"
)

const keyColumns = `id, tenant, name, scope, hash, prefix, created_at, deleted_at IS NOT NULL`

// eachKey reads keyColumns.
func eachKey(ctx context.Context, tx pgx.Tx, take func(k store.Key, deleted bool), text string, args ...any) error {
	rows, err := tx.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	var id int32
	var k store.Key
	var hash []byte
	var createdAt int64
	var deleted bool
	_, err = pgx.ForEachRow(rows, []any{&id, &k.Tenant, &k.Name, &k.Scope, &hash, &k.Prefix, &createdAt, &deleted}, func() error {
		k.ID, k.CreatedAt = store.KeyID(id), millis(createdAt)
		copy(k.Hash[:], hash)
		take(k, deleted)
		return nil
	})
	return err
}

const (
	// insertKey is refused by the unique index on hash.
	insertKey = `INSERT INTO keys (tenant, name, scope, hash, prefix, created_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id`
	// listKeys goes up the key of the table: oldest first.
	listKeys = `SELECT ` + keyColumns + ` FROM keys WHERE deleted_at IS NULL ORDER BY id`
	// changedSinceKeys uses keys_version.
	changedSinceKeys = `SELECT ` + keyColumns + ` FROM keys WHERE version > $1 ORDER BY id`
	selectKey        = `SELECT EXISTS (SELECT FROM keys WHERE id = $1::bigint AND deleted_at IS NULL)`
	buryKey          = `UPDATE keys SET deleted_at = $2, version = $3 WHERE id = $1`
)

// CreateKey stores a key's hash. ErrExists if it is stored already.
func (s *Store) CreateKey(ctx context.Context, k store.Key) (made store.Key, err error) {
	err = s.configure(ctx, func(e *edit) error {
		made = k
		if err := e.begin(ctx); err != nil {
			return err
		}
		var id int32
		err := e.tx.QueryRow(ctx, insertKey, k.Tenant, k.Name, string(k.Scope), k.Hash[:], k.Prefix, e.now.UnixMilli(), e.version).Scan(&id)
		made.ID, made.CreatedAt = store.KeyID(id), e.now
		return taken(err)
	})
	if err != nil {
		return store.Key{}, s.describe(fmt.Sprintf("create key %q", k.Name), err)
	}
	return made, nil
}

// ListKeys returns the keys in force.
func (s *Store) ListKeys(ctx context.Context) (keys []store.Key, err error) {
	err = s.read(ctx, func(tx pgx.Tx) error {
		keys = nil
		return eachKey(ctx, tx, func(k store.Key, _ bool) { keys = append(keys, k) }, listKeys)
	})
	if err != nil {
		return nil, s.describe("list keys", err)
	}
	return keys, nil
}

func changedKeys(ctx context.Context, tx pgx.Tx, since int64, ch *store.Changes) error {
	return eachKey(ctx, tx, func(k store.Key, deleted bool) {
		switch {
		case !deleted:
			ch.Keys = append(ch.Keys, k)
		case !ch.Full:
			ch.DeletedKeys = append(ch.DeletedKeys, k.ID)
		}
	}, changedSinceKeys, since)
}

// DeleteKey leaves a tombstone for Changes.
func (s *Store) DeleteKey(ctx context.Context, id store.KeyID) error {
	err := s.configure(ctx, func(e *edit) error {
		var there bool
		if err := e.tx.QueryRow(ctx, selectKey, int64(id)).Scan(&there); err != nil {
			return err
		}
		if !there {
			return store.ErrNotFound
		}
		if err := e.begin(ctx); err != nil {
			return err
		}
		return e.run(ctx, buryKey, int64(id), e.now.UnixMilli(), e.version)
	})
	return s.describe(fmt.Sprintf("delete key %s", id), err)
}
