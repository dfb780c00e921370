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
-- For Due, which steps from endpoint to endpoint.
CREATE INDEX queue_due ON queue (endpoint, next_at, event, replay);
-- For Seen and for what is too old.
CREATE INDEX queue_event ON queue (event, endpoint, replay);
-- For deliveries whose attempts end.
CREATE INDEX queue_first_attempt ON queue (endpoint, first_attempt) WHERE first_attempt IS NOT NULL;

-- How many rows an endpoint has: counting a million of them takes a third of a second.
CREATE TABLE depths (endpoint INTEGER PRIMARY KEY, rows INTEGER NOT NULL);
-- +goose StatementBegin
CREATE TRIGGER queue_grows AFTER INSERT ON queue BEGIN
    INSERT INTO depths (endpoint, rows) VALUES (NEW.endpoint, 1) ON CONFLICT (endpoint) DO UPDATE SET rows = rows + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER queue_shrinks AFTER DELETE ON queue BEGIN
    UPDATE depths SET rows = rows - 1 WHERE endpoint = OLD.endpoint;
END;
-- +goose StatementEnd
