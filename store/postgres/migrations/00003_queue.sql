-- +goose Up

-- No time is 0. Rows come and go at the pace of deliveries: pages have room for the next version of their rows, and
-- vacuum comes early.
CREATE TABLE queue (
    event         uuid NOT NULL,
    endpoint      integer NOT NULL,
    replay        integer NOT NULL,
    next_at       bigint NOT NULL, -- never before held_until, nor before the row was written
    held_until    bigint NOT NULL,
    first_attempt bigint NOT NULL,
    queued_at     bigint NOT NULL,
    size          integer NOT NULL,
    attempt       integer NOT NULL,
    last_duration integer NOT NULL, -- microseconds
    shard         smallint NOT NULL, -- of the endpoint
    reason        smallint NOT NULL,
    last_status   smallint NOT NULL,
    last_error    text,
    PRIMARY KEY (endpoint, event, replay)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000,
    autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000,
    autovacuum_vacuum_cost_delay = 0);
-- For Due, which steps from endpoint to endpoint.
CREATE INDEX queue_due ON queue (shard, endpoint, next_at, event, replay);
-- For Seen, for what is too old, and for lists.
CREATE INDEX queue_event ON queue (event);
-- For deliveries whose attempts end.
CREATE INDEX queue_first_attempt ON queue (endpoint, first_attempt) WHERE first_attempt > 0;
