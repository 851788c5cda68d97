-- Schema 2, on top of schema 1. What each table and column means to other programs is said in docs/schema.md.

-- The projection, by time: whose access begins or ends between two instants.
CREATE INDEX windows_by_begin ON windows (start_at, user_id);
CREATE INDEX windows_by_end ON windows (end_at, user_id);

-- Follows from parked deliveries: the texts of the form of an id that stand in one.
CREATE TABLE mentions (
    mention  TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (mention, position)
) STRICT, WITHOUT ROWID;
