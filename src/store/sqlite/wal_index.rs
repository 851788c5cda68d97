//! Whether anybody has written to a file, read from where all its connections look first.
//!
//! Everyone who uses a file in write-ahead logging shares a piece of memory, the wal-index. Its first 48 bytes say where the
//! last committed transaction ends: a count of transactions, the number of frames, a checksum over all of them. A commit
//! writes them before it returns, in whatever process, and no two states of a file have the same. So whoever compares them
//! with those of a transaction that is open knows whether it still sees the present, for some loads from memory.
//!
//! The layout is that of the [wal-index header](https://www.sqlite.org/walformat.html#the_wal_index_file_format). After two
//! copies of these bytes follows the number of frames that were put back into the file.
#![allow(
    unsafe_code,
    reason = "SQLite gives its shared memory to who asks its file system layer, and in no other way"
)]

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::{Connection, ffi};

/// Words of 32 bits in the header.
const WORDS: usize = 12;
/// The word with the number of frames that were put back.
const PUT_BACK: usize = 2 * WORDS;
/// The size of a piece of the wal-index; SQLite asks for no other.
const PIECE: c_int = 32 * 1024;

/// What the wal-index said at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header([u32; WORDS]);

impl Header {
    /// What it says now. `None` if nothing can be said, as of a file that is not in write-ahead logging. The connection must
    /// have read from its file before.
    pub(super) fn now(connection: &Connection) -> Option<Self> {
        let words = words(connection)?;
        // A header that is torn by a commit under way equals neither the one before nor the one after: then it is read again.
        let header = Self(std::array::from_fn(|place| load(connection, words, place)));
        header.is_in_use().then_some(header)
    }

    fn is_in_use(self) -> bool {
        self.0[3].to_ne_bytes()[0] != 0
    }

    /// Whether one transaction was committed between `before` and this, and no other.
    pub(super) fn is_next_after(self, before: Self) -> bool {
        self.0[2] == before.0[2].wrapping_add(1)
    }

    /// How many frames the write-ahead log has.
    pub(super) fn frames(self) -> u32 {
        self.0[4]
    }

    /// Whether all of these frames have been put back into the file by now. The log can then be begun anew, whoever reads:
    /// what is read comes from the file.
    pub(super) fn is_put_back(self, connection: &Connection) -> bool {
        let put_back = words(connection).map(|words| load(connection, words, PUT_BACK));
        put_back == Some(self.frames())
    }
}

/// Loads a word of the wal-index of a connection, which is given to show that it is open.
fn load(_: &Connection, words: *mut u32, place: usize) -> u32 {
    // SAFETY: `words` is what `words()` gave for the connection. The piece is mapped as long as that is open, is aligned to a
    // page and longer than any place asked for here. Others write to it at any time, so it is only ever loaded atomically.
    unsafe { AtomicU32::from_ptr(words.add(place)).load(Ordering::Acquire) }
}

/// Where the header lies.
fn words(connection: &Connection) -> Option<*mut u32> {
    let mut file: *mut ffi::sqlite3_file = ptr::null_mut();
    // SAFETY: the handle is that of an open connection, which nobody else uses while it is borrowed: it cannot be shared
    // between threads. The operation writes one pointer to where it is told.
    let status = unsafe {
        ffi::sqlite3_file_control(
            connection.handle(),
            c"main".as_ptr(),
            ffi::SQLITE_FCNTL_FILE_POINTER,
            (&raw mut file).cast::<c_void>(),
        )
    };
    if status != ffi::SQLITE_OK || file.is_null() {
        return None;
    }
    // SAFETY: the file belongs to the connection and is open as long as that is; its methods are set while it is open.
    let methods = unsafe { (*file).pMethods.as_ref() }?;
    let map = methods.xShmMap.filter(|_| methods.iVersion >= 2)?;
    let mut piece: *mut c_void = ptr::null_mut();
    // SAFETY: as SQLite itself calls it: the first piece, of the only size there is, not to be made if it is not there.
    let status = unsafe { map(file, 0, PIECE, 0, &raw mut piece) };
    (status == ffi::SQLITE_OK && !piece.is_null()).then(|| piece.cast::<u32>())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests may panic")]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_back_is_told_from_what_was_not() {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(folder.path().join("file.db")).unwrap();
        let sql = "PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1);";
        connection.execute_batch(sql).unwrap();
        let header = Header::now(&connection).unwrap();
        assert!(header.frames() > 0 && !header.is_put_back(&connection));
        let checkpoint = "PRAGMA wal_checkpoint(PASSIVE)";
        connection.query_row(checkpoint, [], |_| Ok(())).unwrap();
        assert_eq!(Header::now(&connection).unwrap(), header);
        assert!(header.is_put_back(&connection));
        connection
            .execute_batch("INSERT INTO t VALUES (2); INSERT INTO t VALUES (3);")
            .unwrap();
        let header = Header::now(&connection).unwrap();
        assert!(!header.is_put_back(&connection));
    }
}
