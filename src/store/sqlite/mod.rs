//! The store in a SQLite file. Its tables are described in `docs/schema.md`.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Params, Row};

use self::known::Known;
use self::open::Access;
use self::wal_index::Header;
use super::chain::Salts;
use super::{Store, StoreError, Transaction};
use crate::domain::event::RecordedEvent;

mod backup;
mod contradiction;
mod figures;
mod keeping;
mod known;
mod mend;
mod of_grant;
mod open;
mod packed;
#[cfg(test)]
mod plans;
mod project;
mod queries;
mod read;
mod reader;
mod redact;
mod rows;
mod sizes;
mod upgrade;
mod wal_index;
mod walk;
mod write;

pub(super) use packed::{pack, pack_of_nobody};
pub use reader::SqliteReader;
pub use sizes::FileSizes;

/// How a database file is used.
#[derive(Clone, Debug)]
pub struct SqliteStoreOptions {
    /// Where salts come from; unpredictable ones if absent.
    pub salts: Option<Salts>,
    /// How long to wait for another process that writes, before giving up with [`StoreError::Unavailable`].
    pub busy_timeout: Duration,
}

impl Default for SqliteStoreOptions {
    fn default() -> Self {
        Self {
            salts: None,
            busy_timeout: Duration::from_secs(10),
        }
    }
}

/// A store in a SQLite file.
///
/// Several processes may hold one file open, and write to it in turn. A success has reached the disk: the file is kept
/// with a write-ahead log that is synchronised at every commit.
///
/// ```
/// use tenure::store::{SqliteStore, SqliteStoreOptions, Store, StoreError, StoreReader};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("tenure.db");
/// let store = SqliteStore::create_or_open(&path, SqliteStoreOptions::default())?;
/// let head = store.reader()?.read(|snapshot| snapshot.head())?;
/// assert_eq!(head.position.0, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SqliteStore {
    file: File,
    salts: Salts,
    /// What is known of the file as the wal-index says it is.
    known: Option<(Header, Known)>,
}

impl SqliteStore {
    /// Opens the file; creates it if there is none.
    ///
    /// # Errors
    /// [`StoreError::Foreign`] for a file of something else, [`StoreError::Newer`] for one of a newer Tenure,
    /// [`StoreError::Older`] for one of an older Tenure that cannot be written to, none of which is touched; else why it
    /// could not be opened.
    pub fn create_or_open(path: &Path, options: SqliteStoreOptions) -> Result<Self, StoreError> {
        Self::with_access(path, Access::Create, options)
    }

    /// Opens a file that exists.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if there is none; else as [`SqliteStore::create_or_open`].
    pub fn open(path: &Path, options: SqliteStoreOptions) -> Result<Self, StoreError> {
        Self::with_access(path, Access::Write, options)
    }

    fn with_access(
        path: &Path,
        access: Access,
        options: SqliteStoreOptions,
    ) -> Result<Self, StoreError> {
        let salts = match options.salts {
            Some(salts) => salts,
            None => Salts::unpredictable()
                .map_err(|error| StoreError::Unavailable(error.to_string()))?,
        };
        let mut file = File::open(path, access, options.busy_timeout)?;
        // What was there must be there when it is opened again: a file that vanished is a failure, not a fresh start.
        file.access = Access::Write;
        Ok(Self {
            file,
            salts,
            known: None,
        })
    }

    /// A handle that only reads, without a writer beside it. A file of an older Tenure is brought up to date first.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_reader(path: &Path) -> Result<SqliteReader, StoreError> {
        let timeout = SqliteStoreOptions::default().busy_timeout;
        File::open(path, Access::Read, timeout).map(SqliteReader::new)
    }

    /// Copies the database as it is at the beginning of the call to a new file, while others go on reading and writing.
    /// `progress` is told, now and then, how many pages remain and how many there are.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if there is something at `to` already, or if reading or writing fails; a copy that was
    /// begun is removed then.
    pub fn backup(
        &mut self,
        to: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), StoreError> {
        self.reader()?.backup(to, progress)
    }
}

impl Store for SqliteStore {
    type Reader = SqliteReader;

    fn reader(&self) -> Result<SqliteReader, StoreError> {
        File::open(&self.file.path, Access::Read, self.file.busy_timeout).map(SqliteReader::new)
    }

    fn write<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&mut dyn Transaction) -> Result<T, E>,
    ) -> Result<T, E> {
        let connection = self.file.take()?;
        let mut session = Session::new(&connection, Some(&self.salts), Known::default());
        // While it may write nobody else does, so what the wal-index says now is the state that is seen.
        let mut before = None;
        let changes = connection.total_changes();
        let known = self.known.take();
        let result = session
            .step("BEGIN IMMEDIATE")
            .map_err(E::from)
            .and_then(|()| {
                before = Header::now(&connection);
                if let Some((_, known)) = known.filter(|(header, _)| Some(*header) == before) {
                    session.known.replace(known);
                }
                let done = work(&mut session)?;
                session.commit()?;
                Ok(done)
            });
        if result.is_ok() {
            let has_written = connection.total_changes() != changes;
            let is_own = |(before, after): &(Header, Header)| match has_written {
                true => after.is_next_after(*before),
                false => after == before,
            };
            let after = before.zip(Header::now(&connection)).filter(is_own);
            self.known = after.map(|(_, after)| (after, session.known.take()));
        }
        let is_sound = session.leave();
        if is_sound {
            self.file.connection = Some(connection);
        }
        result
    }

    /// Nothing is put back into the file that another process has not to wait for: while it lasts, others cannot write.
    fn wipe_erased(&mut self) -> Result<(), StoreError> {
        let connection = self.file.take()?;
        redact::wipe(&connection)?;
        self.file.connection = Some(connection);
        Ok(())
    }
}

