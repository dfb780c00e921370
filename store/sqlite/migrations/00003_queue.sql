-- +goose Up

CREATE TABLE queue (
    endpoint      INTEGER NOT NULL,
    event         BLOB NOT NULL,
    replay        INTEGER NOT NULL,
    size          INTEGER,
    attempt       INTEGER,
    first_attempt INTEGER,
    next_at       INTEGER NOT NULL, -- never before held_until
    held_until    INTEGER,
    reason        TEXT,
    last_status   INTEGER,
    last_error    TEXT,
    last_duration INTEGER,          -- microseconds
    queued_at     INTEGER NOT NULL,
    PRIMARY KEY (endpoint, event, replay)
) WITHOUT ROWID;
-- For Due, which steps from endpoint to endpoint, and for Depths.
CREATE INDEX queue_due ON queue (endpoint, next_at, event, replay);
-- For Seen and for what is too old.
CREATE INDEX queue_event ON queue (event, endpoint, replay);
-- For deliveries whose attempts end.
CREATE INDEX queue_first_attempt ON queue (endpoint, first_attempt) WHERE first_attempt IS NOT NULL;
