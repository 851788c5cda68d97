//! Opening a database file: is it ours, is it of a schema we know, and is it as durable as promised.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::failure;
use super::upgrade::{SCHEMA, upgrade};
use crate::store::StoreError;

/// "Tenu" in ASCII: what tells a database of Tenure from any other.
pub(super) const APPLICATION_ID: i32 = 0x5465_6e75;

/// The first SQLite without the fault that let two checkpointers lose pages of the write-ahead log.
const OLDEST_SQLITE: i32 = 3_051_003;
/// Between two tries to switch a file to write-ahead logging while another process looks at it.
const PAUSE: Duration = Duration::from_millis(5);

/// What may be done with the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Write, and create it if there is none.
    Create,
    /// Write what exists.
    Write,
    /// Only read.
    Read,
}

/// Opens the file, creating the tables if allowed and needed. A file of an older schema is brought up to date first, also
/// for one who only reads.
pub(super) fn open(
    path: &Path,
    access: Access,
    busy_timeout: Duration,
) -> Result<Connection, StoreError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        let version = rusqlite::version();
        let message = format!("SQLite {version} is too old, 3.51.3 is needed");
        return Err(StoreError::Unavailable(message));
    }
    if access != Access::Create && !path.try_exists().unwrap_or(true) {
        return Err(StoreError::Missing(path.display().to_string()));
    }
    let connect = || connect(path, access, busy_timeout).map_err(|error| at_open(&error));
    let mut connection = connect()?;
    let examined = match examine(&connection, path, access) {
        Err(_) if access == Access::Read && is_interrupted(&connection) => {
            drop(connection);
            take_back(path, busy_timeout)?;
            connection = connect()?;
            examine(&connection, path, access)
        }
        examined => examined,
    };
    if let Some(older) = examined? {
        drop(connection);
        upgrade_for_reader(path, older, busy_timeout)?;
        connection = connect()?;
        if examine(&connection, path, access)?.is_some() {
            return Err(refused_as_older(older));
        }
    }
    prepare(&connection, access, busy_timeout).map_err(|error| at_open(&error))?;
    Ok(connection)
}

fn connect(
    path: &Path,
    access: Access,
    busy_timeout: Duration,
) -> Result<Connection, rusqlite::Error> {
    let flags = match access {
        Access::Create => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        Access::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Access::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(busy_timeout)?;
    // Until the file is known to be ours, closing it must not move its log into it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // Without it SQLite prepares a statement anew for some values of its parameters.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// What the file says of itself.
enum Kind {
    Empty,
    Ours(i64),
    Foreign,
}

fn kind(connection: &Connection) -> Result<Kind, rusqlite::Error> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let application = number("PRAGMA application_id")?;
    let schema = number("PRAGMA user_version")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    Ok(match (application, tables) {
        (application, 1..) if application == i64::from(APPLICATION_ID) => Kind::Ours(schema),
        (0, 0) => Kind::Empty,
        _ => Kind::Foreign,
    })
}

/// Refuses a file that is not ours or newer; creates the tables in an empty one, and brings an older one up to date. Gives
/// the schema of an older one that may only be read.
fn examine(
    connection: &Connection,
    path: &Path,
    access: Access,
) -> Result<Option<i64>, StoreError> {
    let foreign = |what: &str| StoreError::Foreign(format!("`{}` {what}", path.display()));
    match consistent_kind(connection).map_err(|error| at_open(&error))? {
        Kind::Ours(SCHEMA) => Ok(None),
        Kind::Ours(found) if found > SCHEMA => Err(StoreError::Newer {
            found,
            known: SCHEMA,
        }),
        Kind::Ours(found @ 1..) => match access {
            Access::Create | Access::Write => make(connection, path, found),
            Access::Read => Ok(Some(found)),
        },
        Kind::Ours(found) => Err(StoreError::Corrupt(format!("schema {found} never existed"))),
        Kind::Empty if access == Access::Create => make(connection, path, 0),
        Kind::Empty => Err(foreign("holds no tables")),
        Kind::Foreign => Err(foreign("holds something else")),
    }
}

/// The answers of [`kind`] belong together only if nobody writes between them.
fn consistent_kind(connection: &Connection) -> Result<Kind, rusqlite::Error> {
    connection.execute_batch("BEGIN")?;
    let kind = kind(connection);
    let ended = connection.execute_batch("ROLLBACK");
    // Some failures end the transaction themselves: what went wrong first is what has to be said.
    kind.and_then(|kind| ended.map(|()| kind))
}

/// Makes what a file of schema `found` (0: an empty one) lacks, in one transaction. Another process may have been faster;
/// then there is nothing left to do.
fn make(connection: &Connection, path: &Path, found: i64) -> Result<Option<i64>, StoreError> {
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::ReadOnly) if found > 0 => refused_as_older(found),
        _ => at_open(&error),
    };
    connection
        .execute_batch("BEGIN IMMEDIATE")
        .map_err(failed)?;
    let made = kind(connection).and_then(|kind| match kind {
        Kind::Empty if found == 0 => {
            connection.pragma_update(None, "application_id", APPLICATION_ID)?;
            upgrade(connection, 0)
        }
        Kind::Ours(still) if still == found => upgrade(connection, found),
        Kind::Empty | Kind::Ours(_) | Kind::Foreign => Ok(()),
    });
    let ended = match made {
        Ok(()) => connection.execute_batch("COMMIT"),
        Err(error) => {
            // Some failures, as of a full disk, end the transaction themselves: then there is nothing left to undo.
            let _undone = connection.execute_batch("ROLLBACK");
            Err(error)
        }
    };
    ended.map_err(failed)?;
    // Whoever made it, it has to be ours now; it is neither empty nor of that schema any more, so this ends here.
    examine(connection, path, Access::Write)
}

