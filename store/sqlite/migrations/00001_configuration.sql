-- +goose Up

-- Numbers there is one of: the version of the configuration, the highest version among tombstones that are gone, and
-- the last replay number.
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counters (name, value) VALUES ('configuration', 1), ('tombstones', 0), ('replay', 0);

CREATE TABLE tenants (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

-- Times are Unix milliseconds. AUTOINCREMENT: a number is never used twice. Deleted rows stay as tombstones.
CREATE TABLE sources (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant     TEXT NOT NULL,
    name       TEXT NOT NULL,
    provider   TEXT NOT NULL,
    params     TEXT,              -- JSON object
    sealed     BLOB,              -- its secrets
    dedupe     INTEGER NOT NULL,
    managed_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    version    INTEGER NOT NULL   -- of the configuration, when it last changed
);
CREATE UNIQUE INDEX sources_name ON sources (tenant, name) WHERE deleted_at IS NULL;
CREATE INDEX sources_version ON sources (version);

CREATE TABLE endpoints (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant       TEXT NOT NULL,
    name         TEXT NOT NULL,
    spec         TEXT NOT NULL,   -- JSON object: everything that is not secret
    sealed       BLOB,            -- URL, headers, secrets
    state        TEXT NOT NULL,
    state_reason TEXT,
    state_since  INTEGER NOT NULL,
    managed_by   TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    version      INTEGER NOT NULL
);
CREATE UNIQUE INDEX endpoints_name ON endpoints (tenant, name) WHERE state <> 'deleted';
CREATE INDEX endpoints_version ON endpoints (version);

CREATE TABLE keys (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant     TEXT NOT NULL,
    name       TEXT NOT NULL,
    scope      TEXT NOT NULL,
    hash       BLOB NOT NULL UNIQUE,
    prefix     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    deleted_at INTEGER,
    version    INTEGER NOT NULL
);
CREATE INDEX keys_version ON keys (version);
