//! The edits: of one value, of whole rows, of the end of the log, of the whole chain, of single bits.

use std::fs;
use std::path::Path;

use tenure::rusqlite::types::Value;
use tenure::rusqlite::{Connection, params, params_from_iter};
use tenure::store::chain;
use tenure::{Engine, Hash, Position, Secrets, SqliteStore, SqliteStoreOptions};

use crate::workload::Random;

/// Values that nothing in the file can be held against; the harness names them as not covered.
const UNSEEN: &[(&str, &str)] = &[
    // Made of the text of a packet, which may be encrypted.
    ("packets", "text_digest"),
    // Found in a parked body, which may be encrypted.
    ("mentions", "mention"),
    ("mentions", "position"),
    // Only their sum is known.
    ("repetitions", "position"),
    ("repetitions", "count"),
];
/// Tables whose rows may go or come unseen, for the same reasons. `batches` remember a file that was read halfway.
const UNSEEN_ROWS: &[&str] = &["packets", "mentions", "batches"];

pub(super) struct Altered {
    pub(super) kind: &'static str,
    pub(super) what: String,
}

pub(super) fn alter(path: &Path, random: &mut Random) -> Option<Altered> {
    let (kind, what): (_, fn(&Path, &mut Random) -> Option<String>) = match random.below(20) {
        0..8 => ("values altered", value),
        8..10 => ("rows removed", row_removed),
        10..12 => ("rows added", row_added),
        12..14 => ("rows swapped", rows_swapped),
        14 => ("tails cut", tail_cut),
        15 => ("chains made anew", chain_made_anew),
        16 => ("triggers added or removed", trigger),
        _ => ("bits flipped", bit),
    };
    what(path, random).map(|what| Altered { kind, what })
}

/// A connection that nothing stands in the way of.
fn unguarded(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection
        .execute_batch("PRAGMA ignore_check_constraints = ON; PRAGMA writable_schema = ON")
        .unwrap();
    connection
}

/// Runs an edit without the triggers that would refuse it, and puts them back: whoever edits by stealth does so.
fn stealthily(
    connection: &Connection,
    edit: impl FnOnce(&Connection) -> Option<String>,
) -> Option<String> {
    let mut read = connection
        .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name")
        .unwrap();
    let triggers: Vec<(String, String)> = read
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    drop(read);
    for (name, _) in &triggers {
        connection
            .execute_batch(&format!("DROP TRIGGER {name}"))
            .unwrap();
    }
    let what = edit(connection);
    for (_, sql) in &triggers {
        connection.execute_batch(sql).unwrap();
    }
    what
}

fn texts(connection: &Connection, sql: &str) -> Vec<String> {
    let mut read = connection.prepare(sql).unwrap();
    let texts = read.query_map([], |row| row.get(0)).unwrap();
    texts.map(Result::unwrap).collect()
}

fn tables(connection: &Connection) -> Vec<String> {
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    texts(connection, tables)
}

fn columns(connection: &Connection, table: &str) -> Vec<String> {
    texts(
        connection,
        &format!("SELECT name FROM pragma_table_info('{table}')"),
    )
}

fn one_of<'a, T>(all: &'a [T], random: &mut Random) -> Option<&'a T> {
    match all.len() {
        0 => None,
        length => all.get(usize::try_from(random.below(length as u64)).unwrap()),
    }
}

/// A row of any table, with its columns and the condition that it is this one.
struct Chosen {
    table: String,
    columns: Vec<String>,
    values: Vec<Value>,
}

impl Chosen {
    fn row(connection: &Connection, random: &mut Random) -> Option<Self> {
        let table = one_of(&tables(connection), random)?.clone();
        Self::row_of(connection, table, random)
    }

    fn row_of(connection: &Connection, table: String, random: &mut Random) -> Option<Self> {
        let columns = columns(connection, &table);
        let count = format!("SELECT count(*) FROM {table}");
        let rows: u32 = connection.query_row(&count, [], |row| row.get(0)).unwrap();
        if rows == 0 {
            return None;
        }
        let select = format!(
            "SELECT * FROM {table} LIMIT 1 OFFSET {}",
            random.below(rows.into())
        );
        let values = connection
            .query_row(&select, [], |row| {
                (0..columns.len()).map(|it| row.get(it)).collect()
            })
            .unwrap();
        Some(Self {
            table,
            columns,
            values,
        })
    }

    fn is_this(&self) -> String {
        let terms = (1..)
            .zip(&self.columns)
            .map(|(place, name)| format!("{name} IS ?{place}"));
        terms.collect::<Vec<_>>().join(" AND ")
    }

    /// Sets a column of this row; `None` if the schema refuses it.
    fn set(&self, connection: &Connection, column: &str, value: &Value) -> Option<()> {
        let place = self.columns.len() + 1;
        let sql = format!(
            "UPDATE {} SET {column} = ?{place} WHERE {}",
            self.table,
            self.is_this()
        );
        let values = self.values.iter().chain([value]);
        let altered = connection.execute(&sql, params_from_iter(values)).ok()?;
        assert_eq!(altered, 1, "{sql}");
        Some(())
    }
}

