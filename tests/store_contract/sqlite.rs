//! What only a database file can promise.

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tenure::rusqlite::Connection;
use tenure::store::chain::Salts;
use tenure::store::{SqliteStore, SqliteStoreOptions, Store, StoreError, StoreReader, Transaction};
use tenure::{End, Position};

use super::clauses::fill;
use super::facts::*;
use super::{Fresh, options, read, write};

#[test]
fn the_log_cannot_be_changed_by_plain_sql() {
    let (mut store, folder) = SqliteStore::fresh();
    write(&mut store, |log| fill(log, 100));
    let raw = Connection::open(folder.path().join("tenure.db")).unwrap();
    raw.execute_batch("PRAGMA recursive_triggers = ON").unwrap();
    let before = read(&store, everything);
    for sql in [
        "UPDATE deliveries SET body = x'00' WHERE position = 1",
        "DELETE FROM deliveries WHERE position = 1",
        "DELETE FROM deliveries",
        "INSERT OR REPLACE INTO deliveries SELECT * FROM deliveries WHERE position = 1",
        "UPDATE events SET user_id = 'eve'",
        "DELETE FROM events",
        "INSERT OR REPLACE INTO events SELECT * FROM events",
    ] {
        let refused = raw.execute(sql, []).unwrap_err();
        assert!(
            refused.to_string().contains("append-only"),
            "{sql}: {refused}"
        );
    }
    assert_eq!(read(&store, everything), before);
}

#[test]
fn opening_again_finds_everything() {
    let (mut store, folder) = SqliteStore::fresh();
    let path = folder.path().join("tenure.db");
    write(&mut store, |log| fill(log, 100));
    let before = read(&store, everything);
    drop(store);
    assert_eq!(
        SqliteStore::open_reader(&path)
            .unwrap()
            .read(everything)
            .unwrap(),
        before
    );
    let mut store = SqliteStore::open(&path, options()).unwrap();
    assert_eq!(read(&store, everything), before);
    assert_eq!(
        write(&mut store, |log| log.append(delivery(900, "z", vec![]))),
        Position(6)
    );
}

#[test]
fn two_stores_share_a_file() {
    let (mut one, folder) = SqliteStore::fresh();
    let mut other = SqliteStore::open(&folder.path().join("tenure.db"), options()).unwrap();
    let mut reader = one.reader().unwrap();
    for turn in 0..10_i64 {
        let fact = delivery(
            turn + 1,
            &turn.to_string(),
            vec![granted("ann", "g1", None)],
        );
        let store = if turn % 2 == 0 { &mut one } else { &mut other };
        let position = write(store, |log| log.append(fact));
        assert_eq!(position.0.cast_signed(), turn + 1);
        let seen = reader.read(|snapshot| snapshot.head()).unwrap();
        assert_eq!(seen.position, position);
    }
    let refused = one.write(|log| log.append(delivery(99, "9", vec![])));
    assert!(matches!(refused, Err(StoreError::KeyHeld)));
    assert_eq!(
        read(&one, |snapshot| snapshot.grant_events(&grant("g1"))).len(),
        10
    );
}

#[test]
fn a_write_waits_for_another_and_gives_up_in_time() {
    let (mut one, folder) = SqliteStore::fresh();
    let path = folder.path().join("tenure.db");
    let hasty = SqliteStoreOptions {
        busy_timeout: Duration::from_millis(20),
        ..options()
    };
    let mut hasty = SqliteStore::open(&path, hasty).unwrap();
    write(&mut one, |log| {
        log.append(delivery(1, "a", vec![]))?;
        let refused = hasty.write(|log| log.append(delivery(2, "b", vec![])));
        assert!(matches!(refused, Err(StoreError::Unavailable(_))));
        Ok(())
    });
    assert_eq!(
        write(&mut hasty, |log| log.append(delivery(2, "b", vec![]))),
        Position(2)
    );
}

#[test]
fn a_read_sees_one_state_while_others_write() {
    let (mut store, _folder) = SqliteStore::fresh();
    write(&mut store, |log| fill(log, 100));
    let mut reader = store.reader().unwrap();
    let (before, after) = reader
        .read(|snapshot| {
            let before = everything(snapshot)?;
            write(&mut store, |log| fill(log, 200));
            Ok::<_, StoreError>((before, everything(snapshot)?))
        })
        .unwrap();
    assert_eq!(before, after);
    assert_ne!(reader.read(everything).unwrap(), before);
}

#[test]
fn many_readers_read_while_one_writes() {
    let (mut store, _folder) = SqliteStore::fresh();
    let readers: Vec<_> = (0..4).map(|_| store.reader().unwrap()).collect();
    thread::scope(|scope| {
        let mut handles = Vec::new();
        let mut stops = vec![];
        for mut reader in readers {
            let (stop, stopped) = mpsc::channel::<()>();
            stops.push(stop);
            handles.push(scope.spawn(move || {
                let mut last = 0;
                while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
                    let (position, events) = reader
                        .read(|snapshot| {
                            let head = snapshot.head()?;
                            Ok::<_, StoreError>((
                                head.position.0,
                                snapshot.grant_events(&grant("g1"))?.len(),
                            ))
                        })
                        .unwrap();
                    assert_eq!(events as u64, position);
                    assert!(position >= last);
                    last = position;
                }
            }));
        }
        for turn in 1..200 {
            write(&mut store, |log| {
                log.append(delivery(
                    turn,
                    &turn.to_string(),
                    vec![granted("ann", "g1", None)],
                ))
            });
        }
        drop(stops);
        for handle in handles {
            handle.join().unwrap();
        }
    });
}

