//! What a file holds beside the log and the projection, held against the log: the tables themselves, the columns that repeat
//! a statement, what became of parked deliveries, look-ups and figures.

use std::sync::OnceLock;

use rusqlite::Connection;

use super::upgrade::upgrade;
use super::{Session, failure};
use crate::store::StoreError;

/// What each row found would mean, and the query that finds one; its first column is shown.
const CONTRADICTIONS: &[(&str, &str)] = &[
    (
        "the file is damaged",
        "SELECT integrity_check FROM pragma_integrity_check WHERE integrity_check <> 'ok' LIMIT 1",
    ),
    (
        "a column of `events` does not repeat the statement, at position",
        "SELECT position FROM events WHERE change <> statement ->> '$.change' \
         OR grant_key <> '' AND (parent IS NOT NULLIF(statement ->> '$.parent', grant_key) \
            OR other_user_id IS NOT NULLIF(statement ->> '$.user', user_id)) \
         OR grant_key = '' AND (parent IS NOT NULL OR product IS NOT NULL \
            OR change <> 'linked' AND other_user_id IS NOT NULL \
            OR change = 'withdrawn' AND user_id IS NOT NULL) LIMIT 1",
    ),
    (
        "`deliveries` says what was wrong with a delivery that nothing was wrong with, at position",
        "SELECT position FROM deliveries WHERE reason IS NULL AND (field IS NOT NULL OR detail IS NOT NULL) LIMIT 1",
    ),
    (
        "`grants` tells how a grant stands that is told beside a user, grant",
        "SELECT g.grant_key FROM grants g WHERE g.segments <> x'' AND EXISTS (SELECT 1 FROM events e \
         WHERE e.source = g.source AND e.grant_key = g.grant_key \
         AND (e.user_id IS NOT NULL OR e.other_user_id IS NOT NULL)) LIMIT 1",
    ),
    (
        "`windows` has one of a user whom no event of the grant names, grant",
        "SELECT w.grant_key FROM windows w LEFT JOIN segments s ON s.user_id = w.user_id AND s.source = w.source \
         AND s.grant_key = w.grant_key WHERE s.user_id IS NULL LIMIT 1",
    ),
    (
        "a parked delivery is not in `quarantine` as it is in the log, at position",
        "SELECT d.position FROM deliveries d LEFT JOIN quarantine q ON q.position = d.position \
         WHERE d.kind = 'delivery' AND d.outcome = 'quarantined' \
         AND (q.position IS NULL OR q.source <> d.source OR q.dedupe_key <> d.dedupe_key) LIMIT 1",
    ),
    (
        "`quarantine` names a delivery that was never parked, at position",
        "SELECT q.position FROM quarantine q LEFT JOIN deliveries d ON d.position = q.position \
         WHERE d.position IS NULL OR d.kind <> 'delivery' OR d.outcome <> 'quarantined' LIMIT 1",
    ),
    (
        "`quarantine` does not say what became of the delivery at position",
        "SELECT q.position FROM deliveries r JOIN quarantine q ON q.position = r.of_position \
         WHERE q.settled_by IS NOT r.position \
         OR q.settled <> CASE r.kind WHEN 'retry' THEN 'retried' ELSE 'discarded' END LIMIT 1",
    ),
    (
        "`quarantine` says what no entry did to the delivery at position",
        "SELECT q.position FROM quarantine q LEFT JOIN deliveries r ON r.position = q.settled_by \
         WHERE CASE q.settled WHEN 'open' THEN q.settled_by IS NOT NULL \
         WHEN 'discarded' THEN r.kind IS NOT 'erasure' \
            AND (r.kind IS NOT 'discard' OR r.of_position <> q.position) \
         ELSE r.position IS NULL OR r.source <> q.source OR r.outcome = 'quarantined' \
            OR r.of_position IS NOT NULL AND r.kind <> 'retry' END LIMIT 1",
    ),
    (
        "a withdrawal is not in `withdrawals`, at position",
        "SELECT e.position FROM events e LEFT JOIN withdrawals w \
         ON w.source = e.source AND w.dedupe_key = e.statement ->> '$.key' \
         WHERE e.change = 'withdrawn' AND (w.position IS NULL OR w.position > e.position) LIMIT 1",
    ),
    (
        "`withdrawals` names what no entry withdrew, at position",
        "SELECT w.position FROM withdrawals w WHERE NOT EXISTS (SELECT 1 FROM events e \
         WHERE e.position = w.position AND e.change = 'withdrawn' AND e.source = w.source \
         AND e.statement ->> '$.key' = w.dedupe_key AND e.recorded_at = w.recorded_at) LIMIT 1",
    ),
    (
        "the projection has rows of a grant that it does not know, grant",
        "SELECT p.grant_key FROM (SELECT source, grant_key FROM windows UNION SELECT source, grant_key FROM anomalies \
         UNION SELECT source, grant_key FROM segments WHERE segments <> x'') p \
         LEFT JOIN grants g ON g.source = p.source AND g.grant_key = p.grant_key WHERE g.segments IS NULL LIMIT 1",
    ),
    (
        "`segments` names a user whom no event of the grant names, grant",
        "SELECT g.grant_key FROM segments g WHERE NOT EXISTS (SELECT 1 FROM events e \
         WHERE e.source = g.source AND e.grant_key = g.grant_key \
         AND (e.user_id = g.user_id OR e.other_user_id = g.user_id)) LIMIT 1",
    ),
    (
        "`packets` names a packet that no entry holds, grant",
        "SELECT p.grant_key FROM packets p WHERE NOT EXISTS (SELECT 1 FROM deliveries d \
         WHERE d.source = p.source AND d.dedupe_key = p.dedupe_key AND d.outcome IN ('applied', 'ignored') \
         AND (d.event_count = 0 OR EXISTS (SELECT 1 FROM events e \
            WHERE e.position = d.position AND e.grant_key IN ('', p.grant_key)))) LIMIT 1",
    ),
    (
        "`mentions` names a delivery that was never parked, at position",
        "SELECT m.position FROM mentions m LEFT JOIN quarantine q ON q.position = m.position \
         WHERE q.position IS NULL LIMIT 1",
    ),
    (
        "`repetitions` counts what is no delivery, at position",
        "SELECT r.position FROM repetitions r LEFT JOIN deliveries d ON d.position = r.position \
         WHERE d.kind IS NOT 'delivery' AND d.kind IS NOT 'rules' OR r.count < 1 LIMIT 1",
    ),
    (
        "`totals` do not sum up what is there, in",
        "SELECT figure FROM (\
         SELECT 'applied' AS figure, applied AS said, (SELECT count(*) FROM deliveries \
            WHERE kind IN ('delivery', 'retry') AND outcome = 'applied') AS there FROM totals UNION ALL \
         SELECT 'ignored', ignored, (SELECT count(*) FROM deliveries \
            WHERE kind IN ('delivery', 'retry') AND outcome = 'ignored') FROM totals UNION ALL \
         SELECT 'repeated', repeated, (SELECT ifnull(sum(count), 0) FROM repetitions) FROM totals UNION ALL \
         SELECT 'events', events, (SELECT count(*) FROM events) FROM totals UNION ALL \
         SELECT 'grants', grants, (SELECT count(*) FROM grants) FROM totals UNION ALL \
         SELECT 'windows', windows, (SELECT count(*) FROM windows) FROM totals UNION ALL \
         SELECT 'anomalies', anomalies, (SELECT count(*) FROM anomalies) FROM totals\
         ) WHERE said <> there UNION ALL SELECT 'the number of rows' WHERE (SELECT count(*) <> 1 OR max(id) <> 1 FROM totals) LIMIT 1",
    ),
];

