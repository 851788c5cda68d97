//! The databases that are measured: one of ours, filled through the front door, and beside it one such as a careful engineer
//! would write by hand.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tenure::provider::provider;
use tenure::{
    Delivery, Engine, Instant, Outcome, Request, Secret, Secrets, SqliteStore, SqliteStoreOptions,
};

use crate::arguments::Arguments;
use crate::peer::receiver::Receiver;
use crate::workload::{Crowd, DAY, NOW, time};

pub(crate) const SEED: u64 = 1;
/// How many deliveries are taken in one transaction.
pub(crate) const BATCH: usize = 10_000;
/// To be counted up whenever the workload becomes another, so that no kept database is taken for it.
const WORKLOAD: u32 = 1;

pub(crate) fn instant(second: u64) -> Instant {
    time(second).parse().unwrap()
}

/// When what comes to a filled database is received: after all that it tells of.
pub(crate) const RECEIVED: u64 = NOW + 400 * DAY;

pub(crate) fn received() -> Instant {
    instant(RECEIVED)
}

/// Each system's secret, in the form it has there.
pub(crate) fn secrets() -> Secrets {
    let mut secrets = Secrets::default();
    for provider in tenure::PROVIDERS {
        let name = provider.name();
        let text = match name {
            "cloudevents" => "whsec_bm90IGEgc2VjcmV0LCBvbmx5IGEgYmVuY2gh",
            _ => "not a secret, only a bench 012345",
        };
        secrets = secrets.with(name.parse().unwrap(), Secret::new(text).unwrap());
    }
    secrets
}

pub(crate) fn open(path: &Path) -> Engine<SqliteStore> {
    let store = SqliteStore::create_or_open(path, SqliteStoreOptions::default()).unwrap();
    Engine::new(store, secrets()).unwrap()
}

/// Where databases lie.
#[derive(Debug)]
pub(crate) struct Shelf {
    folder: PathBuf,
    is_kept: bool,
    _temporary: Option<TempDir>,
}

impl Shelf {
    pub(crate) fn new(arguments: &Arguments) -> Self {
        let temporary = match arguments.database {
            Some(_) => None,
            None => Some(tempfile::tempdir().unwrap()),
        };
        let folder = match (&arguments.database, &temporary) {
            (Some(folder), _) => folder.clone(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => PathBuf::from("."),
        };
        fs::create_dir_all(&folder).unwrap();
        Self {
            folder: fs::canonicalize(folder).unwrap(),
            is_kept: arguments.database.is_some(),
            _temporary: temporary,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The database of so many users, made if it is not there.
    pub(crate) fn database(&self, users: u64) -> Database {
        let folder = self
            .folder
            .join(format!("workload-{WORKLOAD}-seed-{SEED}-users-{users}"));
        let database = Database { folder, users };
        database.prepare();
        database
    }

    /// Gives back the space of a database that is not needed again in this run.
    pub(crate) fn drop(&self, database: Database) {
        if !self.is_kept {
            fs::remove_dir_all(&database.folder).unwrap();
        }
    }
}

/// The databases of so many users.
#[derive(Debug)]
pub(crate) struct Database {
    folder: PathBuf,
    pub(crate) users: u64,
}

impl Database {
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join("tenure.db")
    }

    pub(crate) fn by_hand(&self) -> PathBuf {
        self.folder.join("by-hand.db")
    }

    pub(crate) fn engine(&self) -> Engine<SqliteStore> {
        open(&self.path())
    }

    /// The number of the next pass over the users. What a pass adds to a database never comes twice, also in a later run.
    pub(crate) fn next_pass(&self) -> u64 {
        let path = self.folder.join("passes");
        let passes = fs::read_to_string(&path).unwrap_or_default();
        let pass = passes.trim().parse().unwrap_or(0) + 1;
        fs::write(path, format!("{pass}\n")).unwrap();
        pass
    }

    /// Reads both files once, so that their pages lie in memory: what was not touched for a while may have been dropped.
    pub(crate) fn warm(&self) {
        for path in [self.path(), self.by_hand()] {
            if let Ok(mut file) = fs::File::open(path) {
                let _read = std::io::copy(&mut file, &mut std::io::sink());
            }
        }
    }

    fn prepare(&self) {
        let done = self.folder.join("done");
        if done.exists() {
            eprintln!("  {} users: kept from an earlier run", self.users);
            return;
        }
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).unwrap();
        }
        fs::create_dir_all(&self.folder).unwrap();
        let mut engine = self.engine();
        fill(&mut engine, self.users);
        drop(engine);
        eprintln!("  {} users: by hand", self.users);
        Receiver::fill(&self.by_hand(), &self.path());
        fs::write(done, "").unwrap();
    }
}

/// Takes all that is told of so many readers.
fn fill(engine: &mut Engine<SqliteStore>, users: u64) {
    let mut crowd = Crowd::new(SEED, users);
    let mut taken = 0;
    loop {
        let batch: Vec<Delivery> = crowd
            .by_ref()
            .take(BATCH)
            .map(|delivered| {
                let request = Request {
                    body: delivered.body.into_bytes(),
                    ..Request::default()
                };
                let received = instant(delivered.second + delivered.delay);
                Delivery::trusted(delivered.source.parse().unwrap(), request)
                    .received_at(Some(received))
            })
            .collect();
        if batch.is_empty() {
            break;
        }
        let receipts = engine.ingest_batch(batch, instant(NOW)).unwrap();
        let applied = |outcome: Outcome| outcome == Outcome::Applied;
        assert!(receipts.iter().all(|receipt| applied(receipt.outcome)));
        taken += receipts.len();
        if taken.is_multiple_of(20 * BATCH) {
            eprintln!("  {users} users: {taken} deliveries taken");
        }
    }
}

/// A request as the system sends it, with what shows that it is the system's.
pub(crate) fn signed(source: &str, body: &str) -> Request {
    let name = source.parse().unwrap();
    let provider = provider(source).unwrap();
    provider
        .seal(body.as_bytes(), secrets().get(&name), received())
        .unwrap()
}
