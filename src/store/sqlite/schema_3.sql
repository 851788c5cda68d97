-- Schema 3, on top of schema 2. What each table and column means to other programs is said in docs/schema.md.

-- The entries that are erased, each with the latest erasure that did it.
CREATE TABLE erased (
    position  INTEGER PRIMARY KEY,
    erased_by INTEGER NOT NULL
) STRICT;
CREATE TRIGGER erased_never_go BEFORE DELETE ON erased
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;

-- What a key is now that held an erased id, by the digest of what it was.
CREATE TABLE former_keys (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    now    TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The log once more, for erasures are entries of it.
CREATE TABLE deliveries_3 (
    position         INTEGER PRIMARY KEY AUTOINCREMENT,
    kind             TEXT NOT NULL CHECK (kind IN ('delivery', 'retry', 'discard', 'rules', 'erasure')),
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
INSERT INTO deliveries_3 SELECT * FROM deliveries ORDER BY position;
DROP TABLE deliveries;
ALTER TABLE deliveries_3 RENAME TO deliveries;
CREATE UNIQUE INDEX deliveries_by_key ON deliveries (source, dedupe_key)
    WHERE outcome IN ('applied', 'ignored');
CREATE INDEX deliveries_of_rules ON deliveries (position) WHERE kind = 'rules';
CREATE INDEX deliveries_of_erasures ON deliveries (position) WHERE kind = 'erasure';
CREATE TRIGGER deliveries_never_go BEFORE DELETE ON deliveries
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
-- An erasure takes away what may hold personal data, and nothing else.
CREATE TRIGGER deliveries_never_change BEFORE UPDATE ON deliveries
WHEN NOT EXISTS (SELECT 1 FROM erased e WHERE e.position = OLD.position)
    OR NEW.position IS NOT OLD.position
    OR NEW.kind IS NOT OLD.kind
    OR NEW.of_position IS NOT OLD.of_position
    OR NEW.source IS NOT OLD.source
    OR NEW.recorded_at IS NOT OLD.recorded_at
    OR NEW.received_at IS NOT OLD.received_at
    OR NEW.outcome IS NOT OLD.outcome
    OR NEW.arrival_is_order IS NOT OLD.arrival_is_order
    OR NEW.event_count IS NOT OLD.event_count
    OR NEW.event_name IS NOT OLD.event_name
    OR NEW.reason IS NOT OLD.reason
    OR NEW.digest IS NOT OLD.digest
    OR NEW.hash IS NOT OLD.hash
    OR NEW.query IS NOT NULL
    OR NEW.headers IS NOT NULL
    OR (OLD.kind <> 'erasure' AND length(NEW.body) > 0)
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;

DROP TRIGGER events_never_change;
CREATE TRIGGER events_never_change BEFORE UPDATE ON events
WHEN NOT EXISTS (SELECT 1 FROM erased e WHERE e.position = OLD.position)
    OR NEW.source IS NOT OLD.source
    OR NEW.position IS NOT OLD.position
    OR NEW.event_index IS NOT OLD.event_index
    OR NEW.change IS NOT OLD.change
    OR NEW.effective_at IS NOT OLD.effective_at
    OR NEW.recorded_at IS NOT OLD.recorded_at
    OR NEW.sequence IS NOT OLD.sequence
    OR NEW.delivery_source IS NOT OLD.delivery_source
    OR NEW.product IS NOT OLD.product
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
