-- Schema 5, on top of schema 4. What each table and column means to other programs is said in docs/schema.md.
-- The rows are copied in between, packed anew.

-- Which grants have a projection. How a grant stands is told beside those whom its events name; only of a grant that names
-- nobody it is told here.
CREATE TABLE grants_5 (
    source    TEXT NOT NULL,
    grant_key TEXT NOT NULL,
    segments  BLOB NOT NULL,
    PRIMARY KEY (source, grant_key)
) STRICT, WITHOUT ROWID;
CREATE TABLE segments_5 (
    user_id   TEXT NOT NULL,
    source    TEXT NOT NULL,
    grant_key TEXT NOT NULL,
    segments  BLOB NOT NULL,
    PRIMARY KEY (user_id, source, grant_key)
) STRICT, WITHOUT ROWID;
