-- +goose Up

-- Ids of events are 16 bytes and sort by time, so rows are appended, and old ones are dropped from the front.
-- NULL is the empty text, the number zero, no time.
CREATE TABLE events (
    id           BLOB PRIMARY KEY,
    tenant       INTEGER NOT NULL,
    source       TEXT,
    type         TEXT,
    key          TEXT,
    given_id     TEXT,
    origin       TEXT,
    time         INTEGER,         -- NULL: the time in the id
    method       TEXT,
    path         TEXT,
    query        TEXT,
    content_type TEXT,
    headers      BLOB,
    trace_parent TEXT,
    trace_state  TEXT,
    size         INTEGER,
    matched      INTEGER
) WITHOUT ROWID;
-- For ListEvents by key.
CREATE INDEX events_key ON events (key) WHERE key IS NOT NULL;

-- For ListEvents by given id. These come in random order: an index of all of them would have each event dirty a page of
-- its own. Blocks are small enough that a batch shares the pages of one, and a look-up asks block by block.
CREATE TABLE given_ids (
    block INTEGER NOT NULL,
    hash  INTEGER NOT NULL,
    event BLOB NOT NULL,
    PRIMARY KEY (block, hash, event)
) WITHOUT ROWID;

-- Copies of an event that were dropped. Apart, so that rows of events are written once.
CREATE TABLE duplicates (event BLOB PRIMARY KEY, copies INTEGER NOT NULL) WITHOUT ROWID;

-- Bodies go sooner than events. n is the front of the event's id, which makes it its own index: a table with numbers
-- keeps a body of 1 KiB in its leaf, one WITHOUT ROWID (at most a quarter of a page a row) would give it a page.
CREATE TABLE bodies (n INTEGER PRIMARY KEY, event BLOB NOT NULL, body BLOB NOT NULL);

CREATE TABLE deliveries (
    event         BLOB NOT NULL,
    endpoint      INTEGER NOT NULL,
    replay        INTEGER NOT NULL,
    state         INTEGER NOT NULL, -- 1 dead, 2 canceled, 3 delivered
    reason        TEXT,
    attempts      INTEGER,
    first_attempt INTEGER,
    finished_at   INTEGER,
    last_status   INTEGER,
    last_error    TEXT,
    last_duration INTEGER,          -- microseconds
    PRIMARY KEY (event, endpoint, replay)
) WITHOUT ROWID;
-- For ListDeliveries of an endpoint, newest first; the others find what failed among millions that did not.
CREATE INDEX deliveries_endpoint ON deliveries (endpoint, event, replay);
CREATE INDEX deliveries_failed ON deliveries (state, event, endpoint, replay) WHERE state <> 3;
CREATE INDEX deliveries_endpoint_failed ON deliveries (endpoint, state, event, replay) WHERE state <> 3;

CREATE TABLE attempts (
    event    BLOB NOT NULL,
    endpoint INTEGER NOT NULL,
    replay   INTEGER NOT NULL,
    number   INTEGER NOT NULL,
    started  INTEGER,
    duration INTEGER,               -- microseconds
    status   INTEGER,
    error    TEXT,
    excerpt  BLOB,
    PRIMARY KEY (event, endpoint, replay, number)
) WITHOUT ROWID;

CREATE TABLE quarantine (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    topic    TEXT NOT NULL,
    stream   TEXT NOT NULL,
    position TEXT NOT NULL,
    reason   TEXT,
    at       INTEGER NOT NULL,
    key      BLOB,
    headers  BLOB,
    body     BLOB,
    event    BLOB
);
CREATE UNIQUE INDEX quarantine_position ON quarantine (topic, stream, position);
CREATE INDEX quarantine_at ON quarantine (at);

-- Who holds a digest until when. Events whose claims are void since they went to quarantine are in released: finding
-- their digests would take an index as large as the table.
CREATE TABLE claims (digest BLOB PRIMARY KEY, event BLOB NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE released (event BLOB PRIMARY KEY) WITHOUT ROWID;