/// Brings an older file up to date by a connection of its own.
fn upgrade_for_reader(path: &Path, older: i64, busy_timeout: Duration) -> Result<(), StoreError> {
    let failed = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            refused_as_older(older)
        }
        _ => at_open(&error),
    };
    let connection = connect(path, Access::Write, busy_timeout).map_err(failed)?;
    examine(&connection, path, Access::Write)?;
    prepare(&connection, Access::Write, busy_timeout).map_err(failed)
}

/// Whether a write was cut off, as by a loss of power, that only a connection that may write can take back. In write-ahead
/// logging anyone can, but a file is not yet kept so while its tables are made.
fn is_interrupted(connection: &Connection) -> bool {
    let code = |error: rusqlite::Error| error.sqlite_error().map(|it| it.extended_code);
    consistent_kind(connection).err().and_then(code)
        == Some(rusqlite::ffi::SQLITE_READONLY_ROLLBACK)
}

/// Takes the write back by a connection of its own.
fn take_back(path: &Path, busy_timeout: Duration) -> Result<(), StoreError> {
    let connection = connect(path, Access::Write, busy_timeout);
    let taken_back = connection.and_then(|connection| consistent_kind(&connection));
    taken_back.map(|_| ()).map_err(|error| at_open(&error))
}

fn refused_as_older(found: i64) -> StoreError {
    StoreError::Older {
        found,
        needed: SCHEMA,
    }
}

/// Settings of the connection, and of the file where it is not yet as it must be.
fn prepare(
    connection: &Connection,
    access: Access,
    busy_timeout: Duration,
) -> Result<(), rusqlite::Error> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    if access == Access::Read {
        return connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -32768;");
    }
    write_ahead(connection, busy_timeout)?;
    connection.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = OFF;
         PRAGMA recursive_triggers = ON;
         PRAGMA secure_delete = ON;
         PRAGMA cache_size = -65536;",
    )
}

/// Switches the file to write-ahead logging, which SQLite may refuse while another connection reads.
fn write_ahead(connection: &Connection, busy_timeout: Duration) -> Result<(), rusqlite::Error> {
    let mut waited = Duration::ZERO;
    loop {
        let set = connection.query_row("PRAGMA journal_mode = WAL", [], |row| {
            row.get::<_, String>(0)
        });
        match set {
            Ok(mode) if mode == "wal" => return Ok(()),
            Err(error) if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) => {
                return Err(error);
            }
            // The mode SQLite kept is no durable one with concurrent readers: never go on with it.
            Ok(mode) if waited >= busy_timeout => {
                return Err(rusqlite::Error::ToSqlConversionFailure(
                    format!("the file system allows only journal mode {mode}").into(),
                ));
            }
            Err(error) if waited >= busy_timeout => return Err(error),
            Ok(_) | Err(_) => {
                std::thread::sleep(PAUSE);
                waited += PAUSE;
            }
        }
    }
}

/// While opening, a file that is no database at all is a foreign one, not a damaged one.
fn at_open(error: &rusqlite::Error) -> StoreError {
    if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) {
        return StoreError::Foreign("the file is not a SQLite database".to_owned());
    }
    failure(error)
}
