//! What takes how much room in a file.

use rusqlite::Connection;
use serde::Serialize;

use super::failure;
use super::rows::Columns as _;
use crate::store::StoreError;

/// The bytes of a database file by what they are for. Together they are the file, without its write-ahead log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileSizes {
    /// The log and the indexes by which it is searched.
    pub log: u64,
    /// What follows from it, with its indexes: segments, windows, anomalies.
    pub projection: u64,
    /// Everything else that is stored.
    pub bookkeeping: u64,
    /// Free pages, which the next writes will take.
    pub free: u64,
}

/// The bytes of each table and index, and of all pages.
const OBJECTS: &str = "SELECT name, sum(pgsize) FROM dbstat WHERE aggregate = TRUE GROUP BY name";
const ALL: &str = "SELECT page_count * page_size, freelist_count * page_size FROM pragma_page_count, pragma_page_size, \
     pragma_freelist_count";

/// Goes through every page of the file.
pub(super) fn sizes(connection: &Connection) -> Result<FileSizes, StoreError> {
    let read = || {
        let mut sizes = FileSizes::default();
        let mut objects = connection.prepare(OBJECTS)?;
        let mut rows = objects.query([])?;
        while let Some(row) = rows.next()? {
            let bytes = super::rows::count(row, 1)?;
            let part = match row.text(0)? {
                name if is_of(name, &["deliveries", "events", "withdrawals", "erased"]) => {
                    &mut sizes.log
                }
                name if is_of(name, &["grants", "segments", "windows", "anomalies"]) => {
                    &mut sizes.projection
                }
                _ => &mut sizes.bookkeeping,
            };
            *part = part.saturating_add(bytes);
        }
        let (all, free) = connection.query_row(ALL, [], |row| {
            Ok((super::rows::count(row, 0)?, super::rows::count(row, 1)?))
        })?;
        sizes.free = free;
        // What dbstat does not name, as pages of other use.
        let named = [sizes.log, sizes.projection, sizes.bookkeeping, free];
        let named = named.into_iter().fold(0, u64::saturating_add);
        sizes.bookkeeping = sizes.bookkeeping.saturating_add(all.saturating_sub(named));
        Ok(sizes)
    };
    read().map_err(|error: rusqlite::Error| failure(&error))
}

/// Whether a table or an index is one of these tables or belongs to it: an index is called after its table.
fn is_of(name: &str, tables: &[&str]) -> bool {
    let name = name.strip_prefix("sqlite_autoindex_").unwrap_or(name);
    tables.iter().any(|table| {
        name.strip_prefix(table)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
    })
}