/// A file and the connection to it. The connection is taken out while it is used, and put back only if it is sound: one
/// that met a failing device, or a panic, is closed, which undoes what it had begun, and the next use opens a fresh one.
#[derive(Debug)]
struct File {
    path: PathBuf,
    access: Access,
    busy_timeout: Duration,
    connection: Option<Connection>,
}

impl File {
    fn open(path: &Path, access: Access, busy_timeout: Duration) -> Result<Self, StoreError> {
        // It is opened again later, when the working directory may be another one.
        let path = std::path::absolute(path)
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let connection = Some(open::open(&path, access, busy_timeout)?);
        Ok(Self {
            path,
            access,
            busy_timeout,
            connection,
        })
    }

    fn take(&mut self) -> Result<Connection, StoreError> {
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => open::open(&self.path, self.access, self.busy_timeout),
        }
    }
}

/// One transaction on a connection, reading or writing.
struct Session<'c> {
    connection: &'c Connection,
    salts: Option<&'c Salts>,
    known: RefCell<Known>,
    /// What is to be added to the totals at the commit.
    pending: Cell<write::Totals>,
    /// Whether the connection must not be used again.
    is_broken: Cell<bool>,
    /// Whether a step failed half-way, so that nothing of the transaction may be kept.
    is_doomed: Cell<bool>,
}

impl<'c> Session<'c> {
    fn new(connection: &'c Connection, salts: Option<&'c Salts>, known: Known) -> Self {
        Self {
            connection,
            salts,
            known: RefCell::new(known),
            pending: Cell::default(),
            is_broken: Cell::new(false),
            is_doomed: Cell::new(false),
        }
    }

    fn salts(&self) -> Result<&'c Salts, StoreError> {
        let only_reads = || StoreError::Unavailable("the handle only reads".to_owned());
        self.salts.ok_or_else(only_reads)
    }

    /// Begins a transaction that only reads, instead of one that may be open.
    fn begin_reading(&self) -> Result<(), StoreError> {
        if !self.connection.is_autocommit() {
            self.step("ROLLBACK")?;
        }
        self.step("BEGIN")
    }

    /// Whether nothing failed.
    fn is_well(&self) -> bool {
        !self.is_broken.get() && !self.is_doomed.get()
    }

    /// Begins or ends the transaction.
    fn step(&self, sql: &str) -> Result<(), StoreError> {
        self.run(sql, []).map(|_| ())
    }

    /// After a failed commit it is unknown what the file holds: only a fresh connection can tell.
    fn commit(&self) -> Result<(), StoreError> {
        if self.is_doomed.get() {
            let message = "an earlier step of the transaction failed".to_owned();
            return Err(StoreError::Unavailable(message));
        }
        let done = self.write_totals().and_then(|()| self.step("COMMIT"));
        if done.is_err() {
            self.is_broken.set(true);
        }
        done
    }

    /// Undoes what is not committed, and says whether the connection can be used again.
    fn leave(self) -> bool {
        if !self.connection.is_autocommit() && !self.is_broken.get() {
            // A failure marks the connection as broken; closing it undoes the rest.
            let _undone = self.step("ROLLBACK");
        }
        !self.is_broken.get()
    }

    fn run(&self, sql: &str, params: impl Params) -> Result<usize, StoreError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute(params))
            .map_err(|error| self.note(&error))
    }

    fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row(params, read).optional())
            .map_err(|error| self.note(&error))
    }

    fn all<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut values = Vec::new();
        self.each(sql, params, |row| {
            values.push(read(row)?);
            Ok(true)
        })?;
        Ok(values)
    }

    /// Events, which share the ids that each has in common with the one before: of one grant or user that is most.
    fn events(&self, sql: &str, params: impl Params) -> Result<Vec<RecordedEvent>, StoreError> {
        let mut events = Vec::new();
        self.each(sql, params, |row| {
            events.push(rows::event_after(row, events.last())?);
            Ok(true)
        })?;
        Ok(events)
    }

    /// Reads row by row while `read` asks for more.
    fn each(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<bool>,
    ) -> Result<(), StoreError> {
        let run = || {
            let mut statement = self.connection.prepare_cached(sql)?;
            let mut rows = statement.query(params)?;
            while let Some(row) = rows.next()? {
                if !read(row)? {
                    break;
                }
            }
            Ok(())
        };
        run().map_err(|error| self.note(&error))
    }

    /// Turns an error of SQLite into one of the store, and remembers what it means for the connection.
    fn note(&self, error: &rusqlite::Error) -> StoreError {
        self.is_doomed.set(true);
        if must_reopen(error) {
            self.is_broken.set(true);
        }
        failure(error)
    }
}

/// Whether the connection is to be closed: what it believes of the file may be wrong.
fn must_reopen(error: &rusqlite::Error) -> bool {
    // Not an exhaustive match: the list of codes is open.
    !matches!(
        error.sqlite_error_code(),
        None | Some(
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked | ErrorCode::ConstraintViolation
        )
    )
}

/// An error of SQLite as one of the store.
fn failure(error: &rusqlite::Error) -> StoreError {
    let text = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full(text),
        Some(
            ErrorCode::DatabaseCorrupt
            | ErrorCode::NotADatabase
            | ErrorCode::ConstraintViolation
            | ErrorCode::TypeMismatch,
        ) => StoreError::Corrupt(text),
        Some(_) => StoreError::Unavailable(text),
        None if is_unreadable_value(error) => StoreError::Corrupt(text),
        None => StoreError::Unavailable(text),
    }
}

fn is_unreadable_value(error: &rusqlite::Error) -> bool {
    matches!(
        error,
        rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
    )
}
