package sqlite

import (
	"errors"
	"sync"
)

// maxTenants bounds the cache: a source may take the tenant's name from outside.
const maxTenants = 1 << 16

// tenants keeps the numbers of tenants that are committed.
type tenants struct {
	mu      sync.Mutex
	numbers map[string]int64
	names   map[int64]string
	learned map[string]int64 // by the transaction that runs; the writer's own
}

// learning begins a transaction: what it learns counts once it is kept.
func (t *tenants) learning() *tenants {
	t.learned = map[string]int64{}
	return t
}

// keep keeps what a committed transaction has learned.
func (t *tenants) keep() {
	for name, number := range t.learned {
		t.put(name, number)
	}
}

func (t *tenants) put(name string, number int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.numbers == nil || len(t.numbers) >= maxTenants {
		t.numbers, t.names = map[string]int64{}, map[int64]string{}
	}
	t.numbers[name], t.names[number] = number, name
}

const (
	// tenantNumber and tenantName use the unique index and the key; the tables are small, and the answers are cached.
	tenantNumber = `SELECT id FROM tenants WHERE name = ?`
	tenantName   = `SELECT name FROM tenants WHERE id = ?`
	insertTenant = `INSERT INTO tenants (name) VALUES (?)`
)

// ensure returns the number of a tenant within a transaction of the writer, which makes one if there is none.
func (t *tenants) ensure(c *conn, name string) (int64, error) {
	number, found, err := t.number(c, name, t.learned)
	if found || err != nil {
		return number, err
	}
	if err := c.prepare(insertTenant).string(name).run(); err != nil {
		return 0, err
	}
	t.learned[name] = c.lastRowid()
	return t.learned[name], nil
}

// number looks a tenant up. What it finds goes to learned, unless that is nil: then it is committed, and cached.
func (t *tenants) number(c *conn, name string, learned map[string]int64) (number int64, found bool, err error) {
	if number, found = learned[name]; found {
		return number, true, nil
	}
	t.mu.Lock()
	number, found = t.numbers[name]
	t.mu.Unlock()
	if found {
		return number, true, nil
	}
	found, err = c.prepare(tenantNumber).string(name).one(func(s *stmt) { number = s.readInt() })
	switch {
	case err != nil || !found:
	case learned != nil:
		learned[name] = number
	default:
		t.put(name, number)
	}
	return number, found, err
}

// name returns the name of a tenant that a row of the history has.
func (t *tenants) name(c *conn, number int64) (string, error) {
	t.mu.Lock()
	name, found := t.names[number]
	t.mu.Unlock()
	if found {
		return name, nil
	}
	found, err := c.prepare(tenantName).int(number).one(func(s *stmt) { name = s.readText() })
	if err == nil && !found {
		err = errors.New("a row names a tenant that does not exist")
	}
	if err != nil {
		return "", err
	}
	t.put(name, number)
	return name, nil
}
