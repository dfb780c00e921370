-- +goose Up

-- Numbers there is one of: the version of the configuration, the highest version among tombstones that are gone, and
-- the last replay number.
CREATE TABLE counters (name text PRIMARY KEY, value bigint NOT NULL) WITH (fillfactor = 50);
INSERT INTO counters (name, value) VALUES ('configuration', 1), ('tombstones', 0), ('replay', 0);

-- Times are Unix milliseconds. Numbers are never used twice: deleted rows stay as tombstones. Text of people was
-- checked before; what comes from elsewhere is bytea, since it may be no text.
CREATE TABLE sources (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant     text NOT NULL,
    name       text NOT NULL,
    provider   text NOT NULL,
    params     jsonb,
    sealed     bytea,             -- its secrets
    dedupe     boolean NOT NULL,
    managed_by text NOT NULL,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    deleted_at bigint,
    version    bigint NOT NULL    -- of the configuration, when it last changed
);
CREATE UNIQUE INDEX sources_name ON sources (tenant, name) WHERE deleted_at IS NULL;
CREATE INDEX sources_version ON sources (version);

CREATE TABLE endpoints (
    id           integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant       text NOT NULL,
    name         text NOT NULL,
    spec         jsonb NOT NULL,  -- everything that is not secret
    sealed       bytea,           -- URL, headers, secrets
    state        text NOT NULL,
    state_reason text,
    state_since  bigint NOT NULL,
    managed_by   text NOT NULL,
    created_at   bigint NOT NULL,
    updated_at   bigint NOT NULL,
    version      bigint NOT NULL
);
CREATE UNIQUE INDEX endpoints_name ON endpoints (tenant, name) WHERE state <> 'deleted';
CREATE INDEX endpoints_version ON endpoints (version);

CREATE TABLE keys (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant     text NOT NULL,
    name       text NOT NULL,
    scope      text NOT NULL,
    hash       bytea NOT NULL UNIQUE,
    prefix     text NOT NULL,
    created_at bigint NOT NULL,
    deleted_at bigint,
    version    bigint NOT NULL
);
CREATE INDEX keys_version ON keys (version);
