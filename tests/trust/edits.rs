//! What is done to a file behind the engine's back is found: values, rows, the end of the log, the whole chain, bits.

use std::path::Path;

use tenure::{EngineError, Fault, KeptHead, SqliteStore, Verification};

use self::database::{Database, Edited};
use crate::harness::{Extent, Harness, Report};
use crate::workload::Random;

#[path = "edits/alter.rs"]
mod alter;
#[path = "edits/database.rs"]
mod database;

/// Edits of one database before the next one is made.
const EDITS: u64 = 50;

/// A way of looking that may overlook some faults.
type Sees = fn(&Fault) -> bool;

pub(crate) const HARNESS: Harness = Harness {
    name: "edits",
    guarantee: "an edited log, a cut tail, a chain made anew or a false projection is found",
    not_covered: "mentions, digests of packets, places of repetitions, receipts of an unfinished file",
    run,
};

fn run(extent: &Extent) -> Report {
    let mut report = Report::default();
    let mut random = Random::new(extent.seed);
    for number in 0..extent.cases(70) {
        let database = Database::made(number, &mut random);
        for _ in 0..EDITS {
            let Some(edited) = database.edited(&mut random) else {
                report.done(1, "edits without effect");
                continue;
            };
            report.tried(1, "edited files");
            report.done(1, edited.kind);
            if let Err(violation) = is_found(&edited, &[database.head], |_| true) {
                report.violations.push(violation);
            }
        }
    }
    report.at_least(2_000, "edited files");
    plant(&mut report, extent, "no head was kept", false, |_| true);
    let log_alone: Sees = |fault| !matches!(fault, Fault::Contradiction(_));
    plant(
        &mut report,
        extent,
        "only log and projection are looked at",
        true,
        log_alone,
    );
    let unfolded: Sees = |fault| !matches!(fault, Fault::Projection(_) | Fault::Stray(_));
    plant(
        &mut report,
        extent,
        "no grant is folded again",
        true,
        unfolded,
    );
    report
}

/// The same edits, looked at with less than all there is.
fn plant(report: &mut Report, extent: &Extent, bug: &'static str, keeps_head: bool, sees: Sees) {
    let mut random = Random::new(extent.seed ^ 1);
    let mut database = Database::made(0, &mut random);
    report.plant(bug, 1_000, |number| {
        if number % EDITS == EDITS - 1 {
            database = Database::made(number, &mut random);
        }
        let Some(edited) = database.edited(&mut random) else {
            return Ok(());
        };
        let heads: Vec<KeptHead> = keeps_head.then_some(database.head).into_iter().collect();
        is_found(&edited, &heads, sees)
    });
}

fn is_found(edited: &Edited, heads: &[KeptHead], sees: Sees) -> Result<(), String> {
    let found = match verified(&edited.path, heads) {
        // What cannot even be opened or read is refused: nobody takes it for a sound log.
        Err(_) => true,
        Ok(verification) => verification.fault.as_ref().is_some_and(sees),
    };
    if found {
        Ok(())
    } else {
        Err(format!("not found: {}", edited.what))
    }
}

fn verified(path: &Path, heads: &[KeptHead]) -> Result<Verification, EngineError> {
    let store = SqliteStore::open_reader(path)?;
    tenure::Reader::new(store).verify_against(heads, &mut |_| {})
}
