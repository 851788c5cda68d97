//! Making the tables, and bringing a file of an older schema up to the newest.

use std::collections::BTreeMap;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::packed::{pack, unpack_of_any_form};
use super::rows::Columns as _;
use super::write::INSERT_MENTION;
use crate::domain::event::Cause;
use crate::domain::grant::How;
use crate::domain::id::{GrantId, ProductName, SourceName, UserId};
use crate::domain::mention::mentions;
use crate::domain::rules::Rules;
use crate::domain::window::{LivePhase, Phase, Segment};
use crate::store::append;

/// The newest schema this program knows.
pub(super) const SCHEMA: i64 = 5;
const SCHEMA_1: &str = include_str!("schema_1.sql");
const SCHEMA_2: &str = include_str!("schema_2.sql");
const SCHEMA_3: &str = include_str!("schema_3.sql");
/// Goes before the rest of schema 4, which needs what is put there.
const PACKED: &str = "CREATE TABLE grants_4 (
    source    TEXT NOT NULL,
    grant_key TEXT NOT NULL,
    segments  BLOB NOT NULL,
    anomalies INTEGER NOT NULL,
    PRIMARY KEY (source, grant_key)
) STRICT, WITHOUT ROWID;
INSERT INTO grants_4 SELECT source, grant_key, x'', (SELECT count(*) FROM anomalies a
    WHERE a.source = g.source AND a.grant_key = g.grant_key) FROM grants g ORDER BY source, grant_key;
DROP TABLE grants;
ALTER TABLE grants_4 RENAME TO grants;";
const SCHEMA_4: &str = include_str!("schema_4.sql");
const SCHEMA_5: &str = include_str!("schema_5.sql");
/// Goes after the rows were copied.
const COPIED: &str = "DROP TABLE grants;
ALTER TABLE grants_5 RENAME TO grants;
DROP TABLE segments;
ALTER TABLE segments_5 RENAME TO segments;";

const PARKED: &str = "SELECT d.position, d.source, d.body, d.query FROM quarantine q \
     CROSS JOIN deliveries d ON d.position = q.position ORDER BY d.position";
const RULES: &str =
    "SELECT body FROM deliveries WHERE kind = 'rules' ORDER BY position DESC LIMIT 1";

/// Makes what a file of schema `found` lacks; 0 is an empty one. In a transaction of the caller's.
pub(super) fn upgrade(connection: &Connection, found: i64) -> Result<(), rusqlite::Error> {
    if found < 1 {
        connection.execute_batch(SCHEMA_1)?;
    }
    if found < 2 {
        connection.execute_batch(SCHEMA_2)?;
        mention_all(connection)?;
    }
    if found < 3 {
        connection.execute_batch(SCHEMA_3)?;
    }
    if found < 4 {
        connection.execute_batch(PACKED)?;
        pack_all(connection)?;
        connection.execute_batch(SCHEMA_4)?;
    }
    if found < 5 {
        connection.execute_batch(SCHEMA_5)?;
        copy_grants(connection)?;
        copy_segments(connection)?;
        connection.execute_batch(COPIED)?;
    }
    connection.pragma_update(None, "user_version", SCHEMA)
}

/// Fills the mentions of what was parked before there were any. The rules in force say how the users of a source are named;
/// of an encrypted delivery only what is readable without the secret is searched.
fn mention_all(connection: &Connection) -> Result<(), rusqlite::Error> {
    let prefixes = prefixes(connection)?;
    let mut parked = connection.prepare(PARKED)?;
    let mut insert = connection.prepare(INSERT_MENTION)?;
    let mut rows = parked.query([])?;
    while let Some(row) = rows.next()? {
        let position: i64 = row.get(0)?;
        let source = row.id(1, SourceName::new)?;
        let mut text: Vec<u8> = row.get(2)?;
        let query: Option<String> = row.get(3)?;
        text.push(b'\n');
        text.extend_from_slice(query.unwrap_or_default().as_bytes());
        let prefix = prefixes.get(&source).map_or("", String::as_str);
        for mention in mentions(&text, prefix) {
            insert.execute(params![mention.as_str(), position])?;
        }
    }
    Ok(())
}

fn prefixes(connection: &Connection) -> Result<BTreeMap<SourceName, String>, rusqlite::Error> {
    let body: Option<Vec<u8>> = connection
        .query_row(RULES, [], |row| row.get(0))
        .optional()?;
    let rules = body.map(|body| append::rules(&body)).transpose();
    let damaged = |error| rusqlite::Error::FromSqlConversionFailure(0, Type::Blob, Box::new(error));
    let rules: Option<Rules> = rules.map_err(damaged)?;
    let sources = rules.unwrap_or_default().sources.into_iter();
    Ok(sources
        .map(|(name, source)| (name, source.user_prefix))
        .collect())
}

