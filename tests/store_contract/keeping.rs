//! A reader keeps what it sees between two reads, but never misses what was acknowledged, and holds nobody up.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tenure::rusqlite::Connection;
use tenure::store::{SqliteReader, SqliteStore, Store, StoreError, StoreReader};

use super::facts::delivery;
use super::{Fresh, options, write};

fn head(reader: &mut SqliteReader) -> u64 {
    let head = reader.read(|snapshot| snapshot.head());
    let head: Result<_, StoreError> = head;
    head.unwrap().position.0
}

fn append(store: &mut SqliteStore, number: u64) {
    let at = i64::try_from(number).unwrap();
    write(store, |log| {
        log.append(delivery(at, &number.to_string(), vec![]))
    });
}

#[test]
fn every_acknowledged_write_is_seen_by_the_next_read() {
    const WRITES: u64 = 300;
    let (mut store, ground) = SqliteStore::fresh();
    let path = ground.path().join("tenure.db");
    // Another handle on the file knows as little of this one as another process does.
    let mut elsewhere = SqliteStore::open(&path, options()).unwrap();
    let acknowledged = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            let mut reader = store.reader().unwrap();
            let acknowledged = &acknowledged;
            scope.spawn(move || {
                let mut known = 0;
                while known < WRITES {
                    known = acknowledged.load(Ordering::SeqCst);
                    assert!(head(&mut reader) >= known);
                }
            });
        }
        for number in 1..=WRITES {
            let writer = if number % 3 == 0 {
                &mut elsewhere
            } else {
                &mut store
            };
            append(writer, number);
            acknowledged.store(number, Ordering::SeqCst);
        }
    });
}

#[test]
fn what_one_writer_knows_of_the_log_is_what_another_wrote() {
    let (mut store, ground) = SqliteStore::fresh();
    let mut elsewhere = SqliteStore::open(&ground.path().join("tenure.db"), options()).unwrap();
    for number in 1..=30 {
        append(&mut store, number * 3);
        append(&mut elsewhere, number * 3 + 1);
        if number % 2 == 0 {
            append(&mut elsewhere, number * 3 + 2);
        }
    }
    assert_eq!(head(&mut store.reader().unwrap()), 75);
}

/// Whether the log of writes could be put back into the file, and emptied, within some seconds.
fn is_emptied(path: &Path) -> bool {
    let raw = Connection::open(path).unwrap();
    raw.busy_timeout(Duration::from_secs(8)).unwrap();
    let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
    let is_busy: bool = raw.query_row(checkpoint, [], |row| row.get(0)).unwrap();
    !is_busy
}

#[test]
fn a_reader_that_is_not_asked_holds_nobody_up() {
    let (mut store, ground) = SqliteStore::fresh();
    let mut reader = store.reader().unwrap();
    append(&mut store, 1);
    // From the second time on it keeps what it sees.
    assert_eq!([head(&mut reader), head(&mut reader)], [1, 1]);
    append(&mut store, 2);
    assert!(is_emptied(&ground.path().join("tenure.db")));
    assert_eq!(head(&mut reader), 2);
}

#[test]
fn a_reader_that_is_asked_without_pause_holds_nobody_up() {
    let (mut store, ground) = SqliteStore::fresh();
    append(&mut store, 1);
    let mut reader = store.reader().unwrap();
    let is_done = AtomicU64::new(0);
    thread::scope(|scope| {
        let is_done = &is_done;
        scope.spawn(move || {
            while is_done.load(Ordering::SeqCst) == 0 {
                assert_eq!(head(&mut reader), 1);
            }
        });
        let is_emptied = is_emptied(&ground.path().join("tenure.db"));
        is_done.store(1, Ordering::SeqCst);
        assert!(is_emptied);
    });
}

#[test]
fn what_failed_in_a_read_is_not_kept() {
    let (mut store, _ground) = SqliteStore::fresh();
    append(&mut store, 1);
    let mut reader = store.reader().unwrap();
    let failed: Result<(), StoreError> = reader.read(|_| Err(StoreError::OutOfOrder));
    assert!(matches!(failed, Err(StoreError::OutOfOrder)));
    assert_eq!(head(&mut reader), 1);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _read: Result<(), StoreError> = reader.read(|_| panic!("as a caller may"));
    }));
    assert!(panicked.is_err());
    append(&mut store, 2);
    assert_eq!(head(&mut reader), 2);
}

#[test]
fn an_engine_that_goes_leaves_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tenure.db");
    let store = SqliteStore::create_or_open(&path, options()).unwrap();
    let mut engine = tenure::Engine::new(store, tenure::Secrets::default()).unwrap();
    engine.begin_with_rules(&tenure::Rules::default()).unwrap();
    engine.rules().unwrap();
    drop(engine);
    let left = std::fs::read_dir(folder.path()).unwrap();
    let names: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["tenure.db"]);
}
