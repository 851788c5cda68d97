//! A handle that only reads, and keeps what it sees until somebody writes.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::Connection;

use super::known::Known;
use super::open::Access;
use super::wal_index::Header;
use super::{File, FileSizes, Session, backup, keeping, sizes};
use crate::store::{Snapshot, StoreError, StoreReader};

/// With more frames than that in the write-ahead log no transaction is kept, unless all were put back into the file: the log
/// can only be begun anew while nobody reads from it. SQLite puts it back from 1,000 frames on.
const MOST_FRAMES: u32 = 4_000;

/// A handle on a SQLite file that only reads.
///
/// To begin a transaction costs more than most questions do, so one is kept open from the second read on to the next, for a
/// second at most. Before each read the handle looks, in memory that all processes share, whether anybody has written since;
/// if so it begins anew. So a read that begins after a delivery was acknowledged sees it, whoever took it.
#[derive(Debug)]
pub struct SqliteReader {
    keeper: Arc<Mutex<Keeper>>,
}

impl SqliteReader {
    pub(super) fn new(file: File) -> Self {
        let keeper = Keeper {
            file,
            is_write_ahead: None,
            kept: None,
            is_watched: false,
            has_read: false,
            was_used: false,
        };
        Self {
            keeper: Arc::new(Mutex::new(keeper)),
        }
    }

    /// What takes how much room in the file. It looks at every page, so it takes as long as reading the whole file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn sizes(&mut self) -> Result<FileSizes, StoreError> {
        self.outside_transaction(sizes::sizes)
    }

    /// As [`SqliteStore::backup`](super::SqliteStore::backup).
    ///
    /// # Errors
    /// As [`SqliteStore::backup`](super::SqliteStore::backup).
    pub fn backup(
        &mut self,
        to: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), StoreError> {
        self.outside_transaction(|connection| backup::copy(connection, to, progress))
    }

    /// What failed leaves the connection behind, whatever state it is in.
    fn outside_transaction<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut keeper = locked(&self.keeper);
        keeper.rest();
        let connection = keeper.file.take()?;
        let done = work(&connection)?;
        keeper.file.connection = Some(connection);
        Ok(done)
    }
}

impl StoreReader for SqliteReader {
    fn another(&self) -> Result<Option<Self>, StoreError> {
        let keeper = locked(&self.keeper);
        let File {
            path, busy_timeout, ..
        } = &keeper.file;
        File::open(path, Access::Read, *busy_timeout).map(|file| Some(Self::new(file)))
    }

    fn read<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&dyn Snapshot) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut keeper = locked(&self.keeper);
        let result = keeper.read(work);
        keeper.was_used = true;
        if keeper.kept.is_some() && !keeper.is_watched {
            keeper.is_watched = keeping::watch(&self.keeper);
            if !keeper.is_watched {
                keeper.rest();
            }
        }
        result
    }
}

impl Drop for SqliteReader {
    /// Whoever watches it may still hold on to it for a moment, but not to the file.
    fn drop(&mut self) {
        let mut keeper = locked(&self.keeper);
        keeper.kept = None;
        keeper.file.connection = None;
    }
}

/// What a panic left is sound: the connection was taken out before.
fn locked(keeper: &Mutex<Keeper>) -> MutexGuard<'_, Keeper> {
    keeper.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file, and the transaction that is open on its connection between two reads.
#[derive(Debug)]
pub(super) struct Keeper {
    file: File,
    /// Whether the file of the connection is in write-ahead logging, once that was asked.
    is_write_ahead: Option<bool>,
    kept: Option<Kept>,
    /// Whether somebody ends the transaction in the end.
    is_watched: bool,
    /// Whether it was ever read from: for one read alone nothing is worth keeping.
    has_read: bool,
    was_used: bool,
}

/// A transaction that is kept.
#[derive(Debug)]
struct Kept {
    /// What the wal-index said before it began.
    header: Header,
    known: Known,
}

impl Keeper {
    fn read<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&dyn Snapshot) -> Result<T, E>,
    ) -> Result<T, E> {
        if self.file.connection.is_none() {
            self.is_write_ahead = None;
        }
        let connection = self.file.take()?;
        let is_write_ahead = *self
            .is_write_ahead
            .get_or_insert_with(|| is_write_ahead(&connection));
        let header = is_write_ahead.then(|| Header::now(&connection)).flatten();
        let kept = self.kept.take().filter(|_| keeping::may_keep());
        let fresh = kept.filter(|kept| Some(kept.header) == header);
        let is_open = fresh.is_some();
        let known = fresh.map(|kept| kept.known).unwrap_or_default();
        let session = Session::new(&connection, None, known);
        let begun = if is_open {
            Ok(())
        } else {
            session.begin_reading()
        };
        let result = begun.map_err(E::from).and_then(|()| work(&session));
        let is_short =
            |header: &Header| header.frames() <= MOST_FRAMES || header.is_put_back(&connection);
        let is_worth_it = std::mem::replace(&mut self.has_read, true);
        let may_keep = header.filter(|it| is_worth_it && keeping::may_keep() && is_short(it));
        match may_keep.filter(|_| session.is_well()) {
            Some(header) => {
                let known = session.known.into_inner();
                self.kept = Some(Kept { header, known });
                self.file.connection = Some(connection);
            }
            None => {
                if session.leave() {
                    self.file.connection = Some(connection);
                }
            }
        }
        result
    }

    /// Ends the transaction that is kept.
    pub(super) fn rest(&mut self) {
        if self.kept.take().is_some() {
            self.file.connection = self.file.connection.take().filter(ended);
        }
    }

    /// Ends the transaction, if it is kept and `at_once` or nobody read since the last call. Says whether one is still kept.
    pub(super) fn tire(&mut self, at_once: bool) -> bool {
        if at_once || !self.was_used {
            self.rest();
        }
        self.was_used = false;
        self.is_watched = self.kept.is_some();
        self.is_watched
    }
}

fn is_write_ahead(connection: &Connection) -> bool {
    let mode = connection.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0));
    mode.is_ok_and(|mode| mode == "wal")
}

/// A connection whose transaction could not be ended is closed, which ends it.
fn ended(connection: &Connection) -> bool {
    connection.execute_batch("ROLLBACK").is_ok()
}
