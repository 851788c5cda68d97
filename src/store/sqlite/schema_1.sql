-- Schema 1. What each table and column means to other programs is said in docs/schema.md.
-- Instants are microseconds since 1970 in UTC; an end of 9223372036854775807 is unlimited.

-- The log. Small columns first: what follows a long body can only be reached through all of it.
CREATE TABLE deliveries (
    position         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind             TEXT NOT NULL CHECK (kind IN ('delivery', 'retry', 'discard', 'rules')),
    of_position      INTEGER,
    source           TEXT NOT NULL,
    dedupe_key       TEXT NOT NULL,
    recorded_at      INTEGER NOT NULL UNIQUE,
    received_at      INTEGER,
    outcome          TEXT NOT NULL CHECK (outcome IN ('applied', 'ignored', 'quarantined')),
    arrival_is_order INTEGER NOT NULL CHECK (arrival_is_order IN (0, 1)),
    event_count      INTEGER NOT NULL,
    event_name       TEXT,
    reason           TEXT,
    field            TEXT,
    detail           TEXT,
    salt             BLOB NOT NULL CHECK (length(salt) = 16),
    digest           BLOB NOT NULL CHECK (length(digest) = 32),
    hash             BLOB NOT NULL CHECK (length(hash) = 32),
    query            TEXT,
    headers          TEXT,
    body             BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX deliveries_by_key ON deliveries (source, dedupe_key)
    WHERE outcome IN ('applied', 'ignored');
CREATE INDEX deliveries_of_rules ON deliveries (position) WHERE kind = 'rules';
CREATE TRIGGER deliveries_never_change BEFORE UPDATE ON deliveries
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER deliveries_never_go BEFORE DELETE ON deliveries
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;

-- Clustered by grant: folding a grant reads neighbouring rows, and the row just inserted lies beside them.
CREATE TABLE events (
    source          TEXT NOT NULL,
    grant_key       TEXT NOT NULL,
    position        INTEGER NOT NULL,
    event_index     INTEGER NOT NULL,
    change          TEXT NOT NULL,
    effective_at    INTEGER NOT NULL,
    recorded_at     INTEGER NOT NULL,
    sequence        INTEGER NOT NULL,
    delivery_source TEXT NOT NULL,
    dedupe_key      TEXT NOT NULL,
    user_id         TEXT,
    other_user_id   TEXT,
    product         TEXT,
    parent          TEXT,
    statement       TEXT NOT NULL,
    PRIMARY KEY (source, grant_key, position, event_index)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX events_by_position ON events (position, event_index);
CREATE INDEX events_by_parent ON events (source, parent, grant_key) WHERE parent IS NOT NULL;
CREATE INDEX events_by_user ON events (user_id, position, event_index)
    WHERE grant_key = '' AND user_id IS NOT NULL;
CREATE INDEX events_by_alias ON events (other_user_id, position, event_index)
    WHERE grant_key = '' AND other_user_id IS NOT NULL;
CREATE TRIGGER events_never_change BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER events_never_go BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;

-- Follows from events: which grants name a user. One row however many events say so.
CREATE TABLE grant_users (
    user_id   TEXT NOT NULL,
    source    TEXT NOT NULL,
    grant_key TEXT NOT NULL,
    PRIMARY KEY (user_id, source, grant_key)
) STRICT, WITHOUT ROWID;

-- Follows from events: the earliest withdrawal of each key.
CREATE TABLE withdrawals (
    source      TEXT NOT NULL,
    dedupe_key  TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    PRIMARY KEY (source, dedupe_key)
) STRICT, WITHOUT ROWID;

-- The projection: can be dropped and built again from the log.
CREATE TABLE grants (
    source    TEXT NOT NULL,
    grant_key TEXT NOT NULL,
    state     TEXT NOT NULL,
    PRIMARY KEY (source, grant_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE segments (
    source       TEXT NOT NULL,
    grant_key    TEXT NOT NULL,
    from_at      INTEGER NOT NULL,
    to_at        INTEGER NOT NULL,
    phase        TEXT NOT NULL CHECK (phase IN ('live', 'over')),
    user_id      TEXT,
    product      TEXT,
    start_at     INTEGER,
    paid_until   INTEGER,
    end_at       INTEGER,
    cancelled    INTEGER,
    suspended    INTEGER,
    parent_ended INTEGER,
    how          TEXT,
    cause        TEXT,
    PRIMARY KEY (source, grant_key, from_at)
) STRICT, WITHOUT ROWID;

CREATE TABLE windows (
    user_id   TEXT NOT NULL,
    start_at  INTEGER NOT NULL,
    source    TEXT NOT NULL,
    grant_key TEXT NOT NULL,
    end_at    INTEGER NOT NULL,
    product   TEXT NOT NULL,
    PRIMARY KEY (user_id, start_at, source, grant_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX windows_by_grant ON windows (source, grant_key, start_at);

CREATE TABLE anomalies (
    position    INTEGER NOT NULL,
    event_index INTEGER NOT NULL,
    source      TEXT NOT NULL,
    grant_key   TEXT NOT NULL,
    anomaly     TEXT NOT NULL,
    PRIMARY KEY (position, event_index, source, grant_key, anomaly)
) STRICT, WITHOUT ROWID;
CREATE INDEX anomalies_by_grant ON anomalies (source, grant_key);

-- Bookkeeping.
CREATE TABLE quarantine (
    position   INTEGER PRIMARY KEY,
    source     TEXT NOT NULL,
    dedupe_key TEXT NOT NULL,
    settled    TEXT NOT NULL CHECK (settled IN ('open', 'retried', 'discarded')),
    settled_by INTEGER
) STRICT;
CREATE INDEX quarantine_by_key ON quarantine (source, dedupe_key);

CREATE TABLE repetitions (
    position INTEGER PRIMARY KEY,
    count    INTEGER NOT NULL
) STRICT;

CREATE TABLE packets (
    source      TEXT NOT NULL,
    grant_key   TEXT NOT NULL,
    dedupe_key  TEXT NOT NULL,
    text_digest BLOB NOT NULL CHECK (length(text_digest) = 32),
    PRIMARY KEY (source, grant_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE batches (
    run      BLOB NOT NULL CHECK (length(run) = 32),
    batch    INTEGER NOT NULL,
    lines    INTEGER NOT NULL,
    digest   BLOB NOT NULL CHECK (length(digest) = 32),
    receipts BLOB NOT NULL,
    PRIMARY KEY (run, batch)
) STRICT, WITHOUT ROWID;

-- Kept with every write, so that the figures need no scan of the log.
CREATE TABLE totals (
    id        INTEGER PRIMARY KEY CHECK (id = 1),
    applied   INTEGER NOT NULL,
    ignored   INTEGER NOT NULL,
    repeated  INTEGER NOT NULL,
    events    INTEGER NOT NULL,
    grants    INTEGER NOT NULL,
    windows   INTEGER NOT NULL,
    anomalies INTEGER NOT NULL
) STRICT;
INSERT INTO totals VALUES (1, 0, 0, 0, 0, 0, 0, 0);
