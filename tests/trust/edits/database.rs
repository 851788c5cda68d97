//! Databases to be edited: every table has rows, from systems of every kind.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use tempfile::TempDir;
use tenure::store::chain::Salts;
use tenure::{Engine, FileOptions, KeptHead, Position, Secrets, SqliteStore, SqliteStoreOptions};

use super::alter::{self, Altered};
use crate::steps::fast_folder;
use crate::strategies::{engine, history, now, tell};
use crate::workload::{self, Random};

/// A sound database and the head that was kept of it.
pub(super) struct Database {
    folder: TempDir,
    pub(super) head: KeptHead,
    name: String,
}

/// A copy of it that somebody laid hands on.
pub(super) struct Edited {
    pub(super) path: PathBuf,
    pub(super) kind: &'static str,
    /// Enough to do it again.
    pub(super) what: String,
}

impl Database {
    /// A random history, and a mixed file of all systems with what came again and what could not be read.
    pub(super) fn made(number: u64, random: &mut Random) -> Self {
        let seed = random.next();
        let folder = fast_folder();
        let path = folder.path().join("sound.db");
        let mut engine = written(&path, seed);
        let parked = engine.reader().unwrap().parked(Position::default(), 1_000);
        for (place, parked) in parked.unwrap().iter().enumerate() {
            if place % 3 == 0 {
                let why = "nobody knows what it was";
                engine.discard(parked.0.position, why, now()).unwrap();
            }
        }
        let mut reader = engine.reader().unwrap();
        let verification = reader.verify(&mut |_| {}).unwrap();
        assert_eq!(verification.fault, None, "before any edit");
        Self {
            folder,
            head: reader.head().unwrap(),
            name: format!("database {number}, made from {seed}"),
        }
    }

    /// Edited in some way; `None` if it did nothing, because the schema refused it or nothing was there.
    pub(super) fn edited(&self, random: &mut Random) -> Option<Edited> {
        let path = self.folder.path().join("edited.db");
        for ending in ["edited.db-wal", "edited.db-shm"] {
            let _absent = fs::remove_file(self.folder.path().join(ending));
        }
        fs::copy(self.folder.path().join("sound.db"), &path).unwrap();
        let Altered { kind, what } = alter::alter(&path, random)?;
        let what = format!("{}: {kind}: {what}", self.name);
        Some(Edited { path, kind, what })
    }
}

fn written(path: &Path, seed: u64) -> Engine<SqliteStore> {
    let mut runner = TestRunner::new(Config {
        rng_seed: RngSeed::Fixed(seed),
        ..Config::default()
    });
    let history = history(12).new_tree(&mut runner).unwrap().current();
    let mut salt = [7; 32];
    salt[..8].copy_from_slice(&seed.to_be_bytes());
    let options = SqliteStoreOptions {
        salts: Some(Salts::from_seed(salt)),
        ..SqliteStoreOptions::default()
    };
    let store = SqliteStore::create_or_open(path, options).unwrap();
    let mut told = engine(store, &history.rules);
    tell(&mut told, &history.lines, 0);
    // The same again: repetitions are counted.
    tell(&mut told, &history.lines, 0);
    let mut lines = workload::lines(seed, 25);
    lines.extend(["no JSON", r#"{"body":{"half":"a delivery"},"source":"#].map(str::to_owned));
    let mut told = told.with_secrets(Secrets::default());
    // The rules of the history know other sources; these are taken under the defaults.
    told.apply(&tenure::Rules::default(), now(), &mut |_| {})
        .unwrap();
    let text = lines.join("\n");
    told.ingest_file(
        &mut text.as_bytes(),
        &FileOptions::default(),
        &mut now,
        &mut |_| Ok(()),
    )
    .unwrap();
    told
}
