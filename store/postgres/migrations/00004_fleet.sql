-- +goose Up

-- No time is 0.
CREATE TABLE gates (
    endpoint      integer PRIMARY KEY,
    state         text NOT NULL,
    not_before    bigint NOT NULL,
    opens         integer NOT NULL,
    failing_since bigint NOT NULL,
    version       bigint NOT NULL,
    changed_at    bigint NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX gates_changed_at ON gates (changed_at);

-- Written every few seconds by every process: room for versions on the same page, and frequent vacuums.
CREATE TABLE shards (
    id      smallint PRIMARY KEY,
    owner   text,
    epoch   bigint NOT NULL,
    expires bigint NOT NULL
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
INSERT INTO shards (id, epoch, expires) SELECT n, 0, 0 FROM generate_series(0, 63) n;

CREATE TABLE nodes (name text PRIMARY KEY, expires bigint NOT NULL)
    WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);
