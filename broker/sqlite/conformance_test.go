package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	lib "modernc.org/sqlite/lib"

	"github.com/sluicehq/sluice/broker"
	"github.com/sluicehq/sluice/broker/brokertest"
)

func TestConformance(t *testing.T) {
	brokertest.Run(t, func(t *testing.T) brokertest.Harness {
		return newRig(t).harness()
	})
}

// rig is a broker's file and what can be done to it.
type rig struct {
	cfg    Config
	faults *faults
}

// smallConfig makes windows and times short.
func smallConfig(t *testing.T) Config {
	t.Helper()
	cfg := Defaults(filepath.Join(t.TempDir(), "broker.db"))
	cfg.Window = 64
	cfg.WindowBytes = 64 << 10
	cfg.Drain = 500 * time.Millisecond
	cfg.CommitEvery = 20 * time.Millisecond
	cfg.MinFree = 0
	return cfg
}

func newRig(t *testing.T) *rig {
	t.Helper()
	return &rig{cfg: smallConfig(t), faults: &faults{}}
}

func (r *rig) harness() brokertest.Harness {
	return brokertest.Harness{
		Open:        func(t *testing.T) broker.Broker { return r.open(t) },
		Window:      r.cfg.Window,
		WindowBytes: r.cfg.WindowBytes,
		Drain:       r.cfg.Drain,
		Kill:        func(t *testing.T, b broker.Broker) { r.kill(t, b.(*Broker)) },
		Passed:      r.passed,
		Refuse: func(t *testing.T, b broker.Broker) (heal func()) {
			return limitPages(t, b.(*Broker))
		},
		Outage: func(*testing.T, broker.Broker) (heal func()) {
			r.faults.set(func(string) error { return sqliteError(lib.SQLITE_IOERR_READ) }, nil)
			return r.faults.heal
		},
		LoseAnswer: func(*testing.T, broker.Broker) { r.faults.loseAnswer() },
		Truncate:   r.truncate,
		Break: func(*testing.T, broker.Broker) {
			r.faults.set(func(sql string) error {
				if sql == selectRows {
					return sqliteError(lib.SQLITE_CORRUPT)
				}
				return nil
			}, nil)
		},
	}
}

func (r *rig) open(t *testing.T) *Broker {
	t.Helper()
	b, err := r.tryOpen(t)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return b
}

func (r *rig) tryOpen(t *testing.T) (*Broker, error) {
	t.Helper()
	c, err := connector(r.cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	b, err := open(ctx, r.cfg, &faultyConnector{Connector: c, faults: r.faults}, zap.NewNop(), prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		r.faults.heal()
		if err := b.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b, nil
}

// kill leaves b behind with its file: the next open gets a copy of the file as it is now, between two transactions, which
// is what a process that is killed leaves. Tests of real kills are in crash_test.go.
func (r *rig) kill(t *testing.T, b *Broker) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "broker.db")
	err := b.writer.do(t.Context(), func(context.Context, *conn) error {
		return b.file.copyAlone(func() error { // no checkpoint meanwhile
			for _, suffix := range []string{"", "-wal"} {
				data, err := os.ReadFile(r.cfg.Path + suffix)
				if err != nil {
					return err
				}
				if err := os.WriteFile(path+suffix, data, 0o600); err != nil {
					return err
				}
			}
			return nil
		})
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.cfg.Path = path
}

func (r *rig) passed(t *testing.T, b broker.Broker, topic, group, stream, position string) bool {
	t.Helper()
	at, err := strconv.ParseInt(position, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	var committed int64
	err = b.(*Broker).file.read(t.Context(), func(c *conn) error {
		committed, err = c.number(context.WithoutCancel(t.Context()), `SELECT coalesce(max(position), 0) FROM positions
			JOIN groups ON groups.id = positions."group" JOIN streams ON streams.id = positions.stream JOIN topics ON topics.id = streams.topic
			WHERE topics.name = ? AND groups.name = ? AND streams.number = ?`, topic, group, stream)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return committed > at
}

// limitPages has the file not grow any more.
func limitPages(t *testing.T, b *Broker) (heal func()) {
	t.Helper()
	set := func(sql string) {
		t.Helper()
		err := b.writer.do(t.Context(), func(ctx context.Context, c *conn) error { return c.query(ctx, sql, nil) }, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	set("PRAGMA max_page_count = 1") // means: as many as there are
	return func() { set(fmt.Sprintf("PRAGMA max_page_count = %d", 1<<30)) }
}

// truncate rewrites the row that position lies in, and deletes those before.
func (r *rig) truncate(t *testing.T, b broker.Broker, topic, stream, position string) {
	t.Helper()
	at, err := strconv.ParseInt(position, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(stream)
	if err != nil {
		t.Fatal(err)
	}
	base := rowID(b.(*Broker).directory.Load().topics[topic].streams[number].id, 0)
	err = b.(*Broker).writer.do(t.Context(), func(ctx context.Context, c *conn) error {
		var keep []*broker.Message
		var ms int64
		err := c.query(ctx, `SELECT id, time, data FROM messages WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1`, func(row []driver.Value) error {
			id, data := row[0].(int64), row[2].([]byte)
			ms = row[1].(int64)
			return decodeRow(id, ms, data, int(base+at-id), names{}, func(_ int, m *broker.Message, _ error) { keep = append(keep, m) })
		}, base, base+at)
		if err != nil {
			return err
		}
		if err := c.exec(ctx, `DELETE FROM messages WHERE id BETWEEN ? AND ?`, base, base+at); err != nil || len(keep) == 0 {
			return err
		}
		return c.exec(ctx, insertRow, base+at, ms, appendRow(nil, base+at, ms, keep))
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
}