/// The tables, indexes and triggers of a file, by name.
const OBJECTS: &str = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
/// What somebody added that acts by itself.
const TRIGGERS: &str = "SELECT name FROM sqlite_schema WHERE type = 'trigger'";

impl Session<'_> {
    /// The first contradiction, in words.
    pub(super) fn first_contradiction(&self) -> Result<Option<String>, StoreError> {
        if let Some(found) = self.other_tables()? {
            return Ok(Some(found));
        }
        for (meaning, query) in CONTRADICTIONS {
            let shown = self.one(query, [], |row| {
                let value = row.get_ref(0)?;
                Ok(match value.as_str() {
                    Ok(text) => text.to_owned(),
                    Err(_) => row.get::<_, i64>(0)?.to_string(),
                })
            })?;
            if let Some(shown) = shown {
                return Ok(Some(format!("{meaning} {shown}")));
            }
        }
        Ok(None)
    }

    /// Tables, indexes and triggers that are not as this program makes them. An index or a table more does no harm.
    fn other_tables(&self) -> Result<Option<String>, StoreError> {
        let made = match MADE.get() {
            Some(made) => made,
            None => {
                let made = made_objects().map_err(|error| failure(&error))?;
                MADE.get_or_init(|| made)
            }
        };
        let there: Vec<(String, String)> =
            self.all(OBJECTS, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        for object in made {
            if !there.contains(object) {
                let name = &object.0;
                return Ok(Some(format!(
                    "the schema has not the `{name}` it is made with"
                )));
            }
        }
        let triggers: Vec<String> = self.all(TRIGGERS, [], |row| row.get(0))?;
        let added = triggers
            .iter()
            .find(|name| !made.iter().any(|(made, _)| made == *name));
        Ok(added.map(|name| format!("the schema has a trigger `{name}` that was added")))
    }
}

/// What this program makes is the same as long as it runs.
static MADE: OnceLock<Vec<(String, String)>> = OnceLock::new();

fn made_objects() -> Result<Vec<(String, String)>, rusqlite::Error> {
    let fresh = Connection::open_in_memory()?;
    upgrade(&fresh, 0)?;
    let mut read = fresh.prepare(OBJECTS)?;
    let objects = read.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    objects.collect()
}
