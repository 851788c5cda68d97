//! A file of an older schema is brought up to date, and answers as before.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tenure::rusqlite::Connection;
use tenure::store::{Snapshot, SqliteStore, StoreError, StoreReader};
use tenure::{Engine, Mention, Position, Question, Reader, Secrets};

use crate::laws::stores::dump;

use super::facts::everything;
use super::{Fresh, options};

/// As the first schema's program wrote it.
const SCHEMA_1: &str = include_str!("schema_1.sql");

fn older() -> (PathBuf, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tenure.db");
    let raw = Connection::open(&path).unwrap();
    raw.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    raw.execute_batch(SCHEMA_1).unwrap();
    drop(raw);
    (path, folder)
}

fn version(path: &Path) -> i64 {
    let raw = Connection::open(path).unwrap();
    raw.query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap()
}

fn tables(path: &Path) -> Vec<(String, String)> {
    let raw = Connection::open(path).unwrap();
    let sql = "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name";
    let mut statement = raw.prepare(sql).unwrap();
    let rows = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    rows.map(Result::unwrap).collect()
}

fn mentioning(snapshot: &dyn Snapshot, text: &str) -> Result<Vec<u64>, StoreError> {
    let found = snapshot.parked_mentioning(&Mention::new(text).unwrap())?;
    Ok(found.into_iter().map(|position| position.0).collect())
}

/// What the older program answered: the suspension stands from 2 January on.
fn answers_as_before(path: &Path) {
    let mut reader = Reader::new(SqliteStore::open_reader(path).unwrap());
    let reason = |reader: &mut Reader<_>, at: &str| {
        let question = Question {
            user: "u1".parse().unwrap(),
            resource: "archive".parse().unwrap(),
            at: at.parse().unwrap(),
            as_of: None,
        };
        let decision = reader.check(&question).unwrap();
        (decision.verdict.reason(), decision.position)
    };
    assert_eq!(
        reason(&mut reader, "2026-01-01T12:00:00Z"),
        ("active", Position(8))
    );
    assert_eq!(
        reason(&mut reader, "2026-01-20T00:00:00Z"),
        ("suspended", Position(8))
    );
    let windows = reader.windows(&"u3".parse().unwrap(), None).unwrap();
    assert_eq!(windows.len(), 1);
    assert_eq!(windows[0].end.to_string(), "2026-01-06T00:00:00Z");
}

#[test]
fn an_older_file_is_brought_up_to_date_by_a_writer() {
    let (path, _folder) = older();
    assert_eq!(version(&path), 1);
    SqliteStore::open(&path, options()).unwrap();
    assert_eq!(version(&path), 5);
    answers_as_before(&path);
    // Its tables and indices are those of a new file, and it stays as it is when it is opened again.
    let (_new, ground) = SqliteStore::fresh();
    assert_eq!(tables(&path), tables(&ground.path().join("tenure.db")));
    let read = || SqliteStore::open_reader(&path).unwrap().read(everything);
    let before = read().unwrap();
    SqliteStore::create_or_open(&path, options()).unwrap();
    assert_eq!(read().unwrap(), before);
}

#[test]
fn an_older_file_is_brought_up_to_date_by_a_reader() {
    let (path, _folder) = older();
    answers_as_before(&path);
    assert_eq!(version(&path), 5);
}

#[test]
fn what_was_parked_before_is_found_by_what_it_mentions() {
    let (path, _folder) = older();
    SqliteStore::open_reader(&path)
        .unwrap()
        .read(|snapshot| {
            // The rules of that file name the users of the source at 4 with `app-` before them.
            assert_eq!(mentioning(snapshot, "app-U2")?, [4]);
            assert_eq!(mentioning(snapshot, "U2")?, [4]);
            assert_eq!(mentioning(snapshot, "g3")?, [4]);
            // Discarded, and cut off within the JSON.
            assert_eq!(mentioning(snapshot, "u1")?, [5]);
            assert_eq!(mentioning(snapshot, "g4")?, [5]);
            assert_eq!(mentioning(snapshot, "app-u1")?, [0; 0]);
            // Applied, so in nothing that is parked.
            assert_eq!(mentioning(snapshot, "u3")?, [0; 0]);
            Ok::<(), StoreError>(())
        })
        .unwrap();
}

#[test]
fn an_older_file_that_cannot_be_written_to_is_refused_and_left_as_it_is() {
    let (path, _folder) = older();
    // The nineteenth byte is the version a writer has to know: of one it does not, SQLite only reads.
    let mut bytes = fs::read(&path).unwrap();
    assert_eq!(bytes[18..20], [2, 2]);
    bytes[18] = 3;
    fs::write(&path, &bytes).unwrap();
    let refused = [
        SqliteStore::open_reader(&path).unwrap_err(),
        SqliteStore::open(&path, options()).unwrap_err(),
        SqliteStore::create_or_open(&path, options()).unwrap_err(),
    ];
    for refusal in refused {
        let is_older = matches!(
            refusal,
            StoreError::Older {
                found: 1,
                needed: 5
            }
        );
        assert!(is_older, "{refusal}");
        let text = refusal.to_string();
        assert!(text.contains("make the file writable"), "{text}");
    }
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn an_upgrade_that_fails_leaves_the_file_as_it_was() {
    let (path, _folder) = older();
    let raw = Connection::open(&path).unwrap();
    // In the way of what schema 2 makes last.
    raw.execute_batch("CREATE TABLE mentions (x)").unwrap();
    drop(raw);
    let before = tables(&path);
    SqliteStore::open(&path, options()).unwrap_err();
    assert_eq!(version(&path), 1);
    assert_eq!(tables(&path), before);
}

/// A copy of the log that a released format kept of the same story.
fn golden(schema: u32) -> (PathBuf, TempDir) {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tenure.db");
    fs::copy(golden.join(format!("schema_{schema}/tenure.db")), &path).unwrap();
    (path, folder)
}

#[test]
fn what_is_brought_up_to_date_is_what_would_be_written_now() {
    let (newest, _folder) = golden(5);
    for schema in 1..5 {
        let (path, _folder) = golden(schema);
        let store = SqliteStore::open(&path, options()).unwrap();
        let engine = Engine::new(store, Secrets::default()).unwrap();
        let verified = engine.reader().unwrap().verify(&mut |_| {}).unwrap();
        assert_eq!(verified.fault, None, "schema {schema}");
        for table in ["grants", "segments", "windows", "anomalies", "totals"] {
            let (rows, expected) = (dump(&path, &[table]), dump(&newest, &[table]));
            assert!(
                !rows.is_empty() && rows == expected,
                "{table}, schema {schema}"
            );
        }
    }
}

#[test]
fn a_damaged_row_is_no_reason_to_refuse_an_older_file_and_a_rebuild_mends_it() {
    let (path, _folder) = golden(4);
    let damage = "UPDATE segments SET segments = substr(segments, 1, 7) WHERE (user_id, source, grant_key) = \
         (SELECT user_id, source, grant_key FROM segments WHERE segments <> x'' LIMIT 1)";
    let raw = Connection::open(&path).unwrap();
    assert_eq!(raw.execute(damage, []).unwrap(), 1);
    drop(raw);
    let store = SqliteStore::open(&path, options()).unwrap();
    let mut engine = Engine::new(store, Secrets::default()).unwrap();
    let verified = engine.reader().unwrap().verify(&mut |_| {});
    assert!(verified.map_or(true, |it| it.fault.is_some()));
    engine.rebuild(&mut |_| {}).unwrap();
    let verified = engine.reader().unwrap().verify(&mut |_| {}).unwrap();
    assert_eq!(verified.fault, None);
}
