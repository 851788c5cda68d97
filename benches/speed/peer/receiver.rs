//! A receiver of webhooks in one SQLite file: the body under a unique key, and the reader's window moved.
//!
//! It is handed key, user, product and window ready made: it verifies, decodes and folds nothing, keeps no history of windows,
//! no chain of hashes and no reasons. Pragmas and cache are those of Tenure, but for `secure_delete`, without which it is
//! faster. Its file is as full as that of Tenure, with the same bodies.

use std::path::Path;
use std::time::Duration;

use tenure::rusqlite::config::DbConfig;
use tenure::rusqlite::{Connection, params};

use super::folded::{Statement, read};

/// One request with what a receiver would have taken from it.
#[derive(Clone, Debug)]
pub(crate) struct Parcel {
    pub(crate) source: &'static str,
    pub(crate) key: String,
    pub(crate) user: String,
    pub(crate) product: String,
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) body: Vec<u8>,
}

const TABLES: &str = "
    CREATE TABLE events (id INTEGER PRIMARY KEY, source TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL) STRICT;
    CREATE TABLE windows (user TEXT, product TEXT, start INTEGER, end INTEGER, PRIMARY KEY (user, product))
        STRICT, WITHOUT ROWID;
    CREATE TABLE typed (id INTEGER PRIMARY KEY, grant_key TEXT, user TEXT, product TEXT, begins INTEGER, at INTEGER,
        until INTEGER) STRICT;";
const KEYS: &str = "CREATE UNIQUE INDEX events_by_key ON events (source, key)";

#[derive(Debug)]
pub(crate) struct Receiver {
    connection: Connection,
}

/// What Tenure sets for every connection.
pub(crate) fn configure(connection: &Connection) {
    connection.busy_timeout(Duration::from_secs(10)).unwrap();
    // Without it SQLite prepares a statement anew for some values of its parameters.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .unwrap();
    connection.set_prepared_statement_cache_capacity(128);
}

/// A connection that writes as Tenure's does.
pub(crate) fn durable(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    configure(&connection);
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536;",
        )
        .unwrap();
    connection
}

impl Receiver {
    pub(crate) fn open(path: &Path) -> Self {
        let connection = durable(path);
        Self { connection }
    }

    /// A file with the bodies and windows that ours holds.
    pub(crate) fn fill(path: &Path, ours: &Path) {
        let receiver = Self::open(path);
        let connection = &receiver.connection;
        let ours = ours.to_str().unwrap();
        connection.execute_batch(TABLES).unwrap();
        connection
            .execute("ATTACH DATABASE ?1 AS ours", [ours])
            .unwrap();
        connection
            .execute_batch(
                "INSERT INTO events SELECT position, source, dedupe_key, body FROM ours.deliveries ORDER BY position;
                 INSERT OR REPLACE INTO windows SELECT user_id, product, start_at, end_at FROM ours.windows
                     ORDER BY user_id, start_at;",
            )
            .unwrap();
        connection.execute_batch(KEYS).unwrap();
        receiver.fill_typed();
        connection.execute_batch("DETACH DATABASE ours").unwrap();
    }

    /// What the bodies say, in columns.
    fn fill_typed(&self) {
        let transaction = self.connection.unchecked_transaction().unwrap();
        let mut insert = transaction
            .prepare("INSERT INTO typed VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")
            .unwrap();
        let mut select = transaction
            .prepare("SELECT id, source, body FROM events ORDER BY id")
            .unwrap();
        let mut rows = select.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let id: i64 = row.get(0).unwrap();
            let source = row.get_ref(1).unwrap().as_str().unwrap();
            let body = row.get_ref(2).unwrap().as_bytes().unwrap();
            let Statement {
                grant,
                user,
                product,
                begins,
                at,
                until,
            } = read(source, body).unwrap();
            insert
                .execute(params![id, grant, user, product, begins, at, until])
                .unwrap();
        }
        drop(rows);
        drop((select, insert));
        transaction.commit().unwrap();
    }

    /// Takes them in one durable transaction.
    pub(crate) fn take(&mut self, parcels: &[Parcel]) {
        let transaction = self.connection.transaction().unwrap();
        {
            let mut event = transaction
                .prepare_cached("INSERT INTO events (source, key, body) VALUES (?1, ?2, ?3)")
                .unwrap();
            let mut window = transaction
                .prepare_cached(
                    "INSERT INTO windows VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET end = excluded.end",
                )
                .unwrap();
            for parcel in parcels {
                event
                    .execute(params![parcel.source, parcel.key, parcel.body])
                    .unwrap();
                window
                    .execute(params![
                        parcel.user,
                        parcel.product,
                        parcel.start,
                        parcel.end
                    ])
                    .unwrap();
            }
        }
        transaction.commit().unwrap();
    }
}