#[test]
fn threads_that_create_at_once_agree() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tenure.db");
        thread::scope(|scope| {
            let turns: Vec<_> = (0..4)
                .map(|turn| {
                    let path = path.clone();
                    scope.spawn(move || {
                        let mut store = SqliteStore::create_or_open(&path, options()).unwrap();
                        write(&mut store, |log| {
                            let next = log.head()?.position.0.cast_signed() + 1;
                            log.append(delivery(next, &turn.to_string(), vec![]))
                        })
                    })
                })
                .collect();
            let mut positions: Vec<u64> = turns
                .into_iter()
                .map(|turn| turn.join().unwrap().0)
                .collect();
            positions.sort_unstable();
            assert_eq!(positions, [1, 2, 3, 4]);
        });
    }
}

#[test]
fn a_backup_equals_the_original() {
    let (mut store, folder) = SqliteStore::fresh();
    let to = folder.path().join("copy.db");
    write(&mut store, |log| fill(log, 100));
    let big = vec![7; 9_000_000];
    write(&mut store, |log| {
        let mut fact = delivery(300, "big", vec![]);
        fact.body = big;
        log.append(fact)
    });
    let before = read(&store, everything);
    let mut other = SqliteStore::open(&folder.path().join("tenure.db"), options()).unwrap();
    let mut steps = Vec::new();
    let mut late = 400;
    store
        .backup(&to, &mut |remaining, total| {
            steps.push((remaining, total));
            // What others write meanwhile is not in it, and does not make it begin anew.
            late += 1;
            write(&mut other, |log| {
                log.append(delivery(late, &late.to_string(), vec![]))
            });
        })
        .unwrap();
    assert!(steps.len() > 2);
    assert_eq!(steps.last().unwrap().0, 0);
    let copy = SqliteStore::open(&to, options()).unwrap();
    assert_eq!(read(&copy, everything), before);
    drop(copy);
    let bytes = fs::read(&to).unwrap();
    assert!(matches!(
        store.backup(&to, &mut |_, _| ()),
        Err(StoreError::Unavailable(_))
    ));
    assert_eq!(fs::read(&to).unwrap(), bytes);
}

#[test]
fn plain_sql_on_windows_says_what_windows_of_says() {
    let (mut store, folder) = SqliteStore::fresh();
    let bounded = |from, to| segment(from, End::At(at(to)), "ann");
    write(&mut store, |log| {
        log.project(
            &grant("g1"),
            Some(&projection(vec![bounded(10, 20), bounded(30, 40)], vec![])),
        )?;
        log.project(
            &grant("g2"),
            Some(&projection(vec![segment(15, End::Never, "ann")], vec![])),
        )?;
        log.project(
            &grant("g3"),
            Some(&projection(vec![segment(5, End::Never, "bob")], vec![])),
        )
    });
    let raw = Connection::open(folder.path().join("tenure.db")).unwrap();
    let documentation = include_str!("../../docs/schema.md");
    let sql = documentation
        .split("```sql\n")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    for now in [9, 10, 15, 19, 20, 30, 39, 40] {
        let mut statement = raw.prepare(sql).unwrap();
        let rows = statement.query_map(
            tenure::rusqlite::named_params! { ":user": "ann", ":now": now },
            |row| row.get::<_, String>("grant_key"),
        );
        let mut found: Vec<String> = rows.unwrap().map(Result::unwrap).collect();
        found.sort();
        let windows = read(&store, |snapshot| snapshot.windows_of(&user("ann")));
        let mut expected: Vec<String> = windows
            .iter()
            .filter(|(_, window)| window.start <= at(now) && window.end.is_after(at(now)))
            .map(|(grant, _)| grant.key.to_string())
            .collect();
        expected.sort();
        assert_eq!(found, expected);
    }
    let mut plan = raw.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let plan: Vec<String> = plan
        .query_map(
            tenure::rusqlite::named_params! { ":user": "ann", ":now": 1 },
            |row| row.get(3),
        )
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(
        plan.iter().all(|step| step.starts_with("SEARCH")),
        "{plan:?}"
    );
}

/// Every row of every table, in order.
fn dump(path: &Path) -> String {
    let raw = Connection::open(path).unwrap();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
    let mut tables = raw.prepare(tables).unwrap();
    let tables: Vec<String> = tables
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut dump = String::new();
    for table in tables {
        let mut statement = raw
            .prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2, 3"))
            .or_else(|_| raw.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2")))
            .unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values: Vec<_> = (0..columns)
                .map(|column| format!("{:?}", row.get_ref(column).unwrap()))
                .collect();
            dump += &format!("{table} {values:?}\n");
        }
    }
    dump
}

#[test]
fn the_same_seed_gives_the_same_rows() {
    let run = |salts| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tenure.db");
        let options = SqliteStoreOptions {
            salts,
            ..SqliteStoreOptions::default()
        };
        let mut store = SqliteStore::create_or_open(&path, options).unwrap();
        for from in [100, 200, 300] {
            write(&mut store, |log| fill(log, from));
        }
        dump(&path)
    };
    let seeded = |seed| run(Some(Salts::from_seed([seed; 32])));
    assert_eq!(seeded(1), seeded(1));
    assert_ne!(seeded(1), seeded(2));
    assert_ne!(run(None), run(None));
}

#[test]
fn both_stores_tell_the_same() {
    let (mut file, _folder) = SqliteStore::fresh();
    let (mut memory, ()) = tenure::store::MemoryStore::fresh();
    for from in [100, 200, 300] {
        let work = |log: &mut dyn Transaction| {
            fill(log, from)?;
            log.project(
                &grant("g1"),
                Some(&projection(vec![segment(from, End::Never, "ann")], vec![])),
            )
        };
        write(&mut file, work);
        write(&mut memory, work);
        assert_eq!(read(&file, everything), read(&memory, everything));
    }
}
