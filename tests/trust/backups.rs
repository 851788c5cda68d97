//! A copy that is made while deliveries come in is a whole: all that was acknowledged before, nothing halfway.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tenure::{
    Engine, FileOptions, KeptHead, PROVIDERS, Position, Reader, Secrets, SqliteStore,
    SqliteStoreOptions,
};

use crate::harness::{Extent, Harness, Report};
use crate::strategies::now;
use crate::workload;

/// How many deliveries come in while copies are made.
const DELIVERIES: usize = 600;

/// A way to copy a database that is being written to.
type Copy = fn(&Path, &Path);

pub(crate) const HARNESS: Harness = Harness {
    name: "backups",
    guarantee: "a copy made while deliveries come in is whole and goes on where it was made",
    not_covered: "a device that fails while it is copied to; other tools than `backup`",
    run,
};

fn run(extent: &Extent) -> Report {
    let mut report = Report::default();
    for round in 0..extent.cases(3) {
        match while_writing(extent.seed ^ round, backup) {
            Ok(copies) => report.tried(copies, "copies while writing"),
            Err(violation) => report
                .violations
                .push(format!("round {round}: {violation}")),
        }
        report.done(DELIVERIES as u64, "deliveries meanwhile");
    }
    report.at_least(10, "copies while writing");
    report.plant("only the main file is copied", 5, |round| {
        while_writing(extent.seed ^ round, file_alone).map(|_| ())
    });
    report
}

/// As an operator does it.
fn backup(from: &Path, to: &Path) {
    let mut reader = SqliteStore::open_reader(from).unwrap();
    reader.backup(to, &mut |_, _| {}).unwrap();
}

/// As an operator should not do it.
fn file_alone(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
}

fn open(path: &Path) -> Engine<SqliteStore> {
    let store = SqliteStore::create_or_open(path, SqliteStoreOptions::default()).unwrap();
    Engine::new(store, Secrets::default()).unwrap()
}

/// One thread takes deliveries, this one copies. Gives how many copies were made.
fn while_writing(seed: u64, copy: Copy) -> Result<u64, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tenure.db");
    let lines = workload::lines(seed, DELIVERIES);
    let mut engine = open(&path);
    let (acknowledged, is_done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for line in &lines {
                take(&mut engine, line);
                let head = engine.reader().unwrap().head().unwrap();
                acknowledged.store(head.position.0, Ordering::SeqCst);
            }
            is_done.store(true, Ordering::SeqCst);
        });
        let mut copies = 0;
        while !is_done.load(Ordering::SeqCst) && copies < 200 {
            let least = acknowledged.load(Ordering::SeqCst);
            let to = folder.path().join(format!("copy-{copies}.db"));
            copy(&path, &to);
            is_whole(&to, &path, Position(least))?;
            std::fs::remove_file(&to).unwrap();
            copies += 1;
        }
        Ok(copies)
    })
    .and_then(|copies: u64| {
        goes_on(&path, &folder.path().join("last.db"), copy, &lines).map(|()| copies)
    })
}

fn take(engine: &mut Engine<SqliteStore>, line: &str) {
    let options = FileOptions::default();
    engine
        .ingest_file(&mut line.as_bytes(), &options, &mut now, &mut |_| Ok(()))
        .unwrap();
}

fn head(path: &Path) -> Result<KeptHead, String> {
    let store = SqliteStore::open_reader(path).map_err(|error| error.to_string())?;
    Reader::new(store).head().map_err(|error| error.to_string())
}

/// Sound in itself, with all that was acknowledged when it was begun, and a beginning of the log it was made of.
fn is_whole(copy: &Path, original: &Path, least: Position) -> Result<(), String> {
    let head = head(copy)?;
    if head.position < least {
        return Err(format!(
            "the copy ends at {}, {least} was acknowledged",
            head.position
        ));
    }
    for (path, kept) in [(copy, [].as_slice()), (original, [head].as_slice())] {
        let store = SqliteStore::open_reader(path).map_err(|error| error.to_string())?;
        let verified = Reader::new(store).verify_against(kept, &mut |_| {});
        let fault = verified.map_err(|error| error.to_string())?.fault;
        if let Some(fault) = fault {
            return Err(format!("{}: {fault}", path.display()));
        }
    }
    Ok(())
}

/// A copy put in the place of the database goes on where it was made: what is sent again is known. Where arrival is the
/// order of events, the same said again after something else is news, so of that nothing is sent again.
fn goes_on(original: &Path, copy_to: &Path, copy: Copy, lines: &[String]) -> Result<(), String> {
    copy(original, copy_to);
    let (mut restored, before) = (open(copy_to), head(original)?);
    let is_news = |line: &&String| {
        let mut in_order = PROVIDERS.iter().filter(|it| it.arrival_is_order());
        in_order.any(|it| line.contains(&format!(r#""source":"{}""#, it.name())))
    };
    for line in lines.iter().filter(|line| !is_news(line)) {
        take(&mut restored, line);
    }
    drop(restored);
    let after = head(copy_to)?;
    if after == before {
        Ok(())
    } else {
        Err(format!(
            "sent again, the log of the copy went on from {before} to {after}"
        ))
    }
}
