//! What the engine costs beside the least that would do: taking deliveries against inserting the same bytes by hand, a check
//! against a hand-written `SELECT`.
//!
//! Times differ from machine to machine and from minute to minute; only the ratio of two figures of one run means anything.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a bench that fails panics"
)]

mod workload;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tenure::rusqlite::{Connection, params};
use tenure::{
    Engine, FileOptions, Instant, Question, Reader, Secrets, SqliteReader, SqliteStore,
    SqliteStoreOptions,
};

const LINES: usize = 10_000;

fn now() -> Instant {
    "2027-06-01T00:00:00Z".parse().unwrap()
}

struct Database {
    engine: Engine<SqliteStore>,
    folder: tempfile::TempDir,
}

impl Database {
    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tenure.db");
        let store = SqliteStore::create_or_open(&path, SqliteStoreOptions::default()).unwrap();
        let engine = Engine::new(store, Secrets::default()).unwrap();
        Self { engine, folder }
    }

    fn take(&mut self, lines: &str) {
        let options = FileOptions::default();
        self.engine
            .ingest_file(&mut lines.as_bytes(), &options, &mut now, &mut |_| Ok(()))
            .unwrap();
    }
}

/// The least a careful hand-written receiver would do: a unique key, the body, and the reader's window moved.
fn raw_database() -> (Connection, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection::open(folder.path().join("raw.db")).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE events (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, body BLOB NOT NULL) STRICT;
             CREATE TABLE windows (user TEXT, product TEXT, start INTEGER, end INTEGER, PRIMARY KEY (user, product))
             STRICT, WITHOUT ROWID;",
        )
        .unwrap();
    (connection, folder)
}

fn insert_raw(connection: &mut Connection, lines: &[String]) {
    for (batch, lines) in lines.chunks(1_000).enumerate() {
        let transaction = connection.transaction().unwrap();
        {
            let mut event = transaction
                .prepare_cached("INSERT INTO events (key, body) VALUES (?1, ?2)")
                .unwrap();
            let mut window = transaction
                .prepare_cached(
                    "INSERT INTO windows VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET end = excluded.end",
                )
                .unwrap();
            for (number, line) in lines.iter().enumerate() {
                let number = (batch * 1_000 + number) as u64;
                let key = format!("{:016x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                event.execute(params![key, line.as_bytes()]).unwrap();
                let user = workload::user(number % 600);
                window
                    .execute(params![
                        user,
                        workload::product(number),
                        0,
                        number.cast_signed()
                    ])
                    .unwrap();
            }
        }
        transaction.commit().unwrap();
    }
}

fn taking(criterion: &mut Criterion) {
    let lines = workload::lines(1, LINES);
    let file = lines.join("\n");
    let mut group = criterion.benchmark_group("ten thousand deliveries");
    group.sample_size(10);
    group.throughput(Throughput::Elements(LINES as u64));
    group.bench_function("taken by the engine", |bencher| {
        bencher.iter_batched_ref(
            Database::empty,
            |database| database.take(&file),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("inserted by hand", |bencher| {
        bencher.iter_batched_ref(
            raw_database,
            |(connection, _folder)| insert_raw(connection, &lines),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn questions() -> Vec<Question> {
    workload::questions(2, (LINES / 18) as u64, 1_000)
        .into_iter()
        .map(|(user, resource, at)| Question {
            user: user.parse().unwrap(),
            resource: resource.parse().unwrap(),
            at: at.parse().unwrap(),
            as_of: None,
        })
        .collect()
}

fn asking(criterion: &mut Criterion) {
    let mut database = Database::empty();
    database.take(&workload::lines(1, LINES).join("\n"));
    let questions = questions();
    let mut reader: Reader<SqliteReader> = database.engine.reader().unwrap();
    let by_hand = Connection::open(database.folder.path().join("tenure.db")).unwrap();
    let mut group = criterion.benchmark_group("a question");
    let mut next = (0..questions.len()).cycle();
    group.bench_function("checked, each by itself", |bencher| {
        bencher.iter(|| reader.check(&questions[next.next().unwrap()]).unwrap());
    });
    group.bench_function("selected by hand", |bencher| {
        let mut select = by_hand
            .prepare(
                "SELECT end_at FROM windows WHERE user_id = ?1 AND product = ?2 AND start_at <= ?3 AND end_at > ?3",
            )
            .unwrap();
        bencher.iter(|| {
            let question = &questions[next.next().unwrap()];
            let (user, resource) = (question.user.as_str(), question.resource.as_str());
            select.exists(params![user, resource, question.at.micros()]).unwrap()
        });
    });
    group.bench_function("checked, a thousand in one batch", |bencher| {
        bencher.iter(|| reader.check_batch(&questions).unwrap());
    });
    let as_of = reader.entries_after(tenure::Position(0), 1).unwrap()[0]
        .fact
        .recorded_at;
    group.bench_function("checked as of an earlier time", |bencher| {
        bencher.iter(|| {
            let question = questions[next.next().unwrap()].clone();
            let as_of = Some(as_of);
            reader.check(&Question { as_of, ..question }).unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, taking, asking);
criterion_main!(benches);
