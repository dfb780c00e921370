-- +goose Up

CREATE TABLE gates (
    endpoint      INTEGER PRIMARY KEY,
    state         TEXT NOT NULL,
    not_before    INTEGER,
    opens         INTEGER NOT NULL,
    failing_since INTEGER,
    version       INTEGER NOT NULL,
    changed_at    INTEGER NOT NULL
);
CREATE INDEX gates_changed_at ON gates (changed_at);

CREATE TABLE shards (
    id      INTEGER PRIMARY KEY,
    owner   TEXT,
    epoch   INTEGER NOT NULL,
    expires INTEGER NOT NULL
);
WITH RECURSIVE n (id) AS (SELECT 0 UNION ALL SELECT id + 1 FROM n WHERE id < 63)
INSERT INTO shards (id, epoch, expires) SELECT id, 0, 0 FROM n;

CREATE TABLE nodes (name TEXT PRIMARY KEY, expires INTEGER NOT NULL) WITHOUT ROWID;
