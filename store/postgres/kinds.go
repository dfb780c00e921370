package postgres

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sluicehq/sluice/store"
)

// kind is where an event comes from and what it is.
type kind struct{ tenant, source, typ string }

// maxKinds bounds what is remembered; beyond it the process begins anew.
const maxKinds = 1 << 16

// kinds remembers the numbers of kinds, which never change.
type kinds struct {
	mu      sync.Mutex
	numbers map[kind]int32
}

const (
	selectKinds = `SELECT k.id, u.n FROM unnest($1::text[], $2::bytea[], $3::bytea[]) WITH ORDINALITY AS u (tenant, source, type, n)
		JOIN kinds k ON k.tenant = u.tenant AND k.source = u.source AND k.type = u.type`
	insertKinds = `INSERT INTO kinds (tenant, source, type) SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[])
		ORDER BY 1, 2, 3 ON CONFLICT DO NOTHING`
)

// ensure returns the numbers of the events' kinds, in their order. New ones get theirs in a transaction of their own, so
// that a number is known to everybody before a row has it.
func (k *kinds) ensure(ctx context.Context, pool *pgxpool.Pool, rows []store.EventRow) ([]int32, error) {
	out := make([]int32, len(rows))
	missing := map[kind]int32{}
	k.mu.Lock()
	for i := range rows {
		of := kindOf(&rows[i])
		if out[i] = k.numbers[of]; out[i] == 0 {
			missing[of] = 0
		}
	}
	k.mu.Unlock()
	if len(missing) == 0 {
		return out, nil
	}
	if err := number(ctx, pool, missing); err != nil {
		return nil, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.numbers == nil || len(k.numbers)+len(missing) > maxKinds {
		k.numbers = map[kind]int32{}
	}
	for of, n := range missing {
		k.numbers[of] = n
	}
	for i := range rows {
		if out[i] == 0 {
			out[i] = missing[kindOf(&rows[i])]
		}
	}
	return out, nil
}

// forget has them looked up anew.
func (k *kinds) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.numbers)
}

// number finds the numbers of kinds, and makes those that are missing.
func number(ctx context.Context, pool *pgxpool.Pool, kinds map[kind]int32) error {
	all := columnsOf(kinds)
	if err := all.find(ctx, pool, kinds); err != nil {
		return err
	}
	unknown := columnsOf(kinds)
	if len(unknown.kinds) == 0 {
		return nil
	}
	if _, err := pool.Exec(ctx, insertKinds, unknown.tenants, unknown.sources, unknown.types); err != nil {
		return err
	}
	return unknown.find(ctx, pool, kinds)
}

func kindOf(r *store.EventRow) kind { return kind{plain(r.Event.Tenant), r.Event.Source, r.Event.Type} }

// kindColumns are kinds as three arrays.
type kindColumns struct {
	kinds          []kind
	tenants        []string
	sources, types [][]byte
}

// columnsOf returns the kinds that have no number yet.
func columnsOf(kinds map[kind]int32) (c kindColumns) {
	for of, n := range kinds {
		if n != 0 {
			continue
		}
		c.kinds = append(c.kinds, of)
		c.tenants, c.sources, c.types = append(c.tenants, of.tenant), append(c.sources, []byte(of.source)), append(c.types, []byte(of.typ))
	}
	return c
}

// find puts the numbers that the database has into numbers.
func (c *kindColumns) find(ctx context.Context, pool *pgxpool.Pool, numbers map[kind]int32) error {
	rows, err := pool.Query(ctx, selectKinds, c.tenants, c.sources, c.types)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int32
		var n int64
		if err := rows.Scan(&id, &n); err != nil {
			return err
		}
		numbers[c.kinds[n-1]] = id
	}
	return rows.Err()
}