/// One row a segment, as schema 3 kept them.
const SEGMENTS: &str = "SELECT source, grant_key, from_at, to_at, phase, user_id, product, start_at, paid_until, end_at, \
     cancelled, suspended, parent_ended, how, cause FROM segments ORDER BY source, grant_key, from_at";
const PACK: &str = "UPDATE grants SET segments = ?3 WHERE source = ?1 AND grant_key = ?2";

/// Puts the segments of each grant into its row.
fn pack_all(connection: &Connection) -> Result<(), rusqlite::Error> {
    let mut read = connection.prepare(SEGMENTS)?;
    let mut update = connection.prepare(PACK)?;
    let mut put = |(grant, segments): (GrantId, Vec<Segment>)| {
        let (source, key) = (grant.source.as_str(), grant.key.as_str());
        update.execute(params![source, key, pack(&segments, None)])
    };
    let mut rows = read.query([])?;
    let mut one: Option<(GrantId, Vec<Segment>)> = None;
    while let Some(row) = rows.next()? {
        let (grant, segment) = (row.grant(0)?, segment(row)?);
        match &mut one {
            Some((of, segments)) if *of == grant => segments.push(segment),
            Some(_) | None => {
                let next = Some((grant, vec![segment]));
                std::mem::replace(&mut one, next)
                    .map(&mut put)
                    .transpose()?;
            }
        }
    }
    one.map(put).transpose().map(|_| ())
}

const GRANTS: &str = "SELECT source, grant_key, segments, EXISTS (SELECT 1 FROM events e WHERE e.source = g.source \
     AND e.grant_key = g.grant_key AND (e.user_id IS NOT NULL OR e.other_user_id IS NOT NULL)) FROM grants g \
     ORDER BY source, grant_key";
const COPY_GRANT: &str = "INSERT INTO grants_5 VALUES (?1, ?2, ?3)";

/// Keeps how a grant stands only where nobody is told.
fn copy_grants(connection: &Connection) -> Result<(), rusqlite::Error> {
    let mut read = connection.prepare(GRANTS)?;
    let mut insert = connection.prepare(COPY_GRANT)?;
    let mut rows = read.query([])?;
    while let Some(row) = rows.next()? {
        let segments = match row.get(3)? {
            true => Vec::new(),
            false => packed_anew(row, 2, None)?,
        };
        insert.execute(params![row.text(0)?, row.text(1)?, segments])?;
    }
    Ok(())
}

const USERS: &str =
    "SELECT user_id, source, grant_key, segments FROM segments ORDER BY user_id, source, grant_key";
const COPY_SEGMENTS: &str = "INSERT INTO segments_5 VALUES (?1, ?2, ?3, ?4)";

fn copy_segments(connection: &Connection) -> Result<(), rusqlite::Error> {
    let mut read = connection.prepare(USERS)?;
    let mut insert = connection.prepare(COPY_SEGMENTS)?;
    let mut rows = read.query([])?;
    while let Some(row) = rows.next()? {
        let user = row.id(0, UserId::new).ok();
        let segments = packed_anew(row, 3, user.as_ref())?;
        insert.execute(params![row.text(0)?, row.text(1)?, row.text(2)?, segments])?;
    }
    Ok(())
}

/// What cannot be read stays as it is, and is damage afterwards as before: it concerns one grant, not the whole file.
fn packed_anew(
    row: &Row<'_>,
    column: usize,
    beside: Option<&UserId>,
) -> Result<Vec<u8>, rusqlite::Error> {
    let bytes = row.get_ref(column)?.as_blob()?;
    let segments = unpack_of_any_form(bytes);
    Ok(segments.map_or_else(|_| bytes.to_vec(), |segments| pack(&segments, beside)))
}

fn segment(row: &Row<'_>) -> Result<Segment, rusqlite::Error> {
    let phase = if row.text(4)? == "live" {
        Phase::Live(LivePhase {
            user: row.id(5, UserId::new)?,
            product: row.id(6, ProductName::new)?,
            start: row.instant(7)?,
            paid_until: row.end(8)?,
            end: row.end(9)?,
            cancelled: row.get(10)?,
            suspended: row.get(11)?,
            parent_ended: row.get(12)?,
        })
    } else {
        let how = match row.text(13)? {
            "revoked" => How::Revoked,
            _ => How::Ended(row.named(14, cause)?),
        };
        let holder = row.id_or_null(5, UserId::new)?;
        Phase::Over { how, holder }
    };
    Ok(Segment {
        from: row.instant(2)?,
        to: row.end(3)?,
        phase,
    })
}

fn cause(name: &str) -> Option<Cause> {
    Some(match name {
        "expired" => Cause::Expired,
        "cancelled" => Cause::Cancelled,
        "renewal_failed" => Cause::RenewalFailed,
        "refunded" => Cause::Refunded,
        "user_removed" => Cause::UserRemoved,
        "unspecified" => Cause::Unspecified,
        _ => return None,
    })
}