fn altered(value: &Value, random: &mut Random) -> Value {
    match value {
        Value::Null => match random.below(2) {
            0 => Value::Integer(1),
            _ => Value::Text("1".to_owned()),
        },
        Value::Integer(number) => Value::Integer(number ^ (1 << random.below(60))),
        // No column holds one.
        Value::Real(_) => Value::Null,
        Value::Text(text) if random.below(8) == 0 && !text.is_empty() => Value::Null,
        Value::Text(text) => Value::Text(format!("{text}{}", random.below(10))),
        Value::Blob(bytes) => {
            let mut bytes = bytes.clone();
            match bytes.len() {
                0 => bytes.push(1),
                length => bytes[usize::try_from(random.below(length as u64)).unwrap()] ^= 1,
            }
            Value::Blob(bytes)
        }
    }
}

fn value(path: &Path, random: &mut Random) -> Option<String> {
    stealthily(&unguarded(path), |connection| {
        let row = Chosen::row(connection, random)?;
        let place = usize::try_from(random.below(row.columns.len() as u64)).unwrap();
        let column = row.columns[place].clone();
        if row.table == "batches" || UNSEEN.contains(&(row.table.as_str(), column.as_str())) {
            return None;
        }
        let new = altered(&row.values[place], random);
        row.set(connection, &column, &new)?;
        Some(format!(
            "{}.{column} from {:?} to {new:?}, of {:?}",
            row.table, row.values[place], row.values
        ))
    })
}

fn row_removed(path: &Path, random: &mut Random) -> Option<String> {
    stealthily(&unguarded(path), |connection| {
        let row = Chosen::row(connection, random)?;
        if UNSEEN_ROWS.contains(&row.table.as_str()) {
            return None;
        }
        let sql = format!("DELETE FROM {} WHERE {}", row.table, row.is_this());
        connection
            .execute(&sql, params_from_iter(&row.values))
            .unwrap();
        Some(format!("of {}: {:?}", row.table, row.values))
    })
}

/// A copy of a row that differs in its first column, or the first that makes it another one.
fn row_added(path: &Path, random: &mut Random) -> Option<String> {
    stealthily(&unguarded(path), |connection| {
        let row = Chosen::row(connection, random)?;
        if UNSEEN_ROWS.contains(&row.table.as_str()) {
            return None;
        }
        for place in 0..row.columns.len() {
            let mut values = row.values.clone();
            values[place] = altered(&values[place], random);
            let marks = vec!["?"; values.len()].join(", ");
            let sql = format!("INSERT INTO {} VALUES ({marks})", row.table);
            if connection.execute(&sql, params_from_iter(&values)).is_ok() {
                return Some(format!("to {}: {values:?}", row.table));
            }
        }
        None
    })
}

/// Two deliveries change places, or what they hold does.
fn rows_swapped(path: &Path, random: &mut Random) -> Option<String> {
    stealthily(&unguarded(path), |connection| {
        let head: i64 = connection
            .query_row("SELECT max(position) FROM deliveries", [], |row| row.get(0))
            .unwrap();
        let mut any = || 1 + i64::try_from(random.below(u64::try_from(head).unwrap())).unwrap();
        let (one, other) = (any(), any());
        let content = "SELECT (SELECT body FROM deliveries WHERE position = ?1) \
             IS (SELECT body FROM deliveries WHERE position = ?2)";
        let is_same: bool = connection
            .query_row(content, [one, other], |row| row.get(0))
            .unwrap();
        if is_same {
            return None;
        }
        let whole = random.below(2) == 0;
        let swap = if whole {
            format!(
                "UPDATE deliveries SET position = -1 WHERE position = {one};
                 UPDATE deliveries SET position = {one} WHERE position = {other};
                 UPDATE deliveries SET position = {other} WHERE position = -1;"
            )
        } else {
            format!(
                "CREATE TEMP TABLE kept AS SELECT body FROM deliveries WHERE position = {one};
                 UPDATE deliveries SET body = (SELECT body FROM deliveries WHERE position = {other})
                    WHERE position = {one};
                 UPDATE deliveries SET body = (SELECT body FROM kept) WHERE position = {other};"
            )
        };
        connection.execute_batch(&swap).unwrap();
        Some(format!("{one} and {other}, whole: {whole}"))
    })
}

