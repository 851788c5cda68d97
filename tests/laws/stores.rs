//! The laws that need a file: both stores say the same, and what is edited behind the engine's back is found.

use std::path::Path;

use proptest::prelude::*;
use tenure::rusqlite::{Connection, types::Value};
use tenure::store::{NewEntry, SqliteStoreOptions, Statistics};
use tenure::{Engine, Position, Secrets, SqliteStore, Store};

use super::{checks, hold, some_of};
use crate::strategies::{
    History, Line, at, engine, history, plain_rules, projections, questions, recorded, tell, told,
};

pub(super) fn store(path: &Path) -> SqliteStore {
    SqliteStore::create_or_open(path, SqliteStoreOptions::default()).unwrap()
}

pub(super) fn in_file(path: &Path, history: &History) -> Engine<SqliteStore> {
    let mut engine = engine(store(path), &history.rules);
    tell(&mut engine, &history.lines, 0);
    engine
}

/// A file in memory where there is such a place: these laws are not about the disk.
pub(super) fn folder() -> tempfile::TempDir {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() {
        tempfile::tempdir_in(shared).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// Salts are unpredictable, and the hashes with them.
fn entries<S: Store>(engine: &Engine<S>) -> Vec<(Position, NewEntry, u32, u64)> {
    let entries = engine
        .reader()
        .unwrap()
        .entries_after(Position::default(), 1_000)
        .unwrap();
    let facts = entries
        .into_iter()
        .map(|it| (it.position, it.fact, it.events, it.repetitions));
    facts.collect()
}

/// All rows of these tables.
pub(crate) fn dump(path: &Path, tables: &[&str]) -> Vec<Vec<Value>> {
    let connection = Connection::open(path).unwrap();
    let mut rows = Vec::new();
    for table in tables {
        let mut statement = connection
            .prepare(&format!("SELECT * FROM {table}"))
            .unwrap();
        let columns = statement.column_count();
        let read = statement.query_map([], |row| (0..columns).map(|it| row.get(it)).collect());
        rows.extend(read.unwrap().map(Result::unwrap));
    }
    rows
}

#[test]
fn memory_and_sqlite_agree() {
    hold(500, history(14), |history| {
        let folder = folder();
        let path = folder.path().join("tenure.db");
        let (memory, mut file) = (told(&history), in_file(&path, &history));
        prop_assert_eq!(projections(&memory), projections(&file));
        prop_assert_eq!(entries(&memory), entries(&file));
        prop_assert_eq!(recorded(&memory).events, recorded(&file).events);
        let mut asked = some_of(&questions(&memory, None), 80);
        for as_of in recorded(&memory).times {
            asked.extend(some_of(&questions(&memory, Some(as_of)), 10));
        }
        prop_assert_eq!(checks(&memory, &asked), checks(&file, &asked));
        let (mut of_memory, mut of_file) = (memory.reader().unwrap(), file.reader().unwrap());
        for user in recorded(&memory).users() {
            let windows = of_memory.windows(&user, None).unwrap();
            prop_assert_eq!(windows, of_file.windows(&user, None).unwrap());
            let anomalies = of_memory.anomalies(Some(&user), None, 1_000).unwrap();
            prop_assert_eq!(
                anomalies,
                of_file.anomalies(Some(&user), None, 1_000).unwrap()
            );
            let grants = of_memory.grants(&user, None).unwrap();
            prop_assert_eq!(grants, of_file.grants(&user, None).unwrap());
        }
        let statistics = |statistics: Statistics| Statistics {
            bytes: 0,
            ..statistics
        };
        prop_assert_eq!(
            statistics(of_memory.statistics().unwrap()),
            statistics(of_file.statistics().unwrap())
        );
        // And byte for byte: a rebuild leaves every projected row as it was.
        let tables = ["grants", "segments", "windows", "anomalies"];
        let before = dump(&path, &tables);
        file.rebuild(&mut |_| {}).unwrap();
        prop_assert_eq!(&before, &dump(&path, &tables));
        Ok(())
    });
}

/// What may have become of a projection.
const DAMAGES: &[&str] = &[
    "DELETE FROM grants; DELETE FROM windows; DELETE FROM anomalies; UPDATE segments SET segments = x''",
    "DELETE FROM grants",
    "DELETE FROM windows WHERE length(grant_key) % 2",
    "UPDATE grants SET segments = x'0201'",
    "UPDATE segments SET segments = x''",
    "UPDATE segments SET segments = x'' WHERE user_id = 'u'",
    "DELETE FROM windows",
    "UPDATE windows SET end_at = end_at + 1",
    "UPDATE windows SET user_id = user_id || '-else'",
    "INSERT INTO windows SELECT user_id, start_at - 1, source, grant_key, start_at, product FROM windows",
    "DELETE FROM anomalies",
    "INSERT INTO anomalies SELECT position, 7, source, grant_key, anomaly FROM anomalies",
    "INSERT INTO grants VALUES ('shop', 'nobody-knows-it', x'')",
    "INSERT INTO windows VALUES ('nobody', 7, 'shop', 'nobody-knows-it', 8, 'news')",
    "UPDATE totals SET grants = grants + 1, windows = 7, anomalies = 0",
];

#[test]
fn a_rebuild_mends_whatever_became_of_the_projection() {
    hold(60, history(14), |history| {
        let folder = folder();
        let path = folder.path().join("tenure.db");
        let mut file = in_file(&path, &history);
        let tables = ["grants", "segments", "windows", "anomalies", "totals"];
        let before = dump(&path, &tables);
        for damage in DAMAGES {
            let connection = Connection::open(&path).unwrap();
            connection.execute_batch(damage).unwrap();
            file.rebuild(&mut |_| {}).unwrap();
            prop_assert_eq!(&before, &dump(&path, &tables), "{}", damage);
            let verified = file.reader().unwrap().verify(&mut |_| {}).unwrap();
            prop_assert_eq!(verified.fault, None, "{}", damage);
        }
        Ok(())
    });
}

#[test]
fn a_rebuild_mends_also_where_another_process_records_meanwhile() {
    hold(40, history(14), |mut history| {
        let folder = folder();
        let path = folder.path().join("tenure.db");
        let later = history.lines.split_off(history.lines.len() / 2);
        let mut file = in_file(&path, &history);
        let mut other = Engine::new(store(&path), Secrets::default()).unwrap();
        // Of what a delivery to such a grant would not stumble over.
        let damages = [
            "UPDATE segments SET segments = x''",
            "DELETE FROM windows",
            "UPDATE windows SET end_at = end_at + 1",
        ];
        for (turn, damage) in damages.into_iter().enumerate() {
            let connection = Connection::open(&path).unwrap();
            connection.execute_batch(damage).unwrap();
            drop(connection);
            let next = later.get(turn);
            let mut is_told = false;
            file.rebuild(&mut |_| {
                if let Some(line) = next.filter(|_| !std::mem::replace(&mut is_told, true)) {
                    tell(&mut other, std::slice::from_ref(line), 100 + turn);
                }
            })
            .unwrap();
            prop_assert!(is_told || next.is_none());
            let verified = file.reader().unwrap().verify(&mut |_| {}).unwrap();
            prop_assert_eq!(verified.fault, None, "{}", damage);
        }
        Ok(())
    });
}

/// Alters one value; says whether anything is different now.
fn edit(connection: &Connection, table: &str, row: usize, column: usize, by: u8) -> Option<String> {
    let triggers = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        .unwrap()
        .query_map([], |row| row.get::<_, String>(0))
        .unwrap()
        .map(Result::unwrap)
        .collect::<Vec<_>>();
    for trigger in triggers {
        connection
            .execute(&format!("DROP TRIGGER {trigger}"), [])
            .unwrap();
    }
    connection
        .pragma_update(None, "ignore_check_constraints", true)
        .unwrap();
    let read = connection
        .prepare(&format!("SELECT * FROM {table}"))
        .unwrap();
    let names: Vec<String> = read.column_names().into_iter().map(str::to_owned).collect();
    drop(read);
    let name = &names[column % names.len()];
    let rows: Vec<(i64, i64)> = {
        let index = if table == "events" {
            "event_index"
        } else {
            "0"
        };
        let select = format!("SELECT position, {index} FROM {table} ORDER BY 1, 2");
        let mut read = connection.prepare(&select).unwrap();
        let rows = read
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        rows.map(Result::unwrap).collect()
    };
    let (position, index) = *rows.get(row % rows.len().max(1))?;
    let place = match table {
        "events" => format!("position = {position} AND event_index = {index}"),
        _ => format!("position = {position}"),
    };
    let value: Value = connection
        .query_row(
            &format!("SELECT {name} FROM {table} WHERE {place}"),
            [],
            |row| row.get(0),
        )
        .unwrap();
    let altered = match value {
        Value::Null => Value::Text("1".to_owned()),
        Value::Integer(number) => Value::Integer(number ^ i64::from(by.max(1))),
        Value::Real(_) => return None,
        Value::Text(text) => Value::Text(format!("{text}{}", by % 10)),
        Value::Blob(mut bytes) => {
            let at = usize::from(by) % bytes.len().max(1);
            match bytes.get_mut(at) {
                Some(byte) => *byte ^= 1,
                None => bytes.push(by),
            }
            Value::Blob(bytes)
        }
    };
    let update = format!("UPDATE {table} SET {name} = ?1 WHERE {place}");
    // What the schema itself refuses cannot be an edit.
    connection.execute(&update, [altered]).ok()?;
    Some(format!("{table}.{name} at {place}"))
}

#[test]
fn an_edited_log_never_verifies() {
    let table = prop::sample::select(vec!["deliveries", "events"]);
    let where_and_how = (table, any::<usize>(), any::<usize>(), any::<u8>());
    hold(
        300,
        (history(5), where_and_how),
        |(history, (table, row, column, by))| {
            let folder = folder();
            let path = folder.path().join("tenure.db");
            let engine = in_file(&path, &history);
            let sound = engine.reader().unwrap().verify(&mut |_| {}).unwrap();
            prop_assert_eq!(sound.fault, None);
            drop(engine);
            let connection = Connection::open(&path).unwrap();
            let Some(edited) = edit(&connection, table, row, column, by) else {
                return Ok(());
            };
            drop(connection);
            let verified = SqliteStore::open(&path, SqliteStoreOptions::default())
                .map_err(Into::into)
                .and_then(|store| Engine::new(store, Secrets::default()))
                .and_then(|engine| engine.reader()?.verify(&mut |_| {}));
            // What cannot even be read is no sound log either.
            let found = verified.map_or(true, |it| it.fault.is_some());
            prop_assert!(found, "not found: {}", edited);
            Ok(())
        },
    );
}

#[test]
fn an_event_that_a_look_up_passes_over_is_found_by_verify() {
    let event = |id: &str, kind: &str, data: &str| {
        format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"s","type":"tenure.{kind}","time":"2026-01-01T00:00:00Z","subject":"u","data":{data}}}"#
        )
    };
    let lines = [
        event(
            "1",
            "granted",
            r#"{"grant":"g","product":"p","until":null,"parent":"h"}"#,
        ),
        event(
            "2",
            "granted",
            r#"{"grant":"h","product":"p","until":null}"#,
        ),
        event(
            "3",
            "granted",
            r#"{"grant":"i","product":"p","until":null}"#,
        ),
        event("4", "withdrawn", r#"{"id":"s 3"}"#),
        event("5", "linked", r#"{"alias":"v"}"#),
        event("6", "suspended", "{}"),
    ];
    let damages = [
        "DELETE FROM segments WHERE grant_key = 'h'",
        "DELETE FROM withdrawals",
        "INSERT INTO withdrawals VALUES ('cloudevents', 's 2', 0, 4)",
        "UPDATE events SET parent = NULL WHERE grant_key = 'g'",
        "UPDATE events SET other_user_id = 'w' WHERE change = 'linked'",
        "UPDATE events SET change = 'linked' WHERE change = 'suspended'",
    ];
    for damage in damages {
        let folder = folder();
        let path = folder.path().join("tenure.db");
        let store = SqliteStore::create_or_open(&path, SqliteStoreOptions::default()).unwrap();
        let mut engine = Engine::new(store, Secrets::default()).unwrap();
        let options = tenure::FileOptions {
            source: Some("cloudevents".parse().unwrap()),
            backfill: false,
        };
        let text = lines.join("\n");
        let mut clock = || "2026-02-01T00:00:00Z".parse().unwrap();
        engine
            .ingest_file(&mut text.as_bytes(), &options, &mut clock, &mut |_| Ok(()))
            .unwrap();
        let verify = || {
            engine
                .reader()
                .unwrap()
                .verify(&mut |_| {})
                .map(|it| it.fault)
        };
        assert_eq!(verify().unwrap(), None);
        let connection = Connection::open(&path).unwrap();
        connection
            .execute_batch("DROP TRIGGER events_never_change")
            .unwrap();
        connection.execute_batch(damage).unwrap();
        assert!(verify().map_or(true, |fault| fault.is_some()), "{damage}");
    }
}

#[test]
fn a_user_of_a_grant_who_is_told_otherwise_than_another_is_found() {
    let given = Line::of_grant("crm", "granted", "g", at("2026-01-01T00:00:00Z")).for_user("u");
    let given = given
        .with("product", "p".into())
        .with("until", serde_json::Value::Null);
    let moved = Line::of_grant("crm", "transferred", "g", at("2026-01-02T00:00:00Z"));
    let history = History {
        rules: plain_rules(),
        lines: vec![given, moved.with("user", "v".into())],
    };
    for user in ["u", "v"] {
        let folder = folder();
        let path = folder.path().join("tenure.db");
        let mut engine = in_file(&path, &history);
        let is_sound = |engine: &Engine<SqliteStore>| {
            let verified = engine.reader().unwrap().verify(&mut |_| {});
            verified.is_ok_and(|it| it.fault.is_none())
        };
        assert!(is_sound(&engine));
        let connection = Connection::open(&path).unwrap();
        let damage = "UPDATE segments SET segments = x'' WHERE user_id = ?1";
        assert_eq!(connection.execute(damage, [user]).unwrap(), 1);
        assert!(!is_sound(&engine), "{user}");
        engine.rebuild(&mut |_| {}).unwrap();
        assert!(is_sound(&engine), "{user}");
    }
}

#[test]
fn a_stray_grant_and_a_flag_that_is_none_are_found() {
    let folder = folder();
    let path = folder.path().join("tenure.db");
    let store = SqliteStore::create_or_open(&path, SqliteStoreOptions::default()).unwrap();
    let mut engine = Engine::new(store, Secrets::default()).unwrap();
    for id in ["1", "2", "3"] {
        let line = format!(
            r#"{{"specversion":"1.0","id":"{id}","source":"s","type":"tenure.granted","time":"2026-01-01T00:00:00Z","subject":"u","data":{{"grant":"g{id}","product":"p","until":null}}}}"#
        );
        let request = tenure::Request {
            body: line.into_bytes(),
            ..tenure::Request::default()
        };
        let delivery = tenure::Delivery::trusted("cloudevents".parse().unwrap(), request);
        engine
            .ingest(delivery, "2026-02-01T00:00:00Z".parse().unwrap())
            .unwrap();
    }
    let verified = || engine.reader().unwrap().verify(&mut |_| {}).unwrap();
    assert_eq!((verified().entries, verified().grants), (3, 3));
    assert_eq!(verified().fault, None);
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch(
            "INSERT INTO grants VALUES ('cloudevents', 'h', x''); UPDATE totals SET grants = grants + 1",
        )
        .unwrap();
    let stray = tenure::GrantId {
        source: "cloudevents".parse().unwrap(),
        key: "h".parse().unwrap(),
    };
    assert_eq!(verified().fault, Some(tenure::Fault::Stray(stray)));
    // A number that is as true as 1 is not what was written.
    connection
        .execute_batch(
            "PRAGMA ignore_check_constraints = ON; DROP TRIGGER deliveries_never_change;
             UPDATE deliveries SET arrival_is_order = 2 WHERE position = 2",
        )
        .unwrap();
    let refused = engine.reader().unwrap().verify(&mut |_| {});
    assert!(matches!(
        refused,
        Err(tenure::EngineError::Store(tenure::StoreError::Corrupt(_)))
    ));
}
