-- A database as the first schema's program left it: eight entries, two of them parked, one of these discarded.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
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
INSERT INTO deliveries VALUES(1,'rules',NULL,'tenure','222c19bd076569cdad9b07821c472065f85055d5dadf14739eef732b80d9455b',-62135596800000000,NULL,'applied',0,0,'rules_applied',NULL,NULL,NULL,X'5d056e846407b3469264441d46680b1a',X'4b3460408bffa380089b2a8f9dd696771bd2cf12ccd13195a64c8a0a5d18b3b9',X'd6ad91fed27091266d56a046c67d738d7834e52aa343dd269b36e62bce070010',NULL,NULL,X'7b22736f7572636573223a7b22617070223a7b2270726f7669646572223a22636c6f75646576656e7473222c2274656e616e74223a6e756c6c2c22757365725f707265666978223a226170702d222c22706f6c696379223a7b22726566756e64223a227265766f6b65222c227061796d656e745f6661696c65645f6772616365223a6e756c6c2c2272656e6577616c5f6c6565776179223a22503344222c2272656e6577616c5f616363657373223a2250543053222c22616273656e745f65787069726573223a2271756172616e74696e65222c226d656d6265725f706c616e223a226772616e74227d7d2c2263726d223a7b2270726f7669646572223a22636c6f75646576656e7473222c2274656e616e74223a6e756c6c2c22757365725f707265666978223a22222c22706f6c696379223a7b22726566756e64223a227265766f6b65222c227061796d656e745f6661696c65645f6772616365223a6e756c6c2c2272656e6577616c5f6c6565776179223a22503344222c2272656e6577616c5f616363657373223a2250543053222c22616273656e745f65787069726573223a2271756172616e74696e65222c226d656d6265725f706c616e223a226772616e74227d7d7d2c2270726f6475637473223a7b2270726f223a7b22696e636c75646573223a5b7b226e616d65223a2261726368697665222c2266726f6d223a6e756c6c2c22756e74696c223a6e756c6c7d2c7b226e616d65223a226e6577732f2a222c2266726f6d223a6e756c6c2c22756e74696c223a6e756c6c7d5d2c22706572696f64223a6e756c6c7d7d7d');
INSERT INTO deliveries VALUES(2,'delivery',NULL,'crm','shop e1',1767225601000000,1767225601000000,'applied',0,1,'tenure.granted',NULL,NULL,NULL,X'590db89d4cea2ba9eaf6ac8e2b0f9743',X'199ba61e3d992de9eea58d6dca43e5c1936abd568151d2af67c30f2dd31bba14',X'557aefedd15afe448e6304498618ba005098b95427577b46bdc5780968d21ab5',NULL,NULL,X'7b227370656376657273696f6e223a22312e30222c226964223a226531222c22736f75726365223a2273686f70222c2274797065223a2274656e7572652e6772616e746564222c2274696d65223a22323032362d30312d30315430303a30303a30305a222c227375626a656374223a227531222c2264617461223a7b226772616e74223a226731222c2270726f64756374223a2270726f222c22706572696f64223a2250314d227d7d');
INSERT INTO deliveries VALUES(3,'delivery',NULL,'crm','shop e2',1767312000000000,1767312000000000,'applied',0,1,'tenure.suspended',NULL,NULL,NULL,X'8b351dd3f75f46e86680be069c87200c',X'e0ae99cf6f263e4b4e5e197820ef05e67e80c2450638d8ee321012b203f246a7',X'1992b363f0c4ffda35a479e258ef2deaf8bdf2b2c392d35516c88390bb08ed11',NULL,NULL,X'7b227370656376657273696f6e223a22312e30222c226964223a226532222c22736f75726365223a2273686f70222c2274797065223a2274656e7572652e73757370656e646564222c2274696d65223a22323032362d30312d30325430303a30303a30305a222c227375626a656374223a227531222c2264617461223a7b226772616e74223a226731222c226279223a2262696c6c696e67227d7d');
INSERT INTO deliveries VALUES(4,'delivery',NULL,'app','app e3',1767398400000000,1767398400000000,'quarantined',0,0,'tenure.granted','bad_time','time','not a time: expected RFC 3339 such as `2026-01-15T00:00:00Z`',X'4cddc40d374a8566bc5afa77402946a0',X'60a7aa3e51df82b61372c4368221878912f28a933360576568e6290b20bace85',X'd82ef3643b807508e3509c7c704a23b7cf3f6ddeca2b2e4bd937ac274b53cb9e',NULL,NULL,X'7b227370656376657273696f6e223a22312e30222c226964223a226533222c22736f75726365223a22617070222c2274797065223a2274656e7572652e6772616e746564222c2274696d65223a22736f6f6e222c227375626a656374223a225532222c2264617461223a7b226772616e74223a226733222c2270726f64756374223a2270726f222c22756e74696c223a6e756c6c7d7d');
INSERT INTO deliveries VALUES(5,'delivery',NULL,'crm','e8f8b586cccadc2e8c09e9f95196dc5c9413aa83c144c8ca3c7b4bbfda2ef057',1767484800000000,1767484800000000,'quarantined',0,0,NULL,'not_json','body','line 1 column 56',X'3f47136bbbf2b260da1a6928c00c3119',X'3f13bd7081b42b2ee9293ca423d6cfbea5e12171a13d25bfd3a291e11267290b',X'a608f84f282cb6c9c5d3debedd4eb424c4c2bd584e856f208ebc622985a73bbc',NULL,NULL,X'7b227370656376657273696f6e223a22312e30222c227375626a656374223a227531222c2264617461223a7b226772616e74223a22673422');
INSERT INTO deliveries VALUES(6,'delivery',NULL,'crm','shop e5',1767571200000000,1767571200000000,'applied',0,1,'tenure.granted',NULL,NULL,NULL,X'43990cf8e95bd1a27aa96346c05d3bc1',X'60544347e0059e6d26169834bfb43a038c0ec311f8643e7ec2307856dcfd686d',X'd7ae3e2c804ffa7baf09b7a8a77115e5b54eacdf4115b4083a28dd560545d8eb',NULL,NULL,X'7b227370656376657273696f6e223a22312e30222c226964223a226535222c22736f75726365223a2273686f70222c2274797065223a2274656e7572652e6772616e746564222c2274696d65223a22323032362d30312d30355430303a30303a30305a222c227375626a656374223a227533222c2264617461223a7b226772616e74223a226735222c2270726f64756374223a226e657773222c22756e74696c223a22323032362d30362d30315430303a30303a30305a227d7d');
INSERT INTO deliveries VALUES(7,'delivery',NULL,'crm','shop e6',1767657600000000,1767657600000000,'applied',0,1,'tenure.revoked',NULL,NULL,NULL,X'bf4965b82ae6bf11eee596a190a84a1b',X'25bededd610f061400cbf5826697f09a46efcfef64c00987a04bacaf9ad4bfb9',X'9479ce5e9223e0fc6e8c949c35bf50f1cd3f2ece680cde0e58629fb3f43bf818',NULL,NULL,X'7b227370656376657273696f6e223a22312e30222c226964223a226536222c22736f75726365223a2273686f70222c2274797065223a2274656e7572652e7265766f6b6564222c2274696d65223a22323032362d30312d30365430303a30303a30305a222c2264617461223a7b226772616e74223a226735227d7d');
INSERT INTO deliveries VALUES(8,'discard',5,'crm','a608f84f282cb6c9c5d3debedd4eb424c4c2bd584e856f208ebc622985a73bbc',1795330126687777,NULL,'ignored',0,0,'discarded',NULL,NULL,NULL,X'8807aff57c239d7697c999f35b2d953e',X'ce5658f8a9607b291e98b9ef162ce2ca4ceb09fe28a120333308fc185e9cfd6c',X'46bf44ee2e91481dcce11308d36e81aa106d63a204fdfb68b45a219f0cd17507',NULL,NULL,X'612074657374206f66207468652073656e646572');
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
INSERT INTO events VALUES('crm','g1',2,0,'granted',1767225600000000,1767225601000000,0,'crm','shop e1','u1',NULL,'pro',NULL,'{"change":"granted","user":"u1","product":"pro","term":{"period":"P1M"},"recurring":null,"from":null,"period_key":null,"parent":null,"origin":"purchase"}');
INSERT INTO events VALUES('crm','g1',3,0,'suspended',1767312000000000,1767312000000000,0,'crm','shop e2','u1',NULL,NULL,NULL,'{"change":"suspended","by":"billing"}');
INSERT INTO events VALUES('crm','g5',6,0,'granted',1767571200000000,1767571200000000,0,'crm','shop e5','u3',NULL,'news',NULL,'{"change":"granted","user":"u3","product":"news","term":{"until":"2026-06-01T00:00:00Z"},"recurring":null,"from":null,"period_key":null,"parent":null,"origin":"purchase"}');
INSERT INTO events VALUES('crm','g5',7,0,'revoked',1767657600000000,1767657600000000,0,'crm','shop e6',NULL,NULL,NULL,NULL,'{"change":"revoked"}');
CREATE TABLE grant_users (
    user_id   TEXT NOT NULL,
    source    TEXT NOT NULL,
    grant_key TEXT NOT NULL,
    PRIMARY KEY (user_id, source, grant_key)
) STRICT, WITHOUT ROWID;
INSERT INTO grant_users VALUES('u1','crm','g1');
INSERT INTO grant_users VALUES('u3','crm','g5');
CREATE TABLE withdrawals (
    source      TEXT NOT NULL,
    dedupe_key  TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    position    INTEGER NOT NULL,
    PRIMARY KEY (source, dedupe_key)
) STRICT, WITHOUT ROWID;
CREATE TABLE grants (
    source    TEXT NOT NULL,
    grant_key TEXT NOT NULL,
    state     TEXT NOT NULL,
    PRIMARY KEY (source, grant_key)
) STRICT, WITHOUT ROWID;
INSERT INTO grants VALUES('crm','g1','{"state":"live","user":"u1","product":"pro","origin":"purchase","period":"P1M","stated_recurring":false,"rescheduled":false,"renewed":false,"anchor":"2026-01-01T00:00:00Z","start":"2026-01-01T00:00:00Z","paid_until":"2026-02-01T00:00:00Z","until":"2026-02-01T00:00:00Z","blocks":["billing"],"cancelled":null,"periods":[],"parent":null}');
INSERT INTO grants VALUES('crm','g5','{"state":"over","at":"2026-01-06T00:00:00Z","how":{"how":"revoked"},"barred":null,"last":{"user":"u3","product":"news","origin":"purchase","period":null,"stated_recurring":false,"rescheduled":false,"renewed":false,"anchor":"2026-06-01T00:00:00Z","start":"2026-01-05T00:00:00Z","paid_until":"2026-06-01T00:00:00Z","until":"2026-06-01T00:00:00Z","blocks":[],"cancelled":null,"periods":[],"parent":null}}');
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
INSERT INTO segments VALUES('crm','g1',1767225600000000,1767312000000000,'live','u1','pro',1767225600000000,1769904000000000,1769904000000000,0,0,0,NULL,NULL);
INSERT INTO segments VALUES('crm','g1',1767312000000000,9223372036854775807,'live','u1','pro',1767225600000000,1769904000000000,1769904000000000,0,1,0,NULL,NULL);
INSERT INTO segments VALUES('crm','g5',1767571200000000,1767657600000000,'live','u3','news',1767571200000000,1780272000000000,1780272000000000,0,0,0,NULL,NULL);
INSERT INTO segments VALUES('crm','g5',1767657600000000,9223372036854775807,'over','u3',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'revoked',NULL);
CREATE TABLE windows (
    user_id   TEXT NOT NULL,
    start_at  INTEGER NOT NULL,
    source    TEXT NOT NULL,
    grant_key TEXT NOT NULL,
    end_at    INTEGER NOT NULL,
    product   TEXT NOT NULL,
    PRIMARY KEY (user_id, start_at, source, grant_key)
) STRICT, WITHOUT ROWID;
INSERT INTO windows VALUES('u1',1767225600000000,'crm','g1',1767312000000000,'pro');
INSERT INTO windows VALUES('u3',1767571200000000,'crm','g5',1767657600000000,'news');
CREATE TABLE anomalies (
    position    INTEGER NOT NULL,
    event_index INTEGER NOT NULL,
    source      TEXT NOT NULL,
    grant_key   TEXT NOT NULL,
    anomaly     TEXT NOT NULL,
    PRIMARY KEY (position, event_index, source, grant_key, anomaly)
) STRICT, WITHOUT ROWID;
CREATE TABLE quarantine (
    position   INTEGER PRIMARY KEY,
    source     TEXT NOT NULL,
    dedupe_key TEXT NOT NULL,
    settled    TEXT NOT NULL CHECK (settled IN ('open', 'retried', 'discarded')),
    settled_by INTEGER
) STRICT;
INSERT INTO quarantine VALUES(4,'app','app e3','open',NULL);
INSERT INTO quarantine VALUES(5,'crm','e8f8b586cccadc2e8c09e9f95196dc5c9413aa83c144c8ca3c7b4bbfda2ef057','discarded',8);
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
INSERT INTO totals VALUES(1,4,0,0,4,2,2,0);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('deliveries',8);
CREATE UNIQUE INDEX deliveries_by_key ON deliveries (source, dedupe_key)
    WHERE outcome IN ('applied', 'ignored');
CREATE INDEX deliveries_of_rules ON deliveries (position) WHERE kind = 'rules';
CREATE TRIGGER deliveries_never_change BEFORE UPDATE ON deliveries
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER deliveries_never_go BEFORE DELETE ON deliveries
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
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
CREATE INDEX windows_by_grant ON windows (source, grant_key, start_at);
CREATE INDEX anomalies_by_grant ON anomalies (source, grant_key);
CREATE INDEX quarantine_by_key ON quarantine (source, dedupe_key);
COMMIT;
PRAGMA application_id = 1415933557;
PRAGMA user_version = 1;