/// The last entries go with all that came of them, so that what is left is sound in itself.
fn tail_cut(path: &Path, random: &mut Random) -> Option<String> {
    let what = stealthily(&unguarded(path), |connection| {
        let head: i64 = connection
            .query_row("SELECT max(position) FROM deliveries", [], |row| row.get(0))
            .unwrap();
        let last = head - 1 - i64::try_from(random.below(5)).unwrap();
        if last < 2 {
            return None;
        }
        for table in [
            "deliveries",
            "events",
            "withdrawals",
            "quarantine",
            "mentions",
            "repetitions",
        ] {
            let sql = format!("DELETE FROM {table} WHERE position > ?1");
            connection.execute(&sql, params![last]).unwrap();
        }
        connection
            .execute_batch(&format!(
                "UPDATE quarantine SET settled = 'open', settled_by = NULL WHERE settled_by > {last};
                 DELETE FROM segments AS g WHERE NOT EXISTS (SELECT 1 FROM events e WHERE e.source = g.source
                    AND e.grant_key = g.grant_key AND g.user_id IN (e.user_id, e.other_user_id));
                 DELETE FROM packets AS p WHERE NOT EXISTS (SELECT 1 FROM deliveries d
                    WHERE d.source = p.source AND d.dedupe_key = p.dedupe_key);
                 UPDATE totals SET
                    applied = (SELECT count(*) FROM deliveries
                       WHERE kind IN ('delivery', 'retry') AND outcome = 'applied'),
                    ignored = (SELECT count(*) FROM deliveries
                       WHERE kind IN ('delivery', 'retry') AND outcome = 'ignored'),
                    repeated = (SELECT ifnull(sum(count), 0) FROM repetitions),
                    events = (SELECT count(*) FROM events);"
            ))
            .unwrap();
        Some(format!("after {last} of {head}"))
    })?;
    let mut engine = writer(path);
    engine.rebuild(&mut |_| {}).unwrap();
    Some(what)
}

/// One body says something else, and every hash from there on is made anew.
fn chain_made_anew(path: &Path, random: &mut Random) -> Option<String> {
    let mut reader = writer(path).reader().unwrap();
    let entries = reader.entries_after(Position::default(), 10_000).unwrap();
    let forged = usize::try_from(random.below(entries.len() as u64)).unwrap();
    let mut previous = match forged {
        0 => Hash::default(),
        place => entries[place - 1].hash,
    };
    let mut anew = Vec::new();
    for (place, entry) in entries.iter().enumerate().skip(forged) {
        let mut fact = entry.fact.clone();
        if place == forged {
            fact.body.push(b' ');
        }
        let events = reader.entry(entry.position).unwrap().unwrap().events;
        let events: Vec<_> = events.into_iter().map(|it| it.event).collect();
        let digest = chain::digest(&fact, &events, &entry.salt);
        previous = chain::hash(previous, entry.position, &fact, digest);
        anew.push((entry.position, fact.body, digest, previous));
    }
    drop(reader);
    stealthily(&unguarded(path), |connection| {
        for (position, body, digest, hash) in anew {
            connection
                .execute(
                    "UPDATE deliveries SET body = ?2, digest = ?3, hash = ?4 WHERE position = ?1",
                    params![i64::try_from(position.0).unwrap(), body, digest.0, hash.0],
                )
                .unwrap();
        }
        Some(format!("from position {}", forged + 1))
    })
}

fn writer(path: &Path) -> Engine<SqliteStore> {
    let store = SqliteStore::open(path, SqliteStoreOptions::default()).unwrap();
    Engine::new(store, Secrets::default()).unwrap()
}

fn trigger(path: &Path, random: &mut Random) -> Option<String> {
    let connection = unguarded(path);
    let edit = match random.below(3) {
        0 => "DROP TRIGGER deliveries_never_change",
        1 => "DROP TRIGGER events_never_go",
        _ => "CREATE TRIGGER helpful AFTER INSERT ON deliveries BEGIN DELETE FROM windows; END",
    };
    connection.execute_batch(edit).unwrap();
    Some(edit.to_owned())
}

/// A bit anywhere in the file. Where nothing that is stored differs, as in space that is free, nothing was edited.
fn bit(path: &Path, random: &mut Random) -> Option<String> {
    let before = dump(path)?;
    let mut bytes = fs::read(path).unwrap();
    let at = usize::try_from(random.below(bytes.len() as u64)).unwrap();
    let bit = random.below(8);
    bytes[at] ^= 1 << bit;
    fs::write(path, bytes).unwrap();
    let unseen = dump(path).is_some_and(|after| after == before);
    (!unseen).then(|| format!("{bit} of byte {at}"))
}

/// All that is stored; `None` if it cannot be read.
fn dump(path: &Path) -> Option<Vec<Vec<Value>>> {
    let connection = Connection::open(path).ok()?;
    let mut rows = Vec::new();
    let mut read = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .ok()?;
    let tables: Result<Vec<String>, _> = read.query_map([], |row| row.get(0)).ok()?.collect();
    for table in tables.ok()? {
        if UNSEEN_ROWS.contains(&table.as_str()) || table.starts_with("sqlite_") {
            continue;
        }
        let mut read = connection.prepare(&format!("SELECT * FROM {table}")).ok()?;
        let columns = read.column_count();
        let found = read.query_map([], |row| (0..columns).map(|it| row.get(it)).collect());
        for row in found.ok()? {
            rows.push(row.ok()?);
        }
    }
    Some(rows)
}
