package postgres

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pingTimeout is how long a connection that has lain idle may take to show that it is alive. After a failover that
// nobody told it of, each one in the pool costs that much.
const pingTimeout = time.Second

// ParseURL reads a store URL. Beside what libpq knows (sslmode, target_session_attrs, several hosts, …) it may set
// pool_max_conns. Errors do not quote it: it may hold a password.
func ParseURL(text string) (*pgxpool.Config, error) {
	explicit := false
	if u, err := url.Parse(text); err == nil {
		if u.Scheme != "postgres" && u.Scheme != "postgresql" {
			return nil, errors.New("store url: want postgres://user@host/database")
		}
		explicit = u.Query().Has("pool_max_conns")
	}
	cfg, err := pgxpool.ParseConfig(text)
	if err != nil {
		var parse *pgconn.ParseConfigError
		if errors.As(err, &parse) {
			return nil, fmt.Errorf("store url: %s", reasonOf(parse))
		}
		return nil, errors.New("store url: not a postgres:// url")
	}
	if !explicit {
		cfg.MaxConns = 0
	}
	cfg.MaxConnIdleTime, cfg.MaxConnLifetime = idleTime, lifeTime
	cfg.MaxConnLifetimeJitter = lifeTime / 10
	if cfg.PingTimeout == 0 {
		cfg.PingTimeout = pingTimeout
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	// Statements that are not prepared, so that PgBouncer may share connections between transactions.
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	cfg.ConnConfig.RuntimeParams["application_name"] = "sluice"
	return cfg, nil
}

// reasonOf is the middle of pgx's message: it begins with the url, and the cause at its end quotes what it could not read.
func reasonOf(parse *pgconn.ParseConfigError) string {
	message := parse.Error()
	if cause := parse.Unwrap(); cause != nil {
		message = strings.TrimSuffix(message, " ("+cause.Error()+")")
	}
	if i := strings.LastIndex(message, "`: "); i >= 0 {
		return message[i+3:]
	}
	return "cannot be read"
}
