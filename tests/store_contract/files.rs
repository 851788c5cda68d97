//! Which files are opened, and what opening does to them.

use std::fs;
use std::path::Path;

use tenure::rusqlite::Connection;
use tenure::store::{SqliteStore, StoreError, StoreReader};

use super::clauses::fill;
use super::facts::*;
use super::{Fresh, options, read, write};

fn refusal_of(path: &Path) -> [StoreError; 3] {
    [
        SqliteStore::create_or_open(path, options()).unwrap_err(),
        SqliteStore::open(path, options()).unwrap_err(),
        SqliteStore::open_reader(path).unwrap_err(),
    ]
}

#[test]
fn a_missing_file_is_created_only_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tenure.db");
    assert!(matches!(
        SqliteStore::open(&path, options()),
        Err(StoreError::Missing(_))
    ));
    assert!(matches!(
        SqliteStore::open_reader(&path),
        Err(StoreError::Missing(_))
    ));
    assert!(!path.exists());
    SqliteStore::create_or_open(&path, options()).unwrap();
    SqliteStore::open(&path, options()).unwrap();
}

#[test]
fn a_foreign_file_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let garbage = folder.path().join("garbage");
    fs::write(&garbage, vec![b'x'; 5_000]).unwrap();
    let short = folder.path().join("short");
    fs::write(&short, b"{}").unwrap();
    let plain = folder.path().join("plain");
    Connection::open(&plain)
        .unwrap()
        .execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)")
        .unwrap();
    let marked = folder.path().join("marked");
    Connection::open(&marked)
        .unwrap()
        .execute_batch("PRAGMA application_id = 5; CREATE TABLE t (x)")
        .unwrap();
    for path in [garbage, short, plain, marked] {
        let before = fs::read(&path).unwrap();
        for refusal in refusal_of(&path) {
            assert!(
                matches!(refusal, StoreError::Foreign(_)),
                "{path:?}: {refusal}"
            );
        }
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    // One whose content still lies in its log: nothing may be moved out of it.
    let open = folder.path().join("open");
    let connection = Connection::open(&open).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x)")
        .unwrap();
    let before = fs::read(&open).unwrap();
    for refusal in refusal_of(&open) {
        assert!(matches!(refusal, StoreError::Foreign(_)));
    }
    assert_eq!(fs::read(&open).unwrap(), before);
}

/// The files as a cut of the power leaves them while a write goes on that is kept in a rollback journal.
fn cut_off(from: &Path, to: &Path) {
    let raw = Connection::open(from).unwrap();
    raw.execute_batch(
        "PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; BEGIN; CREATE TABLE half (x);
         WITH RECURSIVE n (i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 200)
         INSERT INTO half SELECT randomblob(1000) FROM n",
    )
    .unwrap();
    let journal = |path: &Path| {
        path.with_file_name(format!("{}-journal", path.file_name().unwrap().display()))
    };
    fs::copy(from, to).unwrap();
    fs::copy(journal(from), journal(to)).unwrap();
}

#[test]
fn one_who_only_reads_takes_back_what_a_power_cut_left() {
    let (mut store, folder) = SqliteStore::fresh();
    write(&mut store, |log| fill(log, 100));
    let before = read(&store, everything);
    drop(store);
    let cut = folder.path().join("cut.db");
    cut_off(&folder.path().join("tenure.db"), &cut);
    let mut reader = SqliteStore::open_reader(&cut).unwrap();
    assert_eq!(reader.read(everything).unwrap(), before);
    // One that was only being made holds nothing afterwards.
    let cut = folder.path().join("begun.db");
    cut_off(&folder.path().join("new.db"), &cut);
    let refused = SqliteStore::open_reader(&cut).unwrap_err();
    assert!(matches!(refused, StoreError::Foreign(_)), "{refused}");
    SqliteStore::create_or_open(&cut, options()).unwrap();
}

#[test]
fn a_newer_file_is_refused() {
    let (store, folder) = SqliteStore::fresh();
    drop(store);
    let path = folder.path().join("tenure.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("PRAGMA user_version = 6")
        .unwrap();
    for refusal in refusal_of(&path) {
        assert!(matches!(refusal, StoreError::Newer { found: 6, known: 5 }));
    }
}

#[test]
fn a_damaged_file_is_told_from_a_foreign_one() {
    let (mut store, folder) = SqliteStore::fresh();
    write(&mut store, |log| fill(log, 100));
    drop(store);
    let path = folder.path().join("tenure.db");
    let mut bytes = fs::read(&path).unwrap();
    bytes[4_096..].fill(0xaa);
    fs::write(&path, bytes).unwrap();
    let read = SqliteStore::open_reader(&path).and_then(|mut reader| reader.read(everything));
    assert!(matches!(read, Err(StoreError::Corrupt(_))));
}

#[test]
fn the_file_is_as_durable_as_promised() {
    let (_store, folder) = SqliteStore::fresh();
    let path = folder.path().join("tenure.db");
    let raw = Connection::open(&path).unwrap();
    let mode: String = raw
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap();
    let id: i64 = raw
        .query_row("PRAGMA application_id", [], |row| row.get(0))
        .unwrap();
    assert_eq!((mode.as_str(), id), ("wal", 0x5465_6e75));
}
