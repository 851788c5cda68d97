//! The rows that Tenure changes, changed by hand in a copy of its file.
//!
//! This writer is handed all rows ready made, those of a batch table by table and sorted. It verifies, decodes, hashes and
//! folds nothing and reads nothing first. So it is the floor for whoever keeps what Tenure keeps in these tables; what Tenure
//! takes beyond is its own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tenure::rusqlite::types::Value;
use tenure::rusqlite::{Connection, OpenFlags, params_from_iter};

use super::receiver::durable;

/// What the entries after `?1` changed in each table, each row preceded by the position of its entry, and the
/// statement that changes one such row. What follows from a grant belongs to the last of its entries.
const CHANGES: [(&str, &str); 6] = [
    (
        "SELECT position, * FROM deliveries WHERE position > ?1 ORDER BY position",
        "INSERT INTO deliveries VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, \
         ?19, ?20)",
    ),
    (
        "SELECT position, * FROM events WHERE position > ?1 ORDER BY source, grant_key, position",
        "INSERT INTO events VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    ),
    (
        "SELECT (SELECT max(e.position) FROM events e WHERE (e.source, e.grant_key) = (s.source, s.grant_key)), \
         segments, user_id, source, grant_key FROM segments s \
         WHERE (source, grant_key) IN (SELECT source, grant_key FROM events WHERE position > ?1) \
         ORDER BY user_id",
        "UPDATE segments SET segments = ?1 WHERE user_id = ?2 AND source = ?3 AND grant_key = ?4",
    ),
    (
        "SELECT (SELECT max(e.position) FROM events e WHERE (e.source, e.grant_key) = (w.source, w.grant_key)), \
         user_id, max(start_at), source, grant_key, end_at, product FROM windows w \
         WHERE (source, grant_key) IN (SELECT source, grant_key FROM events WHERE position > ?1) \
         GROUP BY source, grant_key ORDER BY user_id",
        "INSERT INTO windows VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET end_at = excluded.end_at",
    ),
    (
        "SELECT (SELECT max(e.position) FROM events e WHERE (e.source, e.grant_key) = (p.source, p.grant_key)), \
         * FROM packets p \
         WHERE (source, grant_key) IN (SELECT source, grant_key FROM events WHERE position > ?1)",
        "INSERT INTO packets VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE \
         SET dedupe_key = excluded.dedupe_key, text_digest = excluded.text_digest",
    ),
    (
        "SELECT position, * FROM anomalies WHERE position > ?1",
        "INSERT INTO anomalies VALUES (?1, ?2, ?3, ?4, ?5)",
    ),
];

/// The position of the entry that a row belongs to, and the row.
type Row = (i64, Vec<Value>);

/// Rows by table, of a batch or of one delivery.
#[derive(Debug, Default)]
pub(crate) struct Rows([Vec<Row>; CHANGES.len()]);

impl Rows {
    /// Those that came into the file of Tenure after a position.
    pub(crate) fn after(position: i64, ours: &Path) -> Self {
        let connection =
            Connection::open_with_flags(ours, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        Self(CHANGES.map(|(select, _)| {
            let mut statement = connection.prepare(select).unwrap();
            let width = statement.column_count();
            let rows = statement.query_map([position], |row| {
                let values = (1..width)
                    .map(|column| row.get(column))
                    .collect::<Result<_, _>>();
                Ok((row.get(0)?, values?))
            });
            rows.unwrap().map(Result::unwrap).collect()
        }))
    }

    /// Those of each entry apart, in the order of entries.
    pub(crate) fn of_each(self) -> Vec<Self> {
        let mut entries: BTreeMap<i64, Self> = BTreeMap::new();
        for (table, rows) in self.0.into_iter().enumerate() {
            for row in rows {
                let entry = entries.entry(row.0).or_default();
                entry.0[table].push(row);
            }
        }
        entries.into_values().collect()
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
            for (_, row) in rows {
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
