//! Making the tables, and bringing a file of an older schema up to the newest.

use std::collections::BTreeMap;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::rows::Columns as _;
use super::write::INSERT_MENTION;
use crate::domain::id::SourceName;
use crate::domain::mention::mentions;
use crate::domain::rules::Rules;
use crate::store::append;

/// The newest schema this program knows.
pub(super) const SCHEMA: i64 = 3;
const SCHEMA_1: &str = include_str!("schema_1.sql");
const SCHEMA_2: &str = include_str!("schema_2.sql");
const SCHEMA_3: &str = include_str!("schema_3.sql");

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
