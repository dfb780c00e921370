-- +goose Up

-- Where an event comes from and what it is, once for all events alike: rows of events are shorter for it, and one index
-- serves lists by tenant, source, type and any of them together.
CREATE TABLE kinds (
    id     integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant text NOT NULL,
    source bytea NOT NULL,
    type   bytea NOT NULL,
    UNIQUE (tenant, source, type)
);
CREATE INDEX kinds_type ON kinds (type, tenant);
CREATE INDEX kinds_source ON kinds (source, tenant);

-- Ids of events are uuids in form alone: 48 bits of time and 80 of chance. They sort by time, so the day of an id is the
-- partition of everything about its event. Partitions are made ahead and dropped whole; see partitions.go.
-- NULL is the empty text; no time is 0.
CREATE TABLE events (
    id          uuid NOT NULL,
    kind        integer NOT NULL,
    size        integer NOT NULL, -- of the body
    matched     integer NOT NULL,
    given_block integer,          -- of the id's time, with given_hash for lists by given id
    given_hash  integer,
    given_id    bytea,
    key         bytea,
    rest        bytea,            -- what nothing is looked up by
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX events_kind ON events (kind, id);
CREATE INDEX events_key ON events (key, id) WHERE key IS NOT NULL;
-- Given ids come in random order: an index of them alone would have each event dirty a page of its own. Within a block
-- of time they share pages, and a look-up asks block by block.
CREATE INDEX events_given ON events (given_block, given_hash) WHERE given_hash IS NOT NULL;

-- Bodies go sooner than events.
CREATE TABLE bodies (event uuid NOT NULL, body bytea NOT NULL, PRIMARY KEY (event)) PARTITION BY RANGE (event);

-- Copies of an event that were dropped. Apart, so that rows of events are written once.
CREATE TABLE duplicates (event uuid NOT NULL, copies bigint NOT NULL, PRIMARY KEY (event)) PARTITION BY RANGE (event);

CREATE TABLE deliveries (
    event         uuid NOT NULL,
    endpoint      integer NOT NULL,
    replay        integer NOT NULL,
    first_attempt bigint NOT NULL,
    finished_at   bigint NOT NULL,
    attempts      integer NOT NULL,
    last_duration integer NOT NULL, -- microseconds
    state         smallint NOT NULL, -- 1 dead, 2 canceled, 3 delivered
    reason        smallint NOT NULL,
    last_status   smallint NOT NULL,
    last_error    text,
    PRIMARY KEY (event, endpoint, replay)
) PARTITION BY RANGE (event);
-- For lists of an endpoint, newest first; the others find what failed among millions that did not.
CREATE INDEX deliveries_endpoint ON deliveries (endpoint, event, replay);
CREATE INDEX deliveries_failed ON deliveries (state, event, endpoint, replay) WHERE state <> 3;
CREATE INDEX deliveries_endpoint_failed ON deliveries (endpoint, state, event, replay) WHERE state <> 3;

CREATE TABLE attempts (
    event    uuid NOT NULL,
    endpoint integer NOT NULL,
    replay   integer NOT NULL,
    number   integer NOT NULL,
    duration integer NOT NULL, -- microseconds
    started  bigint NOT NULL,
    status   smallint NOT NULL,
    error    text,
    excerpt  bytea,
    PRIMARY KEY (event, endpoint, replay, number)
) PARTITION BY RANGE (event);

CREATE TABLE quarantine (
    number   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic    bytea NOT NULL,
    stream   bytea NOT NULL,
    position bytea NOT NULL,
    reason   text,
    at       bigint NOT NULL,
    key      bytea,
    headers  bytea,
    body     bytea,
    event    uuid
);
CREATE UNIQUE INDEX quarantine_position ON quarantine (topic, stream, position);
CREATE INDEX quarantine_at ON quarantine (at);

-- Events whose claims are void since they went to quarantine: finding their digests would take an index as large as claims.
CREATE TABLE released (event uuid PRIMARY KEY);

-- Who holds a digest until when. Swept block by block instead of by an index on until, which would cost every event.
CREATE TABLE claims (digest uuid PRIMARY KEY, event uuid NOT NULL, until bigint NOT NULL)
    WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_insert_scale_factor = 0.05);
