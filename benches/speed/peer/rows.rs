//! The rows that Tenure changes, changed by hand in a copy of its file.
//!
//! This writer is handed all rows ready made, those of a batch table by table and sorted. It verifies, decodes, hashes and
//! folds nothing and reads nothing first. So it is the floor for whoever keeps what Tenure keeps in these tables; what Tenure
//! takes beyond is its own.

use std::fs;
use std::path::{Path, PathBuf};

use tenure::rusqlite::types::Value;
use tenure::rusqlite::{Connection, OpenFlags, params_from_iter};

use super::receiver::durable;

/// What the entries after `?1` up to `?2` changed in each table, and the statement that changes one such row.
const CHANGES: [(&str, &str); 6] = [
    (
        "SELECT * FROM deliveries WHERE position > ?1 AND position <= ?2 ORDER BY position",
        "INSERT INTO deliveries VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, \
         ?19, ?20)",
    ),
    (
        "SELECT * FROM events WHERE position > ?1 AND position <= ?2 ORDER BY source, grant_key, position",
        "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    ),
    (
        "SELECT segments, user_id, source, grant_key FROM segments \
         WHERE (source, grant_key) IN (SELECT source, grant_key FROM events WHERE position > ?1 AND position <= ?2) \
         ORDER BY user_id",
        "UPDATE segments SET segments = ?1 WHERE user_id = ?2 AND source = ?3 AND grant_key = ?4",
    ),
    (
        "SELECT user_id, max(start_at), source, grant_key, end_at, product FROM windows \
         WHERE (source, grant_key) IN (SELECT source, grant_key FROM events WHERE position > ?1 AND position <= ?2) \
         GROUP BY source, grant_key ORDER BY user_id",
        "INSERT INTO windows VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET end_at = excluded.end_at",
    ),
    (
        "SELECT * FROM packets \
         WHERE (source, grant_key) IN (SELECT source, grant_key FROM events WHERE position > ?1 AND position <= ?2)",
        "INSERT INTO packets VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE \
         SET dedupe_key = excluded.dedupe_key, text_digest = excluded.text_digest",
    ),
    (
        "SELECT * FROM anomalies WHERE position > ?1 AND position <= ?2",
        "INSERT INTO anomalies VALUES (?1, ?2, ?3, ?4, ?5)",
    ),
];

type Row = Vec<Value>;

/// Rows by table, of a batch or of one delivery.
#[derive(Debug)]
pub(crate) struct Rows([Vec<Row>; CHANGES.len()]);

impl Rows {
    /// Those that came into the file of Tenure after a position, up to another.
    pub(crate) fn between(after: i64, up_to: i64, ours: &Path) -> Self {
        let connection =
            Connection::open_with_flags(ours, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        Self(CHANGES.map(|(select, _)| {
            let mut statement = connection.prepare(select).unwrap();
            let width = statement.column_count();
            let rows = statement.query_map([after, up_to], |row| {
                (0..width).map(|column| row.get(column)).collect()
            });
            rows.unwrap().map(Result::unwrap).collect()
        }))
    }
}

/// The position of the last entry.
pub(crate) fn last_position(path: &Path) -> i64 {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let last = "SELECT max(position) FROM deliveries";
    connection.query_row(last, [], |row| row.get(0)).unwrap()
}

/// A copy of the file, gone with this.
#[derive(Debug)]
pub(crate) struct RowWriter {
    path: PathBuf,
    connection: Option<Connection>,
}

impl RowWriter {
    /// Nobody writes to `ours` meanwhile.
    pub(crate) fn beside(ours: &Path) -> Self {
        let path = ours.with_file_name("rows.db");
        Connection::open(ours)
            .unwrap()
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .unwrap();
        fs::copy(ours, &path).unwrap();
        let connection = Some(durable(&path));
        Self { path, connection }
    }

    /// Writes them in one durable transaction.
    pub(crate) fn write(&mut self, rows: &Rows) {
        let connection = self.connection.as_mut().unwrap();
        let transaction = connection.transaction().unwrap();
        for ((_, change), rows) in CHANGES.iter().zip(&rows.0) {
            let mut statement = transaction.prepare_cached(change).unwrap();
            for row in rows {
                statement.execute(params_from_iter(row)).unwrap();
            }
        }
        transaction.commit().unwrap();
    }
}

impl Drop for RowWriter {
    fn drop(&mut self) {
        self.connection = None;
        // It may be gone already; nothing depends on it.
        let _removed = fs::remove_file(&self.path);
    }
}
