-- Schema 4, on top of schema 3, after `grants` was made to hold the segments of each grant, packed, in the place of its state.
-- What each table and column means to other programs is said in docs/schema.md.

-- Follows from events: which grants name a user, one row however many events say so. Each row repeats the segments of its
-- grant, so that all that a decision needs to know of a user lies in one place.
DROP TABLE segments;
CREATE TABLE segments (
    user_id   TEXT NOT NULL,
    source    TEXT NOT NULL,
    grant_key TEXT NOT NULL,
    segments  BLOB NOT NULL,
    PRIMARY KEY (user_id, source, grant_key)
) STRICT, WITHOUT ROWID;
INSERT INTO segments SELECT u.user_id, u.source, u.grant_key, ifnull(g.segments, x'')
    FROM grant_users u LEFT JOIN grants g ON g.source = u.source AND g.grant_key = u.grant_key
    ORDER BY u.user_id, u.source, u.grant_key;
DROP TABLE grant_users;

-- The windows of a grant are those its segments tell, so nobody has to look for them.
DROP INDEX windows_by_grant;
