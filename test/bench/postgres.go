package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sluicehq/sluice/test/pgtest"
)

// benchSettings give a server the memory of a small production one; it is durable.
var benchSettings = map[string]string{"shared_buffers": "512MB", "max_wal_size": "4GB", "fsync": "on", "synchronous_commit": "on"}

// postgres is a PostgreSQL server to measure on.
type postgres struct {
	url   string         // of a database that exists, as somebody who may make others
	began *pgtest.Server // nil: it was there before
	names int
	postgresReport
}

// postgresReport describes a server.
type postgresReport struct {
	Version  string            `json:"version"`
	Settings map[string]string `json:"settings"`
}

func (r postgresReport) String() string {
	text := "PostgreSQL " + r.Version
	for _, name := range shownSettings {
		text += ", " + name + " " + r.Settings[name]
	}
	return text
}

// startPostgres takes the server at b.postgresURL, or starts the installed one, with its data beside the gateway's. The
// error is pgtest.ErrMissing where there is none.
func (b *bench) startPostgres(ctx context.Context) (_ *postgres, err error) {
	p := &postgres{url: b.postgresURL}
	if p.url == "" {
		p.began, err = pgtest.New(pgtest.Options{Settings: benchSettings, Within: b.out})
		if errors.Is(err, pgtest.ErrMissing) {
			return nil, fmt.Errorf("%w (-postgres URL takes a server that runs)", err)
		}
		if err != nil {
			return nil, fmt.Errorf("%w (its user must be able to reach %s, see -out; -postgres URL takes a server that runs)", err, b.out)
		}
		p.url = p.began.URL("postgres")
	}
	if err := p.describe(ctx); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

func (p *postgres) stop() error {
	if p.began == nil {
		return nil
	}
	return p.began.Close()
}

var shownSettings = []string{"shared_buffers", "max_wal_size", "fsync", "synchronous_commit", "full_page_writes"}

func (p *postgres) describe(ctx context.Context) error {
	p.Settings = map[string]string{}
	return use(ctx, p.url, func(conn *pgx.Conn) error {
		for _, name := range append([]string{"server_version"}, shownSettings...) {
			var value string
			if err := conn.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&value); err != nil {
				return err
			}
			p.Settings[name] = value
		}
		p.Version = p.Settings["server_version"]
		delete(p.Settings, "server_version")
		return nil
	})
}

// use connects for the time of f.
func use(ctx context.Context, database string, f func(*pgx.Conn) error) error {
	conn, err := connect(ctx, database)
	if err != nil {
		return err
	}
	return errors.Join(f(conn), conn.Close(context.WithoutCancel(ctx)))
}

// connect does not prepare statements: there may be a PgBouncer.
func connect(ctx context.Context, database string) (*pgx.Conn, error) {
	cfg, err := pgx.ParseConfig(database)
	if err != nil {
		return nil, errors.New("-postgres: not a postgres:// URL that can be read") // it may hold a password
	}
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 10 * time.Second
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return conn, nil
}

// database is an empty database, and what a gateway needs to use it.
type database struct {
	url string
	key string // that seals secrets
	pid int    // the server's first process; 0: it runs elsewhere
}

// env is the configuration of a gateway on the database. Not in its file: it is secret.
func (d *database) env() []string {
	return []string{"SLUICE_STORE_URL=" + d.url, "SLUICE_ENCRYPTION_KEY=" + d.key}
}

// with makes a database for the time of f. What is measured in one is not slowed down by what was written to another:
// removing it has the server write everything first. Without a server there is no database.
func (p *postgres) with(ctx context.Context, f func(*database) error) (err error) {
	if p == nil {
		return f(nil)
	}
	p.names++
	name := fmt.Sprintf("sluice_bench_%d_%d", os.Getpid(), p.names)
	d := &database{}
	if d.url, err = withDatabase(p.url, name); err != nil {
		return err
	}
	if d.key, err = encryptionKey(); err != nil {
		return err
	}
	if err := execute(ctx, p.url, "CREATE DATABASE "+name); err != nil {
		return fmt.Errorf("make a database to measure in: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Minute) // a checkpoint is part of it
		defer cancel()
		err = errors.Join(err, execute(ctx, p.url, "DROP DATABASE "+name+" WITH (FORCE)"))
	}()
	if err := use(ctx, d.url, func(conn *pgx.Conn) (err error) { d.pid, err = serverOf(ctx, conn); return err }); err != nil {
		return err
	}
	return f(d)
}

func execute(ctx context.Context, database, sql string) error {
	return use(ctx, database, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, sql)
		return err
	})
}

// serverOf returns the number of the server's first process if it runs on this machine, and otherwise 0: processes of
// another one have numbers that are somebody else's here, or nobody's.
func serverOf(ctx context.Context, conn *pgx.Conn) (int, error) {
	var pid int
	var name string
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid(), current_database()").Scan(&pid, &name); err != nil {
		return 0, err
	}
	title, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil || !strings.Contains(string(title), name) {
		return 0, nil //nolint:nilerr // that there is no such process here is the answer
	}
	stat, err := readStat(pid)
	if err != nil {
		return 0, err
	}
	return stat.parent, nil
}

// withDatabase returns a URL with another database in it.
func withDatabase(text, name string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return "", errors.New("-postgres: want postgres://USER@HOST/DATABASE")
	}
	u.Path = "/" + name
	return u.String(), nil
}

// encryptionKey is a new one, as `openssl rand -base64 32` prints it.
func encryptionKey() (string, error) {
	key := make([]byte, 32)
	_, err := rand.Read(key)
	return base64.StdEncoding.EncodeToString(key), err
}
